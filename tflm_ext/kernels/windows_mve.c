#include "tflm_ext/kernels/windows_mve.h"

#include <stddef.h>

#include "tflm_ext/kernels/lanes_mve.h"

TFMPQ_INLINE void expand_run(const uint8_t* run, uint32_t num_codes, int8_t* to,
                             int bits) {
  for (uint32_t i = num_codes / kTfmpqLanes; i > 0; --i) {
    vstrbq_s8(to, tfmpq_load_codes(run, bits));
    run += tfmpq_vector_bytes(bits);
    to += kTfmpqLanes;
  }
  const uint32_t num_rest = num_codes % kTfmpqLanes;
  if (num_rest == 0) return;
  vstrbq_s8(to, tfmpq_load_some_codes(run, num_rest, bits));
}

/* Pixels without padding are one run; short ones take a vector each. */
TFMPQ_INLINE void expand_pixels(const uint8_t* pixels, uint32_t num_pixels,
                                uint32_t num_channels, int8_t* to, int bits) {
  if (num_channels * (uint32_t)bits % 8 == 0) {
    expand_run(pixels, num_pixels * num_channels, to, bits);
    return;
  }
  const uint32_t pixel_bytes = tfmpq_run_bytes(num_channels, bits);
  for (; num_pixels > 0; --num_pixels) {
    if (num_channels < kTfmpqLanes) {
      vstrbq_s8(to, tfmpq_load_some_codes(pixels, num_channels, bits));
    } else {
      expand_run(pixels, num_channels, to, bits);
    }
    pixels += pixel_bytes;
    to += num_channels;
  }
}

/* Apart from the path that a first layer takes, which then needs few
 * registers. */
#define APART static __attribute__((noinline))

/* Writes the zero point under `num_codes` elements outside the image. */
static void pad(int32_t zero_point, uint32_t num_codes, int8_t* to) {
  const int8x16_t codes = vdupq_n_s8((int8_t)zero_point);
  for (uint32_t i = 0; i < num_codes; i += kTfmpqLanes) {
    vstrbq_s8(to + i, codes);
  }
}

/* A window that crosses the edge of the image. */
APART void fill_at_edge(const tfmpq_windows* windows, int32_t y, int32_t x,
                        int8_t* to) {
  const tfmpq_conv_params* params = windows->params;
  const uint32_t num_channels = params->input_channels;
  const int32_t width = params->input_width;
  const int32_t x_end = x + params->kernel_width;
  const int32_t begin = x < 0 ? 0 : x;
  const int32_t end = x_end < width ? x_end : width;
  const int32_t y_end = y + params->kernel_height;
  const int32_t z = params->input_zero_point;
  for (; y < y_end; ++y) {
    uint32_t num_right = windows->num_row_codes;
    if (y >= 0 && y < params->input_height && begin < end) {
      const uint32_t num_left = (uint32_t)(begin - x) * num_channels;
      const uint32_t num_inside = (uint32_t)(end - begin);
      pad(z, num_left, to);
      to += num_left;
      windows->expand_pixels(windows->input + (uint32_t)y * windows->row_bytes +
                                 (uint32_t)begin * windows->pixel_bytes,
                             num_inside, num_channels, to);
      to += num_inside * num_channels;
      num_right = (uint32_t)(x_end - end) * num_channels;
    }
    pad(z, num_right, to);
    to += num_right;
  }
}

/* A window inside the image. */
APART void fill_inside(const tfmpq_windows* windows, const uint8_t* row,
                       int8_t* to) {
  const tfmpq_conv_params* params = windows->params;
  for (uint32_t i = params->kernel_height; i > 0; --i) {
    windows->expand_pixels(row, params->kernel_width, params->input_channels,
                           to);
    row += windows->row_bytes;
    to += windows->num_row_codes;
  }
}

/* Windows with short rows of 8 bits inside the image. What else a vector holds
 * is overwritten, or multiplied with weights of 0. */
APART void fill_short_bytes(const tfmpq_windows* windows, const uint8_t* row,
                            uint32_t count, int8_t* to) {
  const uint32_t row_bytes = windows->row_bytes;
  const uint32_t num_codes = windows->num_row_codes;
  const uint32_t step_bytes = windows->step_bytes;
  const uint32_t height = windows->params->kernel_height;
  if (height == 3) {
    const int8_t* row_0 = (const int8_t*)row;
    const int8_t* row_1 = row_0 + row_bytes;
    const int8_t* row_2 = row_1 + row_bytes;
    for (; count > 0; --count) {
      vstrbq_s8(to, vldrbq_s8(row_0));
      vstrbq_s8(to + num_codes, vldrbq_s8(row_1));
      vstrbq_s8(to + 2 * num_codes, vldrbq_s8(row_2));
      row_0 += step_bytes;
      row_1 += step_bytes;
      row_2 += step_bytes;
      to += 3 * num_codes;
    }
    return;
  }
  for (; count > 0; --count) {
    const int8_t* from = (const int8_t*)row;
    for (uint32_t i = height; i > 0; --i) {
      vstrbq_s8(to, vldrbq_s8(from));
      from += row_bytes;
      to += num_codes;
    }
    row += step_bytes;
  }
}

