/* max_pool for cores with DSP instructions (Cortex-M4, M7, M33), one function
 * per width:
 *
 *   void tfmpq_max_pool_a<A>__dsp(params, input, output)
 *
 * As max_pool.h says. */
#ifndef TFLM_EXT_KERNELS_MAX_POOL_DSP_H_
#define TFLM_EXT_KERNELS_MAX_POOL_DSP_H_

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_MAX_POOL(a)                                  \
  void tfmpq_max_pool_a##a##__dsp(const tfmpq_pool_params* params, \
                                  const void* input, void* output);
TFMPQ_FOR_EACH_WIDTH(TFMPQ_DECLARE_MAX_POOL)
#undef TFMPQ_DECLARE_MAX_POOL

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_MAX_POOL_DSP_H_ */
