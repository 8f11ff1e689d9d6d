#include "tflm_ext/kernels/max_pool_mve.h"

#include "tflm_ext/kernels/lanes_mve.h"
#include "tflm_ext/kernels/pool_window.h"

/* Returns the largest codes in the window of the channels at `offset` bytes of
 * a pixel, 16 of them or num_channels if that is less. */
TFMPQ_INLINE int8x16_t largest_codes(const tfmpq_pool_window* window,
                                     uint32_t offset, uint32_t num_channels,
                                     int bits) {
  int8x16_t largest = vdupq_n_s8(-128);
  const uint8_t* row = window->first + offset;
  for (uint32_t y = 0; y < window->height; ++y) {
    const uint8_t* pixel = row;
    for (uint32_t x = 0; x < window->width; ++x) {
      const int8x16_t codes =
          num_channels >= kTfmpqLanes
              ? tfmpq_load_codes(pixel, bits)
              : tfmpq_load_some_codes(pixel, num_channels, bits);
      largest = vmaxq_s8(largest, codes);
      pixel += window->pixel_bytes;
    }
    row += window->row_bytes;
  }
  return largest;
}

TFMPQ_INLINE void max_pool(const tfmpq_pool_params* params,
                           const uint8_t* input, uint8_t* output, int bits) {
  const uint32_t pixel_bytes = tfmpq_run_bytes(params->channels, bits);
  for (int32_t y = 0; y < params->output_height; ++y) {
    for (int32_t x = 0; x < params->output_width; ++x) {
      const tfmpq_pool_window window =
          tfmpq_make_pool_window(params, input, y, x, bits);
      uint32_t offset = 0;
      for (uint32_t c = 0; c < params->channels; c += kTfmpqLanes) {
        const uint32_t left = params->channels - c;
        const int8x16_t codes = largest_codes(&window, offset, left, bits);
        if (left >= kTfmpqLanes) {
          tfmpq_store_codes(output + offset, codes, bits);
        } else {
          tfmpq_store_some_codes(output + offset, codes, left, bits);
        }
        offset += tfmpq_vector_bytes(bits);
      }
      output += pixel_bytes;
    }
  }
}

#define TFMPQ_DEFINE_MAX_POOL(a)                                     \
  void tfmpq_max_pool_a##a##__mve(const tfmpq_pool_params* params,   \
                                  const void* input, void* output) { \
    max_pool(params, input, output, a);                              \
  }
TFMPQ_FOR_EACH_WIDTH(TFMPQ_DEFINE_MAX_POOL)
