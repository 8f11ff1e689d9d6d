#include "tflm_ext/kernels/max_pool.h"

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/pool_window.h"

/* Returns the largest code of channel c in the window. */
TFMPQ_INLINE int32_t window_max(const tfmpq_pool_window* window, uint32_t c,
                                int bits) {
  const uint8_t* row = window->first;
  int32_t largest = tfmpq_code(row, c, bits);
  for (uint32_t y = 0; y < window->height; ++y) {
    const uint8_t* pixel = row;
    for (uint32_t x = 0; x < window->width; ++x) {
      const int32_t code = tfmpq_code(pixel, c, bits);
      if (code > largest) largest = code;
      pixel += window->pixel_bytes;
    }
    row += window->row_bytes;
  }
  return largest;
}

TFMPQ_INLINE void max_pool(const tfmpq_pool_params* params,
                           const uint8_t* input, uint8_t* output, int bits) {
  tfmpq_writer writer = {output, 0, 0};
  for (int32_t y = 0; y < params->output_height; ++y) {
    for (int32_t x = 0; x < params->output_width; ++x) {
      const tfmpq_pool_window window =
          tfmpq_make_pool_window(params, input, y, x, bits);
      for (uint32_t c = 0; c < params->channels; ++c) {
        tfmpq_put(&writer, window_max(&window, c, bits), bits);
      }
      tfmpq_end_run(&writer);
    }
  }
}

#define TFMPQ_DEFINE_MAX_POOL(a)                                               \
  void tfmpq_max_pool_a##a(const tfmpq_pool_params* params, const void* input, \
                           void* output) {                                     \
    max_pool(params, input, output, a);                                        \
  }
TFMPQ_FOR_EACH_WIDTH(TFMPQ_DEFINE_MAX_POOL)
