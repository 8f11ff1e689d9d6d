/* Sixteen codes of any width to a vector of bytes and back, and rescaling by
 * vectors. Widths are constants at every call, as in codes.h.
 *
 * Predicates come from VCTP only: GCC 12.2 compiles constant ones wrongly. */
#ifndef TFLM_EXT_KERNELS_LANES_MVE_H_
#define TFLM_EXT_KERNELS_LANES_MVE_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_ext/kernels/codes.h"

enum { kTfmpqLanes = 16 };

/* Returns the bytes of the 16 codes of a full vector. */
TFMPQ_INLINE uint32_t tfmpq_vector_bytes(int bits) {
  return (uint32_t)(kTfmpqLanes * bits / 8);
}

/* Returns the codes of bytes that were widened to one lane per byte. */
TFMPQ_INLINE int8x16_t tfmpq_spread_4(uint16x8_t bytes) {
  const uint8x16_t spread = vreinterpretq_u8_u16(vsliq_n_u16(bytes, bytes, 4));
  return vreinterpretq_s8_u8(vandq_u8(spread, vdupq_n_u8(15)));
}

TFMPQ_INLINE int8x16_t tfmpq_spread_2(uint32x4_t bytes) {
  const uint32x4_t halves = vsliq_n_u32(bytes, bytes, 12);
  const uint8x16_t spread =
      vreinterpretq_u8_u32(vorrq_u32(halves, vshlq_n_u32(halves, 6)));
  return vreinterpretq_s8_u8(vandq_u8(spread, vdupq_n_u8(3)));
}

/* Returns 16 codes of a run. */
TFMPQ_INLINE int8x16_t tfmpq_load_codes(const uint8_t* run, int bits) {
  if (bits == 8) return vldrbq_s8((const int8_t*)run);
  if (bits == 4) return tfmpq_spread_4(vldrbq_u16(run));
  return tfmpq_spread_2(vldrbq_u32(run));
}

/* Returns the first num_codes codes of a run, up to 16. Lanes that no byte of
 * them reaches are 0. */
TFMPQ_INLINE int8x16_t tfmpq_load_some_codes(const uint8_t* run,
                                             uint32_t num_codes, int bits) {
  if (bits == 8) return vldrbq_z_s8((const int8_t*)run, vctp8q(num_codes));
  if (bits == 4) {
    return tfmpq_spread_4(vldrbq_z_u16(run, vctp16q((num_codes + 1) / 2)));
  }
  return tfmpq_spread_2(vldrbq_z_u32(run, vctp32q((num_codes + 3) / 4)));
}

/* Writes codes to a run of 8 bits, the first num_codes lanes only. */
TFMPQ_INLINE void tfmpq_store_some_bytes(uint8_t* run, int8x16_t codes,
                                         uint32_t num_codes) {
  vstrbq_p_s8((int8_t*)run, codes, vctp8q(num_codes));
}

/* Return codes as one byte per lane: the inverse of tfmpq_spread_<bits>. */
TFMPQ_INLINE uint16x8_t tfmpq_join_4(int8x16_t codes) {
  const uint16x8_t pairs = vreinterpretq_u16_s8(codes);
  return vorrq_u16(pairs, vshrq_n_u16(pairs, 4));
}

TFMPQ_INLINE uint32x4_t tfmpq_join_2(int8x16_t codes) {
  uint32x4_t quads = vreinterpretq_u32_s8(codes);
  quads = vorrq_u32(quads, vshrq_n_u32(quads, 6));
  return vorrq_u32(quads, vshrq_n_u32(quads, 12));
}

/* Writes 16 codes to a run. */
TFMPQ_INLINE void tfmpq_store_codes(uint8_t* run, int8x16_t codes, int bits) {
  if (bits == 8) {
    vstrbq_s8((int8_t*)run, codes);
  } else if (bits == 4) {
    vstrbq_u16(run, tfmpq_join_4(codes));
  } else {
    vstrbq_u32(run, tfmpq_join_2(codes));
  }
}

/* Writes the first num_codes codes, up to 16, and zeros up to the end of a
 * byte. */
TFMPQ_INLINE void tfmpq_store_some_codes(uint8_t* run, int8x16_t codes,
                                         uint32_t num_codes, int bits) {
  const int8x16_t kept = vpselq_s8(codes, vdupq_n_s8(0), vctp8q(num_codes));
  if (bits == 8) {
    tfmpq_store_some_bytes(run, codes, num_codes);
  } else if (bits == 4) {
    vstrbq_p_u16(run, tfmpq_join_4(kept), vctp16q((num_codes + 1) / 2));
  } else {
    vstrbq_p_u32(run, tfmpq_join_2(kept), vctp32q((num_codes + 3) / 4));
  }
}

