#include "tflm_ext/kernels/average_pool_dsp.h"

#include "tflm_ext/kernels/instructions_dsp.h"
#include "tflm_ext/kernels/pool_window.h"
#include "tflm_ext/kernels/quads_dsp.h"
#include "tflm_ext/kernels/rescale.h"

/* Adds the codes of 4 channels over a row of taps to sums. A row has at most
 * 255 taps: halfwords hold its sums. */
TFMPQ_INLINE void add_row(const tfmpq_pool_window* window, const uint8_t* tap,
                          uint32_t num_bytes, int bits, int32_t* sums) {
  uint32_t even = 0; /* Channels 0 and 2. */
  uint32_t odd = 0;  /* Channels 1 and 3. */
  for (uint32_t x = window->width; x > 0; --x) {
    const uint32_t quad = num_bytes == (uint32_t)bits / 2
                              ? tfmpq_load_quad(tap, bits)
                              : tfmpq_load_part_of_quad(tap, num_bytes);
    const uint32_t bytes = tfmpq_unpack_quad(quad, bits);
    even = tfmpq_add_even_bytes(even, bytes);
    odd = tfmpq_add_odd_bytes(odd, bytes);
    tap += window->pixel_bytes;
  }
  sums[0] += (int16_t)even;
  sums[1] += (int16_t)odd;
  sums[2] += (int32_t)even >> 16;
  sums[3] += (int32_t)odd >> 16;
}

/* Returns the quad of averages of 4 channels, whose codes of the window's first
 * tap are at `codes`; num_bytes of them exist. `start`: of the sums. */
TFMPQ_INLINE uint32_t window_average(const tfmpq_pool_window* window,
                                     const uint8_t* codes, uint32_t num_bytes,
                                     int32_t start, int32_t multiplier,
                                     const tfmpq_rescale* rescale, int a_bits,
                                     int o_bits) {
  int32_t sums[4] = {start, start, start, start};
  for (uint32_t y = window->height; y > 0; --y) {
    add_row(window, codes, num_bytes, a_bits, sums);
    codes += window->row_bytes;
  }
  uint32_t quad = 0;
  for (int c = 0; c < 4; ++c) {
    const int32_t shifted = (int32_t)((uint32_t)sums[c] << rescale->pre_shift);
    const int32_t value =
        tfmpq_add_high(shifted, multiplier, rescale->offset) >> rescale->shift;
    const uint32_t code = (uint32_t)tfmpq_saturate(value, o_bits);
    quad |= (code & ((1u << o_bits) - 1)) << (c * o_bits);
  }
  return quad;
}

/* Writes an output pixel. Returns where the next one goes. */
TFMPQ_INLINE uint8_t* write_pixel(const tfmpq_pool_params* params,
                                  const tfmpq_pool_window* window,
                                  int32_t multiplier,
                                  const tfmpq_rescale* rescale, uint8_t* output,
                                  int a_bits, int o_bits) {
  const int32_t start =
      -params->input_zero_point * (int32_t)(window->height * window->width);
  const uint8_t* codes = window->first;
  for (uint32_t c = 0; c < params->channels; c += 4) {
    const uint32_t num_left = params->channels - c;
    const uint32_t num_codes = num_left < 4 ? num_left : 4;
    const uint32_t quad =
        window_average(window, codes, tfmpq_run_bytes(num_codes, a_bits), start,
                       multiplier, rescale, a_bits, o_bits);
    if (num_codes == 4) {
      tfmpq_store_quad(output, quad, o_bits);
    } else {
      tfmpq_store_part_of_quad(output, quad, num_codes, o_bits);
    }
    codes += a_bits / 2;
    output += tfmpq_run_bytes(num_codes, o_bits);
  }
  return output;
}

TFMPQ_INLINE void average_pool(const tfmpq_pool_params* params,
                               const uint8_t* input, const int32_t* multipliers,
                               uint8_t* output, int a_bits, int o_bits) {
  const tfmpq_rescale rescale = tfmpq_make_rescale(
      params->output_zero_point, params->shift, params->pre_shift);
  for (int32_t y = 0; y < params->output_height; ++y) {
    for (int32_t x = 0; x < params->output_width; ++x) {
      const tfmpq_pool_window window =
          tfmpq_make_pool_window(params, input, y, x, a_bits);
      const uint32_t taps = window.height * window.width;
      const int32_t multiplier =
          multipliers[params->num_multipliers == 1 ? 0 : taps - 1];
      output = write_pixel(params, &window, multiplier, &rescale, output,
                           a_bits, o_bits);
    }
  }
}

#define TFMPQ_DEFINE_AVERAGE_POOL(a, o)                     \
  void tfmpq_average_pool_a##a##_o##o##__dsp(               \
      const tfmpq_pool_params* params, const void* input,   \
      const int32_t* multipliers, void* output) {           \
    average_pool(params, input, multipliers, output, a, o); \
  }
TFMPQ_FOR_EACH_PAIR(TFMPQ_DEFINE_AVERAGE_POOL)
