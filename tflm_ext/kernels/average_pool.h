/* Average over windows of a packed tensor (a global average where the window
 * is the image), one function per pair of widths:
 *
 *   void tfmpq_average_pool_a<A>_o<O>(params, input, multipliers, output)
 *
 *   params   geometry, zero points, shifts and the number of multipliers.
 *   input    [input_height, input_width, channels], A bits, packed per pixel.
 *            Taps outside the image are not counted; every window has at least
 *            one tap inside.
 *   multipliers  int32, 4-byte aligned: params->num_multipliers of them. One
 *            where there is no padding; else kernel_height * kernel_width, of
 *            which number n - 1 rescales the sum of n taps.
 *   output   [output_height, output_width, channels], O bits; unused bits are
 *            written as zeros. Must not overlap the input.
 *
 * Buffers but multipliers may start at any byte address. Needs no scratch. See
 * tflm_ext/README.md for numbers and layout. */
#ifndef TFLM_EXT_KERNELS_AVERAGE_POOL_H_
#define TFLM_EXT_KERNELS_AVERAGE_POOL_H_

#include <stdint.h>

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_AVERAGE_POOL(a, o)                  \
  void tfmpq_average_pool_a##a##_o##o(                    \
      const tfmpq_pool_params* params, const void* input, \
      const int32_t* multipliers, void* output);
TFMPQ_FOR_EACH_PAIR(TFMPQ_DECLARE_AVERAGE_POOL)
#undef TFMPQ_DECLARE_AVERAGE_POOL

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_AVERAGE_POOL_H_ */
