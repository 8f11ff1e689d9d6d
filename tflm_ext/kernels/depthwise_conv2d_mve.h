/* depthwise_conv2d for cores with MVE (Cortex-M55), one function per triple of
 * widths:
 *
 *   void tfmpq_depthwise_conv2d_a<A>_w<W>_o<O>__mve(
 *       params, input, weight, channels, weight_zero_points, output, scratch)
 *
 * As depthwise_conv2d.h says (the weight is in layout TFMPQ_LAYOUT_PLAIN),
 * except
 *
 *   output   may be the input's address if tfmpq_depthwise_conv2d_in_place__mve
 *            says so; apart from this it must not overlap the input.
 *   scratch  tfmpq_depthwise_conv2d_scratch_bytes__mve(...) bytes, 4-byte
 *            aligned.
 *
 * The functions that a host may call stand in this header and need no MVE. */
#ifndef TFLM_EXT_KERNELS_DEPTHWISE_CONV2D_MVE_H_
#define TFLM_EXT_KERNELS_DEPTHWISE_CONV2D_MVE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_DEPTHWISE_CONV2D(a, w, o)                               \
  void tfmpq_depthwise_conv2d_a##a##_w##w##_o##o##__mve(                      \
      const tfmpq_conv_params* params, const void* input, const void* weight, \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,        \
      void* output, void* scratch);
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DECLARE_DEPTHWISE_CONV2D)
#undef TFMPQ_DECLARE_DEPTHWISE_CONV2D

/* Returns the layout of the weight: always TFMPQ_LAYOUT_PLAIN. */
static inline int tfmpq_depthwise_conv2d_layout__mve(
    const tfmpq_conv_params* params, int input_bits, int weight_bits) {
  (void)params;
  (void)input_bits;
  (void)weight_bits;
  return TFMPQ_LAYOUT_PLAIN;
}

/* Returns 1 if the output may be at the input's address: if it has neither more
 * rows nor more columns than the input, the top padding is smaller than the
 * kernel, and either the widths are equal, or there are no more than 16
 * channels and no more bytes per pixel. (Groups of 16 channels are computed one
 * after another: with unequal widths, one's output would lie where the next
 * one's input is.) */
static inline int tfmpq_depthwise_conv2d_in_place__mve(
    const tfmpq_conv_params* params, int input_bits, int output_bits) {
  const uint32_t num_channels = params->input_channels;
  return params->output_height <= params->input_height &&
         params->output_width <= params->input_width &&
         params->pad_top < params->kernel_height &&
         (input_bits == output_bits ||
          (num_channels <= 16 &&
           (num_channels * (uint32_t)output_bits + 7) / 8 <=
               (num_channels * (uint32_t)input_bits + 7) / 8));
}

/* Returns 1 for a 3x3 kernel with stride 1: two output rows at a time. */
static inline int tfmpq_depthwise_conv2d_is_paired__mve(
    const tfmpq_conv_params* params) {
  return params->kernel_height == 3 && params->kernel_width == 3 &&
         params->stride_height == 1 && params->stride_width == 1;
}

/* Returns 1 for a kernel of up to 4x4 taps. */
static inline int tfmpq_depthwise_conv2d_is_single__mve(
    const tfmpq_conv_params* params) {
  return params->kernel_height <= 4 && params->kernel_width <= 4;
}

/* Returns the columns of the padded input that are kept: if paired,
 * output_width rounded up to 2, and 2; else those under the kernel, its width
 * rounded up to 4, for output_width rounded up to 4. */
static inline size_t tfmpq_depthwise_conv2d_columns__mve(
    const tfmpq_conv_params* params) {
  const size_t output_width = (params->output_width + (size_t)3) / 4 * 4;
  const size_t kernel_width = (params->kernel_width + (size_t)3) / 4 * 4;
  if (tfmpq_depthwise_conv2d_is_paired__mve(params)) {
    return (params->output_width + (size_t)1) / 2 * 2 + 2;
  }
  return (output_width - 1) * params->stride_width + kernel_width;
}

/* Returns the bytes of scratch: 16 * columns * kernel_height for rows of input,
 * unless single; 64 * columns * (kernel_height / 4 rounded up) for them in
 * groups of 4; 336 * (kernel_height / 4 rounded up) * (kernel_width / 4 rounded
 * up) for weights; 16 * (output_width rounded up to 4) for codes, twice if
 * paired, unless the output has 8 bits and even sides. */
static inline size_t tfmpq_depthwise_conv2d_scratch_bytes__mve(
    const tfmpq_conv_params* params, int input_bits, int weight_bits,
    int output_bits) {
  const size_t columns = tfmpq_depthwise_conv2d_columns__mve(params);
  const size_t patch_rows = (params->kernel_height + (size_t)3) / 4;
  const size_t patch_columns = (params->kernel_width + (size_t)3) / 4;
  const size_t output_width = (params->output_width + (size_t)3) / 4 * 4;
  const int has_even_sides =
      params->output_height % 2 == 0 && params->output_width % 2 == 0;
  const int has_two_rows = tfmpq_depthwise_conv2d_is_paired__mve(params) &&
                           !(output_bits == 8 && has_even_sides);
  size_t num_bytes = 64 * columns * patch_rows +
                     336 * patch_rows * patch_columns +
                     16 * output_width * (has_two_rows ? 2 : 1);
  (void)input_bits;
  (void)weight_bits;
  if (!tfmpq_depthwise_conv2d_is_single__mve(params)) {
    num_bytes += 16 * columns * params->kernel_height;
  }
  return num_bytes;
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_DEPTHWISE_CONV2D_MVE_H_ */
