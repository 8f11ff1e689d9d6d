/* The rescaling of accumulators to output codes, for the portable kernels. */
#ifndef TFLM_EXT_KERNELS_RESCALE_H_
#define TFLM_EXT_KERNELS_RESCALE_H_

#include <stdint.h>

#include "tflm_ext/kernels/codes.h"

/* C leaves the right shift of a negative number to the compiler; ours must be
 * an arithmetic one. */
typedef char tfmpq_right_shift_is_arithmetic[(-3 >> 1) == -2 ? 1 : -1];

/* What all channels of a layer have in common. `offset` holds the output zero
 * point and the rounding constant, both shifted: at most 2^30 in magnitude. */
typedef struct {
  int32_t offset;
  int shift;
  int pre_shift;
} tfmpq_rescale;

/* Shifts are made on unsigned numbers: a left shift of a negative number and
 * 1 << 31 are undefined. */
TFMPQ_INLINE tfmpq_rescale tfmpq_make_rescale(int32_t zero_point, int shift,
                                              int pre_shift) {
  const uint32_t half = (uint32_t)1 << (shift - 1);
  const tfmpq_rescale rescale = {
      (int32_t)(((uint32_t)zero_point << shift) + half), shift, pre_shift};
  return rescale;
}

/* Returns the code nearest to value in the range of `bits`. */
TFMPQ_INLINE int32_t tfmpq_clamp(int32_t value, int bits) {
  const int32_t lowest = bits == 8 ? -128 : 0;
  const int32_t highest = bits == 8 ? 127 : (1 << bits) - 1;
  if (value < lowest) return lowest;
  return value > highest ? highest : value;
}

/* Returns the output code of an accumulator: z_out + accumulator * multiplier
 * * 2^(pre_shift - 32 - shift), rounded half up and clamped. */
TFMPQ_INLINE int32_t tfmpq_requantize(int32_t accumulator, int32_t multiplier,
                                      const tfmpq_rescale* rescale, int bits) {
  const int32_t shifted =
      (int32_t)((uint32_t)accumulator << rescale->pre_shift);
  const int32_t high = (int32_t)(((int64_t)shifted * multiplier) >> 32);
  return tfmpq_clamp((high + rescale->offset) >> rescale->shift, bits);
}

#endif /* TFLM_EXT_KERNELS_RESCALE_H_ */
