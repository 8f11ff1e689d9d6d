/* conv2d for cores with DSP instructions (Cortex-M4, M7, M33), one function
 * per triple of widths:
 *
 *   void tfmpq_conv2d_a<A>_w<W>_o<O>__dsp(params, input, weight, channels,
 *                                         weight_zero_points, output, scratch)
 *
 * As conv2d.h says, except
 *
 *   weight   layout TFMPQ_LAYOUT_DSP (tflm_ext/README.md), 4-byte aligned.
 *   weight_zero_points  padded to a multiple of 4, as in a layer's parameters.
 *   scratch  tfmpq_conv2d_scratch_bytes__dsp(...) bytes, 4-byte aligned.
 *
 * The functions that a host may call stand in this header and need no DSP. */
#ifndef TFLM_EXT_KERNELS_CONV2D_DSP_H_
#define TFLM_EXT_KERNELS_CONV2D_DSP_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_CONV2D(a, w, o)                                         \
  void tfmpq_conv2d_a##a##_w##w##_o##o##__dsp(                                \
      const tfmpq_conv_params* params, const void* input, const void* weight, \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,        \
      void* output, void* scratch);
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DECLARE_CONV2D)
#undef TFMPQ_DECLARE_CONV2D

/* Returns the layout of the weight. TFMPQ_LAYOUT_PLAIN means that only the
 * portable kernel computes this layer: scaled sums of more elements than this
 * could leave int32. */
static inline int tfmpq_conv2d_layout__dsp(const tfmpq_conv_params* params,
                                           int input_bits, int weight_bits) {
  const uint32_t taps = (uint32_t)params->kernel_height * params->kernel_width;
  (void)input_bits;
  (void)weight_bits;
  return (uint64_t)taps * params->input_channels > 65535 ? TFMPQ_LAYOUT_PLAIN
                                                         : TFMPQ_LAYOUT_DSP;
}

/* Returns the bytes of scratch. With K = kernel_height * kernel_width *
 * input_channels rounded up to a group (16 elements if input and weight have 2
 * bits, else 4): 4 * K (2 * K if both have 2 bits) for two pixels' elements;
 * and, if the kernel is not 1x1 and input_channels is no multiple of a group,
 * K + 4 for one pixel's codes. */
static inline size_t tfmpq_conv2d_scratch_bytes__dsp(
    const tfmpq_conv_params* params, int input_bits, int weight_bits,
    int output_bits) {
  const int both_2 = input_bits == 2 && weight_bits == 2;
  const size_t group = both_2 ? 16 : 4;
  const size_t taps = (size_t)params->kernel_height * params->kernel_width;
  const size_t num_elements =
      (taps * params->input_channels + group - 1) / group * group;
  const size_t pixels_bytes = num_elements * (both_2 ? 2 : 4);
  (void)output_bits;
  if (taps == 1 || params->input_channels % group == 0) return pixels_bytes;
  return pixels_bytes + num_elements + 4;
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_CONV2D_DSP_H_ */
