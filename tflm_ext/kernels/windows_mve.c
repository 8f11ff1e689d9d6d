#include "tflm_ext/kernels/windows_mve.h"

#include <stddef.h>

#include "tflm_ext/kernels/lanes_mve.h"

TFMPQ_INLINE int32_t expand_run(const uint8_t* run, uint32_t num_codes,
                                int8_t* to, int bits) {
  int32_t sum = 0;
  for (uint32_t i = num_codes / kTfmpqLanes; i > 0; --i) {
    const int8x16_t codes = tfmpq_load_codes(run, bits);
    vstrbq_s8(to, codes);
    sum = vaddvaq_s8(sum, codes);
    run += tfmpq_vector_bytes(bits);
    to += kTfmpqLanes;
  }
  const uint32_t num_rest = num_codes % kTfmpqLanes;
  if (num_rest == 0) return sum;
  const int8x16_t codes = tfmpq_load_some_codes(run, num_rest, bits);
  vstrbq_s8(to, codes);
  return vaddvaq_s8(sum, codes);
}

/* Pixels without padding are one run; short ones take a vector each. */
TFMPQ_INLINE int32_t expand_pixels(const uint8_t* pixels, uint32_t num_pixels,
                                   uint32_t num_channels, int8_t* to,
                                   int bits) {
  if (num_channels * (uint32_t)bits % 8 == 0) {
    return expand_run(pixels, num_pixels * num_channels, to, bits);
  }
  const uint32_t pixel_bytes = tfmpq_run_bytes(num_channels, bits);
  int32_t sum = 0;
  for (; num_pixels > 0; --num_pixels) {
    if (num_channels < kTfmpqLanes) {
      const int8x16_t codes = tfmpq_load_some_codes(pixels, num_channels, bits);
      vstrbq_s8(to, codes);
      sum = vaddvaq_s8(sum, codes);
    } else {
      sum += expand_run(pixels, num_channels, to, bits);
    }
    pixels += pixel_bytes;
    to += num_channels;
  }
  return sum;
}

/* Apart from the path that a first layer takes, which then needs few
 * registers. */
#define APART static __attribute__((noinline))

/* Writes the zero point under `num_codes` elements outside the image. */
static int32_t pad(int32_t zero_point, uint32_t num_codes, int8_t* to) {
  const int8x16_t codes = vdupq_n_s8((int8_t)zero_point);
  for (uint32_t i = 0; i < num_codes; i += kTfmpqLanes) {
    vstrbq_s8(to + i, codes);
  }
  return zero_point * (int32_t)num_codes;
}

/* A window that crosses the edge of the image. */
APART int32_t fill_at_edge(const tfmpq_windows* windows, int32_t y, int32_t x,
                           int8_t* to) {
  const tfmpq_conv_params* params = windows->params;
  const uint32_t num_channels = params->input_channels;
  const int32_t width = params->input_width;
  const int32_t x_end = x + params->kernel_width;
  const int32_t begin = x < 0 ? 0 : x;
  const int32_t end = x_end < width ? x_end : width;
  const int32_t y_end = y + params->kernel_height;
  const int32_t z = params->input_zero_point;
  int32_t sum = 0;
  for (; y < y_end; ++y) {
    uint32_t num_right = windows->num_row_codes;
    if (y >= 0 && y < params->input_height && begin < end) {
      const uint32_t num_left = (uint32_t)(begin - x) * num_channels;
      const uint32_t num_inside = (uint32_t)(end - begin);
      sum += pad(z, num_left, to);
      to += num_left;
      sum += windows->expand_pixels(windows->input +
                                        (uint32_t)y * windows->row_bytes +
                                        (uint32_t)begin * windows->pixel_bytes,
                                    num_inside, num_channels, to);
      to += num_inside * num_channels;
      num_right = (uint32_t)(x_end - end) * num_channels;
    }
    sum += pad(z, num_right, to);
    to += num_right;
  }
  return sum;
}

