/* Product of a matrix and a vector, packed tensors, one function per triple of
 * widths:
 *
 *   void tfmpq_fully_connected_a<A>_w<W>_o<O>(
 *       params, input, weight, channels, weight_zero_points, output, scratch)
 *
 * As conv2d.h says, except
 *
 *   params   only the channels, zero points, layout and shifts are read.
 *   input    [input_channels], A bits, one packed run.
 *   weight   [output_channels, input_channels], W bits, packed per output
 *            channel.
 *   output   [output_channels], O bits, one packed run. */
#ifndef TFLM_EXT_KERNELS_FULLY_CONNECTED_H_
#define TFLM_EXT_KERNELS_FULLY_CONNECTED_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_FULLY_CONNECTED(a, w, o)                                \
  void tfmpq_fully_connected_a##a##_w##w##_o##o(                              \
      const tfmpq_conv_params* params, const void* input, const void* weight, \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,        \
      void* output, void* scratch);
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DECLARE_FULLY_CONNECTED)
#undef TFMPQ_DECLARE_FULLY_CONNECTED

/* Bytes of scratch that the portable kernels of these widths need: always 0. */
size_t tfmpq_fully_connected_scratch_bytes(const tfmpq_conv_params* params,
                                           int input_bits, int weight_bits,
                                           int output_bits);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_FULLY_CONNECTED_H_ */
