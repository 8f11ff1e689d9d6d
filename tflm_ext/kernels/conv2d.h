/* 2-D convolution of packed tensors, one function per triple of widths:
 *
 *   void tfmpq_conv2d_a<A>_w<W>_o<O>(params, input, weight, channels,
 *                                    weight_zero_points, output, scratch)
 *
 *   params   geometry, zero points and shifts. layout: any; only with
 *            TFMPQ_LAYOUT_PLAIN is it not slow.
 *   input    [input_height, input_width, input_channels], A bits, packed per
 *            pixel. Taps outside the image count as input_zero_point.
 *   weight   [output_channels, kernel_height, kernel_width, input_channels],
 *            W bits, packed per output channel, or as params->layout says.
 *   channels [output_channels], 4-byte aligned: bias with the input zero point
 *            folded in, and multiplier.
 *   weight_zero_points  [output_channels], or NULL where all channels have
 *            params->weight_zero_point (0 if W is 8).
 *   output   [output_height, output_width, output_channels], O bits, packed
 *            per pixel; unused bits are written as zeros. Must not overlap
 *            anything that is read.
 *   scratch  tfmpq_conv2d_scratch_bytes(...) bytes, 4-byte aligned; may be
 *            NULL where that is 0.
 *
 * The numbers and the byte layouts are specified in tflm_ext/README.md. All
 * buffers but channels and scratch may start at any byte address. Nothing is
 * validated: no intermediate may leave int32, as tfmpq's exporters guarantee.
 */
#ifndef TFLM_EXT_KERNELS_CONV2D_H_
#define TFLM_EXT_KERNELS_CONV2D_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_CONV2D(a, w, o)                                         \
  void tfmpq_conv2d_a##a##_w##w##_o##o(                                       \
      const tfmpq_conv_params* params, const void* input, const void* weight, \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,        \
      void* output, void* scratch);
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DECLARE_CONV2D)
#undef TFMPQ_DECLARE_CONV2D

/* Bytes of scratch that the portable kernels of these widths need: always 0.
 * A pure function of its arguments, for the host as for the device, and what
 * tfmpq's memory model assumes. */
size_t tfmpq_conv2d_scratch_bytes(const tfmpq_conv_params* params,
                                  int input_bits, int weight_bits,
                                  int output_bits);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_CONV2D_H_ */
