/* fully_connected for cores with DSP instructions (Cortex-M4, M7, M33), one
 * function per triple of widths:
 *
 *   void tfmpq_fully_connected_a<A>_w<W>_o<O>__dsp(
 *       params, input, weight, channels, weight_zero_points, output, scratch)
 *
 * As fully_connected.h says, except
 *
 *   weight   layout TFMPQ_LAYOUT_DSP (tflm_ext/README.md), 4-byte aligned.
 *   weight_zero_points  padded to a multiple of 4, as in a layer's parameters.
 *   scratch  tfmpq_fully_connected_scratch_bytes__dsp(...) bytes, 4-byte
 *            aligned.
 *
 * The functions that a host may call stand in this header and need no DSP. */
#ifndef TFLM_EXT_KERNELS_FULLY_CONNECTED_DSP_H_
#define TFLM_EXT_KERNELS_FULLY_CONNECTED_DSP_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_FULLY_CONNECTED(a, w, o)                                \
  void tfmpq_fully_connected_a##a##_w##w##_o##o##__dsp(                       \
      const tfmpq_conv_params* params, const void* input, const void* weight, \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,        \
      void* output, void* scratch);
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DECLARE_FULLY_CONNECTED)
#undef TFMPQ_DECLARE_FULLY_CONNECTED

/* Returns the layout of the weight: always TFMPQ_LAYOUT_DSP. */
static inline int tfmpq_fully_connected_layout__dsp(
    const tfmpq_conv_params* params, int input_bits, int weight_bits) {
  (void)params;
  (void)input_bits;
  (void)weight_bits;
  return TFMPQ_LAYOUT_DSP;
}

/* Returns the bytes of scratch: 2 * input_channels, rounded up to 4 channels
 * first; where input and weight have 2 bits, input_channels rounded up to 16.
 */
static inline size_t tfmpq_fully_connected_scratch_bytes__dsp(
    const tfmpq_conv_params* params, int input_bits, int weight_bits,
    int output_bits) {
  const size_t num_channels = params->input_channels;
  (void)output_bits;
  if (input_bits == 2 && weight_bits == 2) return (num_channels + 15) / 16 * 16;
  return (num_channels + 3) / 4 * 4 * 2;
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_FULLY_CONNECTED_DSP_H_ */
