#include "tflm_ext/kernels/windows_mve.h"

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

/* Writes the zero point under `num_codes` elements outside the image. */
static int32_t pad(int32_t zero_point, uint32_t num_codes, int8_t* to) {
  const int8x16_t codes = vdupq_n_s8((int8_t)zero_point);
  for (uint32_t i = 0; i < num_codes; i += kTfmpqLanes) {
    vstrbq_s8(to + i, codes);
  }
  return zero_point * (int32_t)num_codes;
}

/* Writes taps of a row that lie inside. */
TFMPQ_INLINE int32_t expand_taps(const uint8_t* pixel, uint32_t num_taps,
                                 uint32_t num_channels, int8_t* to, int bits) {
  if (num_channels * (uint32_t)bits % 8 == 0) {
    return expand_run(pixel, num_taps * num_channels, to, bits);
  }
  int32_t sum = 0;
  for (; num_taps > 0; --num_taps) {
    sum += expand_run(pixel, num_channels, to, bits);
    pixel += tfmpq_run_bytes(num_channels, bits);
    to += num_channels;
  }
  return sum;
}

/* A window that crosses the edge of the image. */
TFMPQ_INLINE int32_t fill_at_edge(const tfmpq_conv_params* params,
                                  const uint8_t* input, int32_t y, int32_t x,
                                  int8_t* to, int bits) {
  const uint32_t num_channels = params->input_channels;
  const uint32_t pixel_bytes = tfmpq_run_bytes(num_channels, bits);
  const int32_t width = params->input_width;
  const int32_t x_end = x + params->kernel_width;
  const int32_t begin = x < 0 ? 0 : x;
  const int32_t end = x_end < width ? x_end : width;
  const int32_t y_end = y + params->kernel_height;
  const int32_t z = params->input_zero_point;
  int32_t sum = 0;
  for (; y < y_end; ++y) {
    uint32_t num_left = params->kernel_width;
    if (y >= 0 && y < params->input_height && begin < end) {
      const uint32_t num_inside = (uint32_t)(end - begin);
      const uint32_t pixel = (uint32_t)(y * width + begin);
      num_left = (uint32_t)(begin - x);
      sum += pad(z, num_left * num_channels, to);
      to += num_left * num_channels;
      sum += expand_taps(input + pixel * pixel_bytes, num_inside, num_channels,
                         to, bits);
      to += num_inside * num_channels;
      num_left = (uint32_t)(x_end - end);
    }
    sum += pad(z, num_left * num_channels, to);
    to += num_left * num_channels;
  }
  return sum;
}

/* Rows of no more elements than a vector has lanes, of 8 bits: a first layer.
 */
TFMPQ_INLINE int32_t copy_short_rows(const uint8_t* row, uint32_t num_rows,
                                     uint32_t row_bytes, uint32_t num_codes,
                                     int8_t* to) {
  const mve_pred16_t inside = vctp8q(num_codes);
  int32_t sum = 0;
  for (; num_rows > 0; --num_rows) {
    const int8x16_t codes = vldrbq_z_s8((const int8_t*)row, inside);
    vstrbq_s8(to, codes);
    sum = vaddvaq_s8(sum, codes);
    row += row_bytes;
    to += num_codes;
  }
  return sum;
}

TFMPQ_INLINE int32_t fill_column(const tfmpq_conv_params* params,
                                 const uint8_t* input, int32_t y, int32_t x,
                                 int8_t* to, int bits) {
  const uint32_t height = params->kernel_height;
  const uint32_t width = params->kernel_width;
  if (y < 0 || x < 0 || y + (int32_t)height > params->input_height ||
      x + (int32_t)width > params->input_width) {
    return fill_at_edge(params, input, y, x, to, bits);
  }
  const uint32_t num_channels = params->input_channels;
  const uint32_t pixel_bytes = tfmpq_run_bytes(num_channels, bits);
  const uint32_t row_bytes = params->input_width * pixel_bytes;
  const uint8_t* row =
      input + (uint32_t)y * row_bytes + (uint32_t)x * pixel_bytes;
  if (bits == 8 && width * num_channels <= kTfmpqLanes) {
    return copy_short_rows(row, height, row_bytes, width * num_channels, to);
  }
  int32_t sum = 0;
  for (uint32_t i = 0; i < height; ++i) {
    sum += expand_taps(row, width, num_channels, to, bits);
    row += row_bytes;
    to += width * num_channels;
  }
  return sum;
}

TFMPQ_INLINE void pack_run(const int8_t* codes, uint32_t num_codes,
                           uint8_t* run, int bits) {
  for (uint32_t i = num_codes / kTfmpqLanes; i > 0; --i) {
    tfmpq_store_codes(run, vldrbq_s8(codes), bits);
    codes += kTfmpqLanes;
    run += tfmpq_vector_bytes(bits);
  }
  const uint32_t num_rest = num_codes % kTfmpqLanes;
  if (num_rest == 0) return;
  const int8x16_t rest = vldrbq_z_s8(codes, vctp8q(num_rest));
  tfmpq_store_some_codes(run, rest, num_rest, bits);
}

#define DEFINE(bits)                                                           \
  int32_t tfmpq_fill_column_a##bits##__mve(const tfmpq_conv_params* params,    \
                                           const uint8_t* input, int32_t y,    \
                                           int32_t x, int8_t* column) {        \
    return fill_column(params, input, y, x, column, bits);                     \
  }                                                                            \
  int32_t tfmpq_expand_run_a##bits##__mve(const uint8_t* run,                  \
                                          uint32_t num_codes, int8_t* codes) { \
    return expand_run(run, num_codes, codes, bits);                            \
  }                                                                            \
  void tfmpq_pack_run_o##bits##__mve(const int8_t* codes, uint32_t num_codes,  \
                                     uint8_t* run) {                           \
    pack_run(codes, num_codes, run, bits);                                     \
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
