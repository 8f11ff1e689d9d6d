#include "tflm_ext/kernels/windows_dsp.h"

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/instructions_dsp.h"
#include "tflm_ext/kernels/quads_dsp.h"

enum { kStride = 2 }; /* The columns of two pixels alternate. */

/* Returns 1 if all taps lie inside the image. */
TFMPQ_INLINE int is_inside(const tfmpq_windows* windows, int32_t y, int32_t x) {
  return y >= 0 && y <= windows->last_y && x >= 0 && x <= windows->last_x;
}

/* Returns the address of an input pixel. */
TFMPQ_INLINE const uint8_t* pixel_at(const tfmpq_windows* windows, int32_t y,
                                     int32_t x) {
  return windows->codes + (uint32_t)y * windows->row_bytes +
         (uint32_t)x * windows->pixel_bytes;
}

/* How many taps of a row lie left of, inside and right of the image. */
typedef struct {
  uint32_t num_left; /* All taps, if the row is outside. */
  uint32_t num_inside;
  uint32_t num_right;
  const uint8_t* first; /* The pixel of the first tap inside. */
} TapRow;

static TapRow tap_row(const tfmpq_windows* windows, int32_t y, int32_t x) {
  const tfmpq_conv_params* params = windows->params;
  const int32_t width = params->input_width;
  const int32_t x_end = x + params->kernel_width;
  TapRow row = {params->kernel_width, 0, 0, windows->codes};
  if (y < 0 || y >= params->input_height || x_end <= 0 || x >= width) {
    return row;
  }
  const int32_t begin = x < 0 ? 0 : x;
  const int32_t end = x_end < width ? x_end : width;
  row.num_left = (uint32_t)(begin - x);
  row.num_inside = (uint32_t)(end - begin);
  row.num_right = (uint32_t)(x_end - end);
  row.first = pixel_at(windows, y, begin);
  return row;
}

static __attribute__((noinline)) int32_t expand_border_rows(
    const tfmpq_windows* windows, int32_t y, int32_t x, uint32_t* columns) {
  const tfmpq_input_part* part = windows->part;
  const tfmpq_conv_params* params = windows->params;
  const uint32_t num_codes = params->input_channels;
  const uint32_t tap_words = tfmpq_column_words(part, num_codes) * kStride;
  const int32_t zero_point = params->input_zero_point;
  int32_t sum = 0;
  for (int32_t i = 0; i < params->kernel_height; ++i) {
    const TapRow row = tap_row(windows, y + i, x);
    sum += tfmpq_expand_padding(part, zero_point, row.num_left * num_codes,
                                columns, kStride);
    columns += row.num_left * tap_words;
    sum += tfmpq_expand_run(part, row.first, row.num_inside * num_codes,
                            columns, kStride);
    columns += row.num_inside * tap_words;
    sum += tfmpq_expand_padding(part, zero_point, row.num_right * num_codes,
                                columns, kStride);
    columns += row.num_right * tap_words;
  }
  return sum;
}

/* Channels in whole groups: neighbours in a row are neighbours in memory,
 * without bits of padding between them. */
static int32_t expand_rows(const tfmpq_windows* windows, int32_t y, int32_t x,
                           uint32_t* columns) {
  if (!is_inside(windows, y, x)) {
    return expand_border_rows(windows, y, x, columns);
  }
  const tfmpq_input_part* part = windows->part;
  const tfmpq_conv_params* params = windows->params;
  const uint32_t num_groups = windows->row_codes / part->group_codes;
  const uint8_t* row = pixel_at(windows, y, x);
  int32_t sum = 0;
  for (uint32_t i = params->kernel_height; i > 0; --i) {
    sum += part->expand(row, num_groups, columns, kStride);
    row += windows->row_bytes;
    columns += num_groups * part->group_words * kStride;
  }
  return sum;
}

/* A 1x1 kernel: any number of channels. */
static int32_t expand_point(const tfmpq_windows* windows, int32_t y, int32_t x,
                            uint32_t* columns) {
  const uint32_t num_codes = windows->num_elements;
  if (!is_inside(windows, y, x)) {
    return tfmpq_expand_padding(windows->part,
                                windows->params->input_zero_point, num_codes,
                                columns, kStride);
  }
  return tfmpq_expand_run(windows->part, pixel_at(windows, y, x), num_codes,
                          columns, kStride);
}

