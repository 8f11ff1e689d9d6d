/* average_pool for cores with DSP instructions (Cortex-M4, M7, M33), one
 * function per pair of widths:
 *
 *   void tfmpq_average_pool_a<A>_o<O>__dsp(params, input, multipliers, output)
 *
 * As average_pool.h says. */
#ifndef TFLM_EXT_KERNELS_AVERAGE_POOL_DSP_H_
#define TFLM_EXT_KERNELS_AVERAGE_POOL_DSP_H_

#include <stdint.h>

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_AVERAGE_POOL(a, o)                  \
  void tfmpq_average_pool_a##a##_o##o##__dsp(             \
      const tfmpq_pool_params* params, const void* input, \
      const int32_t* multipliers, void* output);
TFMPQ_FOR_EACH_PAIR(TFMPQ_DECLARE_AVERAGE_POOL)
#undef TFMPQ_DECLARE_AVERAGE_POOL

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_AVERAGE_POOL_DSP_H_ */