/* A window inside the image. */
APART int32_t fill_inside(const tfmpq_windows* windows, const uint8_t* row,
                          int8_t* to) {
  const tfmpq_conv_params* params = windows->params;
  int32_t sum = 0;
  for (uint32_t i = params->kernel_height; i > 0; --i) {
    sum += windows->expand_pixels(row, params->kernel_width,
                                  params->input_channels, to);
    row += windows->row_bytes;
    to += windows->num_row_codes;
  }
  return sum;
}

/* Most of a first layer are rows of no more elements than a vector has lanes.
 * What else a vector holds is overwritten, or multiplied with weights of 0. */
int32_t tfmpq_fill_column__mve(const tfmpq_windows* windows, int32_t y,
                               int32_t x, int8_t* column) {
  if ((uint32_t)y >= windows->end_row || (uint32_t)x >= windows->end_column) {
    return fill_at_edge(windows, y, x, column);
  }
  const uint32_t row_bytes = windows->row_bytes;
  const uint32_t num_codes = windows->num_row_codes;
  const uint8_t* row = windows->input + (uint32_t)y * row_bytes +
                       (uint32_t)x * windows->pixel_bytes;
  if (row >= windows->end_short) return fill_inside(windows, row, column);
  const int8x16_t mask = vldrbq_s8(windows->short_mask);
  int32_t sum = 0;
  for (uint32_t i = windows->params->kernel_height; i > 0; --i) {
    const int8x16_t codes = vldrbq_s8((const int8_t*)row);
    vstrbq_s8(column, codes);
    sum = vmladavaq_s8(sum, codes, mask);
    row += row_bytes;
    column += num_codes;
  }
  return sum;
}

void tfmpq_init_windows__mve(tfmpq_windows* windows,
                             const tfmpq_conv_params* params,
                             const uint8_t* input, tfmpq_expand_pixels expand,
                             int bits) {
  const uint32_t height = params->input_height + 1u;
  const uint32_t width = params->input_width + 1u;
  const uint32_t pixel_bytes = tfmpq_run_bytes(params->input_channels, bits);
  const uint32_t row_bytes = params->input_width * pixel_bytes;
  const uint32_t num_codes =
      (uint32_t)params->kernel_width * params->input_channels;
  const uint32_t input_bytes = params->input_height * row_bytes;
  const uint32_t window_bytes =
      (params->kernel_height - 1u) * row_bytes + kTfmpqLanes;
  windows->params = params;
  windows->input = input;
  windows->expand_pixels = expand;
  windows->pixel_bytes = pixel_bytes;
  windows->row_bytes = row_bytes;
  windows->num_row_codes = num_codes;
  windows->end_row =
      height > params->kernel_height ? height - params->kernel_height : 0;
  windows->end_column =
      width > params->kernel_width ? width - params->kernel_width : 0;
  windows->end_short = NULL;
  if (bits == 8 && num_codes <= kTfmpqLanes && input_bytes >= window_bytes) {
    windows->end_short = input + input_bytes - window_bytes + 1;
  }
  vstrbq_s8(windows->short_mask,
            vpselq_s8(vdupq_n_s8(1), vdupq_n_s8(0), vctp8q(num_codes)));
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
  int32_t tfmpq_expand_pixels_a##bits##__mve(                                 \
      const uint8_t* pixels, uint32_t num_pixels, uint32_t num_channels,      \
      int8_t* codes) {                                                        \
    return expand_pixels(pixels, num_pixels, num_channels, codes, bits);      \
  }                                                                           \
  void tfmpq_pack_run_o##bits##__mve(const int8_t* codes, uint32_t num_codes, \
                                     uint8_t* run) {                          \
    pack_run(codes, num_codes, run, bits);                                    \
  }
DEFINE(8)
DEFINE(4)
DEFINE(2)

int32_t tfmpq_sum_of_bytes__mve(const int8_t* codes, uint32_t num_codes) {
  int32_t sum = 0;
  for (uint32_t i = num_codes / kTfmpqLanes; i > 0; --i) {
    sum = vaddvaq_s8(sum, vldrbq_s8(codes));
    codes += kTfmpqLanes;
  }
  return sum;
}