/* Writes the 4 codes of a quad, a byte each. */
TFMPQ_INLINE void write_bytes(uint8_t* to, uint32_t quad, uint32_t bits) {
  tfmpq_store_word(to, tfmpq_unpack_quad(quad, (int)bits));
}

/* Gathers the codes of a run. May write 3 bytes behind them. Returns the end of
 * the codes. */
TFMPQ_INLINE uint8_t* gather_run(uint8_t* to, const uint8_t* run,
                                 uint32_t num_codes, uint32_t bits) {
  const uint32_t quad_bytes = bits / 2;
  for (; num_codes >= 4; num_codes -= 4) {
    write_bytes(to, tfmpq_load_quad(run, (int)bits), bits);
    to += 4;
    run += quad_bytes;
  }
  if (num_codes == 0) return to;
  const uint32_t num_bytes = (num_codes * bits + 7) / 8;
  write_bytes(to,
              num_bytes == quad_bytes ? tfmpq_load_quad(run, (int)bits)
                                      : tfmpq_load_part_of_quad(run, num_bytes),
              bits);
  return to + num_codes;
}

/* Gathers num_codes times the zero point. Returns their end. */
static uint8_t* gather_padding(const tfmpq_windows* windows, uint8_t* to,
                               uint32_t num_codes) {
  const uint8_t zero_point = (uint8_t)windows->params->input_zero_point;
  for (; num_codes > 0; --num_codes) *to++ = zero_point;
  return to;
}

/* Any window. */
TFMPQ_INLINE void gather_any(const tfmpq_windows* windows, int32_t y, int32_t x,
                             uint32_t bits) {
  const tfmpq_conv_params* params = windows->params;
  const uint32_t num_channels = params->input_channels;
  uint8_t* to = windows->run;
  for (int32_t i = 0; i < params->kernel_height; ++i) {
    const TapRow row = tap_row(windows, y + i, x);
    to = gather_padding(windows, to, row.num_left * num_channels);
    if (bits == 8) {
      to = gather_run(to, row.first, row.num_inside * num_channels, bits);
    } else {
      const uint8_t* pixel = row.first;
      for (uint32_t j = row.num_inside; j > 0; --j) {
        to = gather_run(to, pixel, num_channels, bits);
        pixel += windows->pixel_bytes;
      }
    }
    to = gather_padding(windows, to, row.num_right * num_channels);
  }
}

/* Expands the gathered bytes. */
static int32_t expand_bytes(const tfmpq_windows* windows, uint32_t* columns) {
  /* Elements that pad the last group. */
  uint32_t zero = 0;
  __asm__("" : "+r"(zero)); /* Else GCC stores byte by byte. */
  tfmpq_store_word(windows->run + windows->num_elements, zero);
  return tfmpq_expand_a8(windows->run, windows->num_quads, columns, kStride);
}

#define DEFINE_GATHER_ANY(a)                                \
  static __attribute__((noinline)) void gather_any_a##a(    \
      const tfmpq_windows* windows, int32_t y, int32_t x) { \
    gather_any(windows, y, x, a);                           \
  }
DEFINE_GATHER_ANY(8)
DEFINE_GATHER_ANY(4)
DEFINE_GATHER_ANY(2)

/* Returns 1 if a window may be read a word at a time. */
TFMPQ_INLINE int is_in_words(const tfmpq_windows* windows, int32_t y,
                             int32_t x) {
  return is_inside(windows, y, x) &&
         pixel_at(windows, y, x) <= windows->last_in_words;
}

/* Any number of channels of 8 bits. Inside of the image rows of taps are copied
 * in whole words: what is behind them is overwritten by the next row. */
static int32_t expand_gathered_a8(const tfmpq_windows* windows, int32_t y,
                                  int32_t x, uint32_t* columns) {
  if (!is_in_words(windows, y, x)) {
    gather_any_a8(windows, y, x);
    return expand_bytes(windows, columns);
  }
  const uint8_t* row = pixel_at(windows, y, x);
  const uint32_t row_codes = windows->row_codes;
  uint8_t* to = windows->run;
  for (uint32_t i = windows->params->kernel_height; i > 0; --i) {
    const uint8_t* from = row;
    const uint8_t* const end = to + row_codes;
    uint8_t* next = to;
    do {
      tfmpq_store_word(next, tfmpq_load_word(from));
      __asm__ volatile("" : : : "memory"); /* No second loop for long rows. */
      next += 4;
      from += 4;
    } while (next < end);
    to += row_codes;
    row += windows->row_bytes;
  }
  return expand_bytes(windows, columns);
}