/* Writes codes of 4 or 2 bits under a row of the kernel. */
TFMPQ_INLINE void fill_row(const uint8_t* row, uint8x16_t offsets,
                           int8x16_t shifts, uint8x16_t mask, int8_t* to) {
  const uint8x16_t bytes = vldrbq_gather_offset_u8(row, offsets);
  const uint8x16_t codes = vandq_u8(vshlq_u8(bytes, shifts), mask);
  vstrbq_s8(to, vreinterpretq_s8_u8(codes));
}

/* Windows with short rows of 4 or 2 bits inside the image. */
APART void fill_short_codes(const tfmpq_windows* windows, const uint8_t* row,
                            uint32_t count, int8_t* to) {
  const uint32_t row_bytes = windows->row_bytes;
  const uint32_t num_codes = windows->num_row_codes;
  const uint32_t step_bytes = windows->step_bytes;
  const uint32_t height = windows->params->kernel_height;
  const uint8x16_t offsets = vldrbq_u8(windows->lane_offsets);
  const int8x16_t shifts = vldrbq_s8(windows->lane_shifts);
  const uint8x16_t mask = vdupq_n_u8((uint8_t)((1 << windows->bits) - 1));
  if (height == 3) {
    const uint8_t* row_1 = row + row_bytes;
    const uint8_t* row_2 = row_1 + row_bytes;
    for (; count > 0; --count) {
      fill_row(row, offsets, shifts, mask, to);
      fill_row(row_1, offsets, shifts, mask, to + num_codes);
      fill_row(row_2, offsets, shifts, mask, to + 2 * num_codes);
      row += step_bytes;
      row_1 += step_bytes;
      row_2 += step_bytes;
      to += 3 * num_codes;
    }
    return;
  }
  for (; count > 0; --count) {
    const uint8_t* from = row;
    for (uint32_t i = height; i > 0; --i) {
      fill_row(from, offsets, shifts, mask, to);
      from += row_bytes;
      to += num_codes;
    }
    row += step_bytes;
  }
}

/* Fills the next windows of a row of the output if they can be taken by
 * vectors. Returns how many those are. */
static uint32_t fill_short(const tfmpq_windows* windows, uint32_t y, uint32_t x,
                           uint32_t column, uint32_t count, int8_t* columns) {
  if (windows->end_short == NULL || y >= windows->end_row ||
      x >= windows->end_column) {
    return 0;
  }
  const uint32_t left = windows->end_output_column - column;
  const uint8_t* row =
      windows->input + y * windows->row_bytes + x * windows->pixel_bytes;
  if (count > left) count = left;
  while (count > 0 &&
         row + (count - 1) * windows->step_bytes >= windows->end_short) {
    --count;
  }
  if (windows->bits == 8) {
    fill_short_bytes(windows, row, count, columns);
  } else {
    fill_short_codes(windows, row, count, columns);
  }
  return count;
}

static void fill_one(const tfmpq_windows* windows, int32_t y, int32_t x,
                     int8_t* column) {
  if ((uint32_t)y >= windows->end_row || (uint32_t)x >= windows->end_column) {
    fill_at_edge(windows, y, x, column);
  } else {
    fill_inside(windows,
                windows->input + (uint32_t)y * windows->row_bytes +
                    (uint32_t)x * windows->pixel_bytes,
                column);
  }
}

void tfmpq_fill_columns__mve(const tfmpq_windows* windows,
                             tfmpq_position* position, uint32_t count,
                             int8_t* columns) {
  const tfmpq_conv_params* params = windows->params;
  while (count > 0) {
    uint32_t num_filled =
        fill_short(windows, (uint32_t)position->y, (uint32_t)position->x,
                   position->column, count, columns);
    if (num_filled == 0) {
      fill_one(windows, position->y, position->x, columns);
      num_filled = 1;
    }
    count -= num_filled;
    columns += num_filled * windows->num_elements;
    position->x += (int32_t)num_filled * params->stride_width;
    position->column += num_filled;
    if (position->column == params->output_width) {
      position->column = 0;
      position->x = -params->pad_left;
      position->y += params->stride_height;
    }
  }
}

