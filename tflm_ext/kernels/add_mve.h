/* add for cores with MVE (Cortex-M55), one function per
 * triple of widths:
 *
 *   void tfmpq_add_a<A>_a<B>_o<O>__mve(params, input_a, input_b, output)
 *
 * As add.h says. */
#ifndef TFLM_EXT_KERNELS_ADD_MVE_H_
#define TFLM_EXT_KERNELS_ADD_MVE_H_

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_ADD(a, b, o)                                         \
  void tfmpq_add_a##a##_a##b##_o##o##__mve(const tfmpq_add_params* params, \
                                           const void* input_a,            \
                                           const void* input_b, void* output);
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DECLARE_ADD)
#undef TFMPQ_DECLARE_ADD

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_ADD_MVE_H_ */