/* Windows inside of the image, in whole quads: codes behind those of a pixel
 * are overwritten by the next one. */
TFMPQ_INLINE void gather_quads(const tfmpq_windows* windows, int32_t y,
                               int32_t x, int bits) {
  const uint32_t num_channels = windows->params->input_channels;
  const uint8_t* row = pixel_at(windows, y, x);
  uint8_t* to = windows->run;
  for (uint32_t i = windows->params->kernel_height; i > 0; --i) {
    const uint8_t* pixel = row;
    const uint8_t* const end = to + windows->row_codes;
    do {
      const uint8_t* quad = pixel;
      uint8_t* next = to;
      to += num_channels;
      do {
        write_bytes(next, tfmpq_load_quad(quad, bits), (uint32_t)bits);
        __asm__ volatile("" : : : "memory"); /* As above. */
        next += 4;
        quad += bits / 2;
      } while (next < to);
      pixel += windows->pixel_bytes;
    } while (to < end);
    row += windows->row_bytes;
  }
}

static int32_t expand_gathered_a4(const tfmpq_windows* windows, int32_t y,
                                  int32_t x, uint32_t* columns) {
  if (is_in_words(windows, y, x)) {
    gather_quads(windows, y, x, 4);
  } else {
    gather_any_a4(windows, y, x);
  }
  return expand_bytes(windows, columns);
}

static int32_t expand_gathered_a2(const tfmpq_windows* windows, int32_t y,
                                  int32_t x, uint32_t* columns) {
  if (is_in_words(windows, y, x)) {
    gather_quads(windows, y, x, 2);
  } else {
    gather_any_a2(windows, y, x);
  }
  if (windows->part->group_codes == 4) return expand_bytes(windows, columns);
  /* Weights of 2 bits, too: the columns are made of packed codes. */
  uint8_t* run = windows->run;
  uint32_t num_left = windows->num_elements;
  const uint32_t num_groups = (num_left + 15) / 16;
  for (uint32_t i = 0; i < num_groups * 4; ++i) {
    uint32_t bytes = tfmpq_load_word(run + 4 * i);
    if (num_left < 4) bytes &= (1u << (8 * num_left)) - 1;
    num_left -= num_left < 4 ? num_left : 4;
    run[i] = (uint8_t)tfmpq_pack_2_bits(bytes);
  }
  return windows->part->expand(run, num_groups, columns, kStride);
}

static tfmpq_expand_window choose_expand(const tfmpq_conv_params* params,
                                         const tfmpq_input_part* part) {
  if (params->input_channels % part->group_codes == 0) return expand_rows;
  if (params->kernel_height * params->kernel_width == 1) return expand_point;
  if (part->bits == 8) return expand_gathered_a8;
  return part->bits == 4 ? expand_gathered_a4 : expand_gathered_a2;
}

tfmpq_windows tfmpq_make_windows(const tfmpq_conv_params* params,
                                 const tfmpq_input_part* part,
                                 const uint8_t* codes, uint8_t* scratch) {
  const uint32_t num_taps =
      (uint32_t)params->kernel_height * params->kernel_width;
  tfmpq_windows windows = {
      .expand = choose_expand(params, part),
      .params = params,
      .part = part,
      .codes = codes,
      .pixel_bytes = tfmpq_run_bytes(params->input_channels, part->bits),
      .num_elements = num_taps * params->input_channels,
      .num_quads = (num_taps * params->input_channels + 3) / 4,
      .row_codes = (uint32_t)params->kernel_width * params->input_channels,
      .last_y = -1,
      .last_x = -1,
      .run = scratch,
  };
  windows.row_bytes = windows.pixel_bytes * params->input_width;
  if (params->input_height >= params->kernel_height &&
      params->input_width >= params->kernel_width) {
    windows.last_y = params->input_height - params->kernel_height;
    windows.last_x = params->input_width - params->kernel_width;
    /* The last row of taps that ends 3 bytes before the input does. */
    windows.last_in_words =
        pixel_at(&windows, windows.last_y, windows.last_x) - 3;
  }
  return windows;
}
