/* depthwise_conv2d for cores with DSP instructions (Cortex-M4, M7, M33), one
 * function per triple of widths:
 *
 *   void tfmpq_depthwise_conv2d_a<A>_w<W>_o<O>__dsp(
 *       params, input, weight, channels, weight_zero_points, output, scratch)
 *
 * As depthwise_conv2d.h says (the weight is in layout TFMPQ_LAYOUT_PLAIN),
 * except
 *
 *   output   may be the input's address if tfmpq_depthwise_conv2d_in_place__dsp
 *            says so; apart from this it must not overlap the input.
 *   scratch  tfmpq_depthwise_conv2d_scratch_bytes__dsp(...) bytes, 4-byte
 *            aligned.
 *
 * The functions that a host may call stand in this header and need no DSP. */
#ifndef TFLM_EXT_KERNELS_DEPTHWISE_CONV2D_DSP_H_
#define TFLM_EXT_KERNELS_DEPTHWISE_CONV2D_DSP_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_DEPTHWISE_CONV2D(a, w, o)                               \
  void tfmpq_depthwise_conv2d_a##a##_w##w##_o##o##__dsp(                      \
      const tfmpq_conv_params* params, const void* input, const void* weight, \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,        \
      void* output, void* scratch);
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DECLARE_DEPTHWISE_CONV2D)
#undef TFMPQ_DECLARE_DEPTHWISE_CONV2D

/* Returns the layout of the weight: always TFMPQ_LAYOUT_PLAIN. */
static inline int tfmpq_depthwise_conv2d_layout__dsp(
    const tfmpq_conv_params* params, int input_bits, int weight_bits) {
  (void)params;
  (void)input_bits;
  (void)weight_bits;
  return TFMPQ_LAYOUT_PLAIN;
}

/* Returns 1 if the output may be at the input's address: if it has neither
 * more rows, nor more columns, nor more bytes per pixel than the input, and the
 * top padding is smaller than the kernel. */
static inline int tfmpq_depthwise_conv2d_in_place__dsp(
    const tfmpq_conv_params* params, int input_bits, int output_bits) {
  const uint32_t num_channels = params->input_channels;
  return params->output_height <= params->input_height &&
         params->output_width <= params->input_width &&
         (num_channels * (uint32_t)output_bits + 7) / 8 <=
             (num_channels * (uint32_t)input_bits + 7) / 8 &&
         params->pad_top < params->kernel_height;
}

/* Returns the number of pairs of neighbouring columns that one row of the
 * padded input takes: all that `output_width`, rounded up to an even number,
 * needs. */
static inline size_t tfmpq_depthwise_conv2d_pairs__dsp(
    const tfmpq_conv_params* params) {
  const size_t even_width = (params->output_width + (size_t)1) / 2 * 2;
  const size_t last =
      (even_width - 1) * params->stride_width + params->kernel_width - 1;
  return last / 2 + 1;
}

/* Returns the bytes of scratch, for 4 channels: 16 * kernel_height * pairs for
 * the rows under the kernel, 4 * output_width (made even) for one output row,
 * 32 * (2 * kernel_height - 1) * (kernel_width / 2 + 1) for the weights. */
static inline size_t tfmpq_depthwise_conv2d_scratch_bytes__dsp(
    const tfmpq_conv_params* params, int input_bits, int weight_bits,
    int output_bits) {
  const size_t height = params->kernel_height;
  const size_t even_width = (params->output_width + (size_t)1) / 2 * 2;
  (void)input_bits;
  (void)weight_bits;
  (void)output_bits;
  return 16 * height * tfmpq_depthwise_conv2d_pairs__dsp(params) +
         4 * even_width +
         32 * (2 * height - 1) * (params->kernel_width / (size_t)2 + 1);
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_DEPTHWISE_CONV2D_DSP_H_ */
