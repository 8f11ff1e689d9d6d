/* add for cores with DSP instructions (Cortex-M4, M7, M33), one function per
 * triple of widths:
 *
 *   void tfmpq_add_a<A>_a<B>_o<O>__dsp(params, input_a, input_b, output)
 *
 * As add.h says. */
#ifndef TFLM_EXT_KERNELS_ADD_DSP_H_
#define TFLM_EXT_KERNELS_ADD_DSP_H_

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_ADD(a, b, o)                                         \
  void tfmpq_add_a##a##_a##b##_o##o##__dsp(const tfmpq_add_params* params, \
                                           const void* input_a,            \
                                           const void* input_b, void* output);
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DECLARE_ADD)
#undef TFMPQ_DECLARE_ADD

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_ADD_DSP_H_ */
