/* Largest code of windows of a packed tensor, one function per width:
 *
 *   void tfmpq_max_pool_a<A>(params, input, output)
 *
 *   params   geometry; zero points, shifts and num_multipliers are not read.
 *   input    [input_height, input_width, channels], A bits, packed per pixel.
 *            Taps outside the image are left out; every window has at least
 *            one tap inside.
 *   output   [output_height, output_width, channels], A bits, in the scale and
 *            zero point of the input; unused bits are written as zeros. Must
 *            not overlap the input.
 *
 * Buffers may start at any byte address. Needs no scratch. */
#ifndef TFLM_EXT_KERNELS_MAX_POOL_H_
#define TFLM_EXT_KERNELS_MAX_POOL_H_

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_MAX_POOL(a)                                              \
  void tfmpq_max_pool_a##a(const tfmpq_pool_params* params, const void* input, \
                           void* output);
TFMPQ_FOR_EACH_WIDTH(TFMPQ_DECLARE_MAX_POOL)
#undef TFMPQ_DECLARE_MAX_POOL

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_MAX_POOL_H_ */