/* Sixteen int32, of channels 4 i, 4 i + 2, 4 i + 1, 4 i + 3: the order in which
 * widening and narrowing visit them. */
typedef struct {
  int32x4_t quarters[4];
} tfmpq_wide;

TFMPQ_INLINE tfmpq_wide tfmpq_widen_halves(int16x8_t even, int16x8_t odd) {
  const tfmpq_wide wide = {{vmovlbq_s16(even), vmovltq_s16(even),
                            vmovlbq_s16(odd), vmovltq_s16(odd)}};
  return wide;
}

TFMPQ_INLINE tfmpq_wide tfmpq_widen(int8x16_t codes) {
  return tfmpq_widen_halves(vmovlbq_s8(codes), vmovltq_s8(codes));
}

/* Returns the codes nearest to values in the range of `bits`. */
TFMPQ_INLINE int8x16_t tfmpq_narrow(tfmpq_wide wide, int bits) {
  int16x8_t even = vqmovnbq_s32(vdupq_n_s16(0), wide.quarters[0]);
  even = vqmovntq_s32(even, wide.quarters[1]);
  int16x8_t odd = vqmovnbq_s32(vdupq_n_s16(0), wide.quarters[2]);
  odd = vqmovntq_s32(odd, wide.quarters[3]);
  int8x16_t codes = vqmovnbq_s16(vdupq_n_s8(0), even);
  codes = vqmovntq_s16(codes, odd);
  if (bits == 8) return codes;
  codes = vmaxq_s8(codes, vdupq_n_s8(0));
  return vminq_s8(codes, vdupq_n_s8((int8_t)((1 << bits) - 1)));
}

/* The rescaling of rescale.h in terms of VQDMULH and VHADD: with `high` twice
 * (accumulator * multiplier) >> 32, the code is
 * (high + twice_offset) >> 1 >> shift, and no sum leaves int32. */
typedef struct {
  int32_t pre_shift;
  int32_t twice_offset;
  int32_t negative_shift;
} tfmpq_vector_rescale;

/* Where twice the offset is 2^31, 2^31 - 1 gives the same codes: `high` is
 * never below 1 - 2^31. */
TFMPQ_INLINE tfmpq_vector_rescale tfmpq_make_vector_rescale(int32_t zero_point,
                                                            int shift,
                                                            int pre_shift) {
  const uint32_t half = (uint32_t)1 << (shift - 1);
  const int32_t offset = (int32_t)(((uint32_t)zero_point << shift) + half);
  const tfmpq_vector_rescale rescale = {
      pre_shift, offset == 1 << 30 ? INT32_MAX : offset * 2, -shift};
  return rescale;
}

/* Returns values, not clamped, of accumulators that share a multiplier. */
TFMPQ_INLINE int32x4_t tfmpq_rescale_vector(int32x4_t accumulators,
                                            int32_t multiplier,
                                            const tfmpq_vector_rescale* by) {
  const int32x4_t shifted = vshlq_r_s32(accumulators, by->pre_shift);
  const int32x4_t high = vqdmulhq_n_s32(shifted, multiplier);
  return vshlq_r_s32(vhaddq_n_s32(high, by->twice_offset), by->negative_shift);
}

/* The same where a saturating shift clamps: a code of n bits, seen as signed,
 * is (high + twice_offset) >> 1, shifted by up_shift = 32 - n - shift (to the
 * right if negative) with saturation, then by down_shift = n - 32. With n = 5
 * for 4 bits and 3 for 2 bits, codes below 0 stay negative: tfmpq_from_zero
 * makes them 0. */
typedef struct {
  int32_t pre_shift;
  int32_t twice_offset;
  int32_t up_shift;
  int32_t down_shift;
} tfmpq_saturating_rescale;

TFMPQ_INLINE tfmpq_saturating_rescale tfmpq_make_saturating_rescale(
    int32_t zero_point, int shift, int pre_shift, int bits) {
  const int signed_bits = bits == 8 ? 8 : bits + 1;
  const tfmpq_saturating_rescale rescale = {
      pre_shift,
      tfmpq_make_vector_rescale(zero_point, shift, pre_shift).twice_offset,
      32 - signed_bits - shift, signed_bits - 32};
  return rescale;
}

/* Returns codes, those below the range of 4 or 2 bits made 0. */
TFMPQ_INLINE int8x16_t tfmpq_from_zero(int8x16_t codes, int bits) {
  return bits == 8 ? codes : vmaxq_s8(codes, vdupq_n_s8(0));
}

#endif /* TFLM_EXT_KERNELS_LANES_MVE_H_ */
