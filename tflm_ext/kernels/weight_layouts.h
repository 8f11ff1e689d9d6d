/* Weights in any layout (tflm_ext/README.md, "Weight layouts"), code by code:
 * how a portable kernel reads what was laid out for another one. Slow. */
#ifndef TFLM_EXT_KERNELS_WEIGHT_LAYOUTS_H_
#define TFLM_EXT_KERNELS_WEIGHT_LAYOUTS_H_

#include <stdint.h>

#include "tflm_ext/kernels/types.h"

/* The weight of a conv2d or fully_connected: a row of elements per output
 * channel. */
typedef struct {
  const uint8_t* packed;
  uint32_t num_elements; /* Of a row. */
  int layout;
  int a_bits;
  int w_bits;
} tfmpq_weights;

/* Returns the sum of codes first..first + count - 1 of a row. */
int32_t tfmpq_weights_sum(const tfmpq_weights* weights, uint32_t row,
                          uint32_t first, uint32_t count);

/* Returns the sum of x[i] * w[first + i] over i < count, where x is a run of
 * a_bits and w a row. */
int32_t tfmpq_weights_dot(const tfmpq_weights* weights, uint32_t row,
                          uint32_t first, const uint8_t* x, uint32_t count);

#endif /* TFLM_EXT_KERNELS_WEIGHT_LAYOUTS_H_ */