void tfmpq_minus_sums__mve(const int8_t* columns, uint32_t column_bytes,
                           uint32_t num_elements, uint32_t num_pixels,
                           int32_t* minus_sums) {
  const uint32_t num_vectors = (num_elements - 1) / kTfmpqLanes;
  const mve_pred16_t rest = vctp8q(num_elements - num_vectors * kTfmpqLanes);
  const int8x16_t all = vdupq_n_s8(-1);
  const int8x16_t last = vpselq_s8(all, vdupq_n_s8(0), rest);
  if (num_vectors == 0) {
    for (; num_pixels > 0; --num_pixels) {
      *minus_sums++ = vmladavq_s8(vldrbq_s8(columns), last);
      columns += column_bytes;
    }
    return;
  }
  if (num_vectors == 1) {
    for (; num_pixels > 0; --num_pixels) {
      *minus_sums++ = vmladavaq_s8(vmladavq_s8(vldrbq_s8(columns), all),
                                   vldrbq_s8(columns + kTfmpqLanes), last);
      columns += column_bytes;
    }
    return;
  }
  for (; num_pixels > 0; --num_pixels) {
    const int8_t* codes = columns;
    int32_t sum = 0;
    for (uint32_t i = num_vectors; i > 0; --i) {
      sum = vmladavaq_s8(sum, vldrbq_s8(codes), all);
      codes += kTfmpqLanes;
    }
    *minus_sums++ = vmladavaq_s8(sum, vldrbq_s8(codes), last);
    columns += column_bytes;
  }
}

/* Fills what windows with short rows need. A vector of bytes must not reach
 * beyond the input. */
static void init_short(tfmpq_windows* windows) {
  const uint32_t num_channels = windows->params->input_channels;
  const uint32_t bits = (uint32_t)windows->bits;
  const uint32_t input_bytes =
      windows->params->input_height * windows->row_bytes;
  const uint32_t reach_bytes =
      (windows->params->kernel_height - 1u) * windows->row_bytes + kTfmpqLanes;
  windows->end_short = NULL;
  if (windows->num_row_codes > kTfmpqLanes) return;
  if (bits != 8) {
    windows->end_short = windows->input + input_bytes;
  } else if (input_bytes >= reach_bytes) {
    windows->end_short = windows->input + input_bytes - reach_bytes + 1;
  }
  for (uint32_t i = 0; i < kTfmpqLanes; ++i) {
    const uint32_t code = i < windows->num_row_codes ? i : 0;
    const uint32_t bit = code % num_channels * bits;
    windows->lane_offsets[i] =
        (uint8_t)(code / num_channels * windows->pixel_bytes + bit / 8);
    windows->lane_shifts[i] = (int8_t)-(int32_t)(bit % 8);
  }
}

void tfmpq_init_windows__mve(tfmpq_windows* windows,
                             const tfmpq_conv_params* params,
                             const uint8_t* input, tfmpq_expand_pixels expand,
                             int bits) {
  const uint32_t height = params->input_height + 1u;
  const uint32_t width = params->input_width + 1u;
  const uint32_t stride = params->stride_width;
  windows->params = params;
  windows->input = input;
  windows->expand_pixels = expand;
  windows->bits = bits;
  windows->pixel_bytes = tfmpq_run_bytes(params->input_channels, bits);
  windows->row_bytes = params->input_width * windows->pixel_bytes;
  windows->step_bytes = stride * windows->pixel_bytes;
  windows->num_row_codes =
      (uint32_t)params->kernel_width * params->input_channels;
  windows->num_elements = params->kernel_height * windows->num_row_codes;
  windows->end_row =
      height > params->kernel_height ? height - params->kernel_height : 0;
  windows->end_column =
      width > params->kernel_width ? width - params->kernel_width : 0;
  windows->end_output_column =
      (windows->end_column + params->pad_left + stride - 1) / stride;
  if (windows->end_output_column > params->output_width) {
    windows->end_output_column = params->output_width;
  }
  init_short(windows);
}

TFMPQ_INLINE void pack_run(const int8_t* codes, uint32_t num_codes,
                           uint8_t* run, int bits) {
  for (uint32_t i = num_codes / kTfmpqLanes; i > 0; --i) {
    tfmpq_store_codes(run, tfmpq_from_zero(vldrbq_s8(codes), bits), bits);
    codes += kTfmpqLanes;
    run += tfmpq_vector_bytes(bits);
  }
  const uint32_t num_rest = num_codes % kTfmpqLanes;
  if (num_rest == 0) return;
  const int8x16_t rest = vldrbq_z_s8(codes, vctp8q(num_rest));
  tfmpq_store_some_codes(run, tfmpq_from_zero(rest, bits), num_rest, bits);
}

#define DEFINE(bits)                                                          \
  void tfmpq_expand_pixels_a##bits##__mve(                                    \
      const uint8_t* pixels, uint32_t num_pixels, uint32_t num_channels,      \
      int8_t* codes) {                                                        \
    expand_pixels(pixels, num_pixels, num_channels, codes, bits);             \
  }                                                                           \
  void tfmpq_pack_run_o##bits##__mve(const int8_t* codes, uint32_t num_codes, \
                                     uint8_t* run) {                          \
    pack_run(codes, num_codes, run, bits);                                    \
  }
DEFINE(8)
DEFINE(4)
DEFINE(2)
