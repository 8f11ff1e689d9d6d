/* The part of a pooling window that lies inside the image. */
#ifndef TFLM_EXT_KERNELS_POOL_WINDOW_H_
#define TFLM_EXT_KERNELS_POOL_WINDOW_H_

#include <stdint.h>

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/types.h"

/* Rows and columns of taps, at least one of each. */
typedef struct {
  const uint8_t* first; /* The pixel of the first tap. */
  uint32_t height;
  uint32_t width;
  uint32_t pixel_bytes;
  uint32_t row_bytes; /* Of the input. */
} tfmpq_pool_window;

/* Returns the window of output pixel (y, x). */
TFMPQ_INLINE tfmpq_pool_window
tfmpq_make_pool_window(const tfmpq_pool_params* params, const uint8_t* input,
                       int32_t y, int32_t x, int bits) {
  const int32_t top = y * params->stride_height - params->pad_top;
  const int32_t left = x * params->stride_width - params->pad_left;
  const int32_t bottom = top + params->kernel_height;
  const int32_t right = left + params->kernel_width;
  const uint32_t y_begin = top < 0 ? 0 : (uint32_t)top;
  const uint32_t x_begin = left < 0 ? 0 : (uint32_t)left;
  const uint32_t y_end =
      bottom < params->input_height ? (uint32_t)bottom : params->input_height;
  const uint32_t x_end =
      right < params->input_width ? (uint32_t)right : params->input_width;
  const uint32_t pixel_bytes = tfmpq_run_bytes(params->channels, bits);
  const uint32_t row_bytes = params->input_width * pixel_bytes;
  const tfmpq_pool_window window = {
      input + y_begin * row_bytes + x_begin * pixel_bytes, y_end - y_begin,
      x_end - x_begin, pixel_bytes, row_bytes};
  return window;
}

#endif /* TFLM_EXT_KERNELS_POOL_WINDOW_H_ */
