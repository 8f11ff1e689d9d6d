#include "tflm_ext/kernels/average_pool.h"

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/pool_window.h"
#include "tflm_ext/kernels/rescale.h"

/* Returns the sum of the codes of channel c over the window. */
TFMPQ_INLINE int32_t window_sum(const tfmpq_pool_window* window, uint32_t c,
                                int bits) {
  int32_t sum = 0;
  const uint8_t* row = window->first;
  for (uint32_t y = 0; y < window->height; ++y) {
    const uint8_t* pixel = row;
    for (uint32_t x = 0; x < window->width; ++x) {
      sum += tfmpq_code(pixel, c, bits);
      pixel += window->pixel_bytes;
    }
    row += window->row_bytes;
  }
  return sum;
}

TFMPQ_INLINE void average_pool(const tfmpq_pool_params* params,
                               const uint8_t* input, const int32_t* multipliers,
                               uint8_t* output, int a_bits, int o_bits) {
  const tfmpq_rescale rescale = tfmpq_make_rescale(
      params->output_zero_point, params->shift, params->pre_shift);
  tfmpq_writer writer = {output, 0, 0};
  for (int32_t y = 0; y < params->output_height; ++y) {
    for (int32_t x = 0; x < params->output_width; ++x) {
      const tfmpq_pool_window window =
          tfmpq_make_pool_window(params, input, y, x, a_bits);
      const uint32_t taps = window.height * window.width;
      const int32_t multiplier =
          multipliers[params->num_multipliers == 1 ? 0 : taps - 1];
      for (uint32_t c = 0; c < params->channels; ++c) {
        const int32_t accumulator = window_sum(&window, c, a_bits) -
                                    params->input_zero_point * (int32_t)taps;
        tfmpq_put(&writer,
                  tfmpq_requantize(accumulator, multiplier, &rescale, o_bits),
                  o_bits);
      }
      tfmpq_end_run(&writer);
    }
  }
}

#define TFMPQ_DEFINE_AVERAGE_POOL(a, o)                     \
  void tfmpq_average_pool_a##a##_o##o(                      \
      const tfmpq_pool_params* params, const void* input,   \
      const int32_t* multipliers, void* output) {           \
    average_pool(params, input, multipliers, output, a, o); \
  }
TFMPQ_FOR_EACH_PAIR(TFMPQ_DEFINE_AVERAGE_POOL)
