#include "tflm_ext/kernels/average_pool_mve.h"

#include "tflm_ext/kernels/lanes_mve.h"
#include "tflm_ext/kernels/pool_window.h"

/* Returns sums over the window of the channels at `offset` bytes of a pixel, 16
 * of them or num_channels if that is less. A row has at most 255 taps, whose
 * sum fits into 16 bits. */
TFMPQ_INLINE tfmpq_wide window_sums(const tfmpq_pool_window* window,
                                    uint32_t offset, uint32_t num_channels,
                                    int bits) {
  tfmpq_wide sums = {
      {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)}};
  const uint8_t* row = window->first + offset;
  for (uint32_t y = 0; y < window->height; ++y) {
    int16x8_t even = vdupq_n_s16(0);
    int16x8_t odd = vdupq_n_s16(0);
    const uint8_t* pixel = row;
    for (uint32_t x = 0; x < window->width; ++x) {
      const int8x16_t codes =
          num_channels >= kTfmpqLanes
              ? tfmpq_load_codes(pixel, bits)
              : tfmpq_load_some_codes(pixel, num_channels, bits);
      even = vaddq_s16(even, vmovlbq_s8(codes));
      odd = vaddq_s16(odd, vmovltq_s8(codes));
      pixel += window->pixel_bytes;
    }
    const tfmpq_wide of_row = tfmpq_widen_halves(even, odd);
    for (int i = 0; i < 4; ++i) {
      sums.quarters[i] = vaddq_s32(sums.quarters[i], of_row.quarters[i]);
    }
    row += window->row_bytes;
  }
  return sums;
}

/* Writes an output pixel. */
TFMPQ_INLINE void write_pixel(const tfmpq_pool_params* params,
                              const tfmpq_pool_window* window,
                              const tfmpq_vector_rescale* rescale,
                              const int32_t* multipliers, uint8_t* output,
                              int a_bits, int o_bits) {
  const uint32_t taps = window->height * window->width;
  const int32_t multiplier =
      multipliers[params->num_multipliers == 1 ? 0 : taps - 1];
  const int32_t start = -params->input_zero_point * (int32_t)taps;
  uint32_t offset = 0;
  for (uint32_t c = 0; c < params->channels; c += kTfmpqLanes) {
    const uint32_t left = params->channels - c;
    tfmpq_wide sums = window_sums(window, offset, left, a_bits);
    for (int i = 0; i < 4; ++i) {
      sums.quarters[i] = tfmpq_rescale_vector(
          vaddq_n_s32(sums.quarters[i], start), multiplier, rescale);
    }
    const int8x16_t codes = tfmpq_narrow(sums, o_bits);
    if (left >= kTfmpqLanes) {
      tfmpq_store_codes(output, codes, o_bits);
    } else {
      tfmpq_store_some_codes(output, codes, left, o_bits);
    }
    offset += tfmpq_vector_bytes(a_bits);
    output += tfmpq_vector_bytes(o_bits);
  }
}

TFMPQ_INLINE void average_pool(const tfmpq_pool_params* params,
                               const uint8_t* input, const int32_t* multipliers,
                               uint8_t* output, int a_bits, int o_bits) {
  const tfmpq_vector_rescale rescale = tfmpq_make_vector_rescale(
      params->output_zero_point, params->shift, params->pre_shift);
  for (int32_t y = 0; y < params->output_height; ++y) {
    for (int32_t x = 0; x < params->output_width; ++x) {
      const tfmpq_pool_window window =
          tfmpq_make_pool_window(params, input, y, x, a_bits);
      write_pixel(params, &window, &rescale, multipliers, output, a_bits,
                  o_bits);
      output += tfmpq_run_bytes(params->channels, o_bits);
    }
  }
}

#define TFMPQ_DEFINE_AVERAGE_POOL(a, o)                     \
  void tfmpq_average_pool_a##a##_o##o##__mve(               \
      const tfmpq_pool_params* params, const void* input,   \
      const int32_t* multipliers, void* output) {           \
    average_pool(params, input, multipliers, output, a, o); \
  }
TFMPQ_FOR_EACH_PAIR(TFMPQ_DEFINE_AVERAGE_POOL)
