/* 2-D convolution of every channel by itself, packed tensors, one function per
 * triple of widths:
 *
 *   void tfmpq_depthwise_conv2d_a<A>_w<W>_o<O>(
 *       params, input, weight, channels, weight_zero_points, output, scratch)
 *
 * As conv2d.h says, except
 *
 *   params   input_channels = output_channels.
 *   weight   [kernel_height, kernel_width, input_channels], W bits, packed per
 *            tap. */
#ifndef TFLM_EXT_KERNELS_DEPTHWISE_CONV2D_H_
#define TFLM_EXT_KERNELS_DEPTHWISE_CONV2D_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_DEPTHWISE_CONV2D(a, w, o)                               \
  void tfmpq_depthwise_conv2d_a##a##_w##w##_o##o(                             \
      const tfmpq_conv_params* params, const void* input, const void* weight, \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,        \
      void* output, void* scratch);
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DECLARE_DEPTHWISE_CONV2D)
#undef TFMPQ_DECLARE_DEPTHWISE_CONV2D

/* Bytes of scratch that the portable kernels of these widths need: always 0. */
size_t tfmpq_depthwise_conv2d_scratch_bytes(const tfmpq_conv_params* params,
                                            int input_bits, int weight_bits,
                                            int output_bits);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_DEPTHWISE_CONV2D_H_ */
