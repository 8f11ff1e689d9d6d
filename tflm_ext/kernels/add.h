/* Elementwise sum of two packed tensors, one function per triple of widths:
 *
 *   void tfmpq_add_a<A>_a<B>_o<O>(params, input_a, input_b, output)
 *
 *   params   number of pixels, channels, zero points, multipliers, shift.
 *   input_a  [num_pixels, channels], A bits, packed per pixel.
 *   input_b  the same shape, B bits.
 *   output   the same shape, O bits; unused bits are written as zeros.
 *
 * output may be an input's address if that input's pixels take at least as
 * many bytes as the output's; apart from this it must not overlap an input.
 * Buffers may start at any byte address. Needs no scratch. See
 * tflm_ext/README.md for numbers and layout. */
#ifndef TFLM_EXT_KERNELS_ADD_H_
#define TFLM_EXT_KERNELS_ADD_H_

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_ADD(a, b, o)                                            \
  void tfmpq_add_a##a##_a##b##_o##o(const tfmpq_add_params* params,           \
                                    const void* input_a, const void* input_b, \
                                    void* output);
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DECLARE_ADD)
#undef TFMPQ_DECLARE_ADD

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_ADD_H_ */
