#include "tflm_ext/kernels/max_pool_dsp.h"

#include "tflm_ext/kernels/instructions_dsp.h"
#include "tflm_ext/kernels/pool_window.h"
#include "tflm_ext/kernels/quads_dsp.h"

/* Returns the quad of largest codes of 4 channels, whose codes of the window's
 * first tap are at `codes`; num_bytes of them exist. */
TFMPQ_INLINE uint32_t window_max(const tfmpq_pool_window* window,
                                 const uint8_t* codes, uint32_t num_bytes,
                                 int bits) {
  uint32_t largest = bits == 8 ? 0x80808080 : 0; /* Lowest codes. */
  for (uint32_t y = window->height; y > 0; --y) {
    const uint8_t* tap = codes;
    for (uint32_t x = window->width; x > 0; --x) {
      const uint32_t quad = num_bytes == (uint32_t)bits / 2
                                ? tfmpq_load_quad(tap, bits)
                                : tfmpq_load_part_of_quad(tap, num_bytes);
      largest = tfmpq_max_bytes(largest, tfmpq_unpack_quad(quad, bits));
      tap += window->pixel_bytes;
    }
    codes += window->row_bytes;
  }
  return tfmpq_pack_quad(largest, bits);
}

/* Writes an output pixel. Returns where the next one goes. */
TFMPQ_INLINE uint8_t* write_pixel(const tfmpq_pool_window* window,
                                  uint32_t num_channels, uint8_t* output,
                                  int bits) {
  const uint32_t quad_bytes = (uint32_t)bits / 2;
  const uint8_t* codes = window->first;
  for (; num_channels >= 4; num_channels -= 4) {
    tfmpq_store_quad(output, window_max(window, codes, quad_bytes, bits), bits);
    codes += quad_bytes;
    output += quad_bytes;
  }
  if (num_channels == 0) return output;
  const uint32_t num_bytes = tfmpq_run_bytes(num_channels, bits);
  tfmpq_store_part_of_quad(output, window_max(window, codes, num_bytes, bits),
                           num_channels, bits);
  return output + num_bytes;
}

TFMPQ_INLINE void max_pool(const tfmpq_pool_params* params,
                           const uint8_t* input, uint8_t* output, int bits) {
  for (int32_t y = 0; y < params->output_height; ++y) {
    for (int32_t x = 0; x < params->output_width; ++x) {
      const tfmpq_pool_window window =
          tfmpq_make_pool_window(params, input, y, x, bits);
      output = write_pixel(&window, params->channels, output, bits);
    }
  }
}

#define TFMPQ_DEFINE_MAX_POOL(a)                                     \
  void tfmpq_max_pool_a##a##__dsp(const tfmpq_pool_params* params,   \
                                  const void* input, void* output) { \
    max_pool(params, input, output, a);                              \
  }
TFMPQ_FOR_EACH_WIDTH(TFMPQ_DEFINE_MAX_POOL)
