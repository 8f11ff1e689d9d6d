/* fully_connected for cores with MVE (Cortex-M55), one function per triple of
 * widths:
 *
 *   void tfmpq_fully_connected_a<A>_w<W>_o<O>__mve(
 *       params, input, weight, channels, weight_zero_points, output, scratch)
 *
 * As fully_connected.h says, except
 *
 *   weight   layout TFMPQ_LAYOUT_MVE (tflm_ext/README.md).
 *   scratch  tfmpq_fully_connected_scratch_bytes__mve(...) bytes.
 *
 * The functions that a host may call stand in this header and need no MVE. */
#ifndef TFLM_EXT_KERNELS_FULLY_CONNECTED_MVE_H_
#define TFLM_EXT_KERNELS_FULLY_CONNECTED_MVE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_FULLY_CONNECTED(a, w, o)                                \
  void tfmpq_fully_connected_a##a##_w##w##_o##o##__mve(                       \
      const tfmpq_conv_params* params, const void* input, const void* weight, \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,        \
      void* output, void* scratch);
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DECLARE_FULLY_CONNECTED)
#undef TFMPQ_DECLARE_FULLY_CONNECTED

/* Returns the layout of the weight: always TFMPQ_LAYOUT_MVE. */
static inline int tfmpq_fully_connected_layout__mve(
    const tfmpq_conv_params* params, int input_bits, int weight_bits) {
  (void)params;
  (void)input_bits;
  (void)weight_bits;
  return TFMPQ_LAYOUT_MVE;
}

/* Returns the bytes of scratch: input_channels rounded up to 16, unless the
 * input has 8 bits and a multiple of 16 channels. */
static inline size_t tfmpq_fully_connected_scratch_bytes__mve(
    const tfmpq_conv_params* params, int input_bits, int weight_bits,
    int output_bits) {
  const size_t num_channels = params->input_channels;
  (void)weight_bits;
  (void)output_bits;
  if (input_bits == 8 && num_channels % 16 == 0) return 0;
  return (num_channels + 15) / 16 * 16;
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_FULLY_CONNECTED_MVE_H_ */
