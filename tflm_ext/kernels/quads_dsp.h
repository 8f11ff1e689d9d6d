/* Quads: the packed codes of 4 neighbouring channels, in the low bytes of a
 * word, and pairs: halfwords of one channel, two neighbours of a row. */
#ifndef TFLM_EXT_KERNELS_QUADS_DSP_H_
#define TFLM_EXT_KERNELS_QUADS_DSP_H_

#include <stdint.h>

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/instructions_dsp.h"

/* Returns the quad at an address. */
TFMPQ_INLINE uint32_t tfmpq_load_quad(const uint8_t* address, int bits) {
  if (bits == 8) return tfmpq_load_word(address);
  if (bits == 4) return tfmpq_load_halfword(address);
  return *address;
}

/* Returns the first num_bytes bytes of a quad: no byte behind them is read. */
TFMPQ_INLINE uint32_t tfmpq_load_part_of_quad(const uint8_t* address,
                                              uint32_t num_bytes) {
  uint32_t quad = 0;
  for (uint32_t i = 0; i < num_bytes; ++i) {
    quad |= (uint32_t)address[i] << (8 * i);
  }
  return quad;
}

/* Returns the quad of 4 equal codes. */
TFMPQ_INLINE uint32_t tfmpq_equal_quad(int32_t code, int bits) {
  if (bits == 8) return 0x01010101u * (uint8_t)code;
  return (bits == 4 ? 0x1111u : 0x55u) * (uint32_t)code;
}

/* Returns code i of a quad. */
TFMPQ_INLINE int32_t tfmpq_code_of_quad(uint32_t quad, int i, int bits) {
  if (bits == 8) return (int8_t)(quad >> (8 * i));
  return (int32_t)(quad >> (bits * i) & ((1u << bits) - 1));
}

/* Returns the 4 codes of a quad, a byte each. */
TFMPQ_INLINE uint32_t tfmpq_unpack_quad(uint32_t quad, int bits) {
  if (bits == 4) {
    quad = (quad | quad << 8) & 0x00ff00ff;
    quad = (quad | quad << 4) & 0x0f0f0f0f;
  } else if (bits == 2) {
    quad = (quad | quad << 12) & 0x000f000f;
    quad = (quad | quad << 6) & 0x03030303;
  }
  return quad;
}

/* Returns the quad of 4 codes of 2 bits that take a byte each. */
TFMPQ_INLINE uint32_t tfmpq_pack_2_bits(uint32_t bytes) {
  return bytes * 0x01041040u >> 24; /* Byte i times 2^(24 - 6 i). */
}

/* Returns the quad of 4 codes that take a byte each. */
TFMPQ_INLINE uint32_t tfmpq_pack_quad(uint32_t bytes, int bits) {
  if (bits == 8) return bytes;
  if (bits == 2) return tfmpq_pack_2_bits(bytes);
  bytes = (bytes | bytes >> 4) & 0x00ff00ff;
  return (bytes | bytes >> 8) & 0xffff;
}

/* Stores a quad. */
TFMPQ_INLINE void tfmpq_store_quad(uint8_t* address, uint32_t quad, int bits) {
  if (bits == 8) tfmpq_store_word(address, quad);
  if (bits == 4) tfmpq_store_halfword(address, quad);
  if (bits == 2) *address = (uint8_t)quad;
}

/* Stores the first num_codes codes of a quad, and zeros in the rest of their
 * last byte. */
TFMPQ_INLINE void tfmpq_store_part_of_quad(uint8_t* address, uint32_t quad,
                                           uint32_t num_codes, int bits) {
  const uint32_t num_bits = num_codes * (uint32_t)bits;
  quad &= (1u << num_bits) - 1;
  for (uint32_t i = 0; i < num_bits; i += 8) *address++ = (uint8_t)(quad >> i);
}

/* Splits two quads, of neighbours in a row, into the pairs of 4 channels; those
 * of channel c go to pairs[c * stride]. */
TFMPQ_INLINE void tfmpq_split_quads(uint32_t left, uint32_t right, int bits,
                                    uint32_t* pairs, uint32_t stride) {
  if (bits == 8) {
    const uint32_t left_even = tfmpq_even_bytes(left);
    const uint32_t left_odd = tfmpq_odd_bytes(left);
    const uint32_t right_even = tfmpq_even_bytes(right);
    const uint32_t right_odd = tfmpq_odd_bytes(right);
    pairs[0] = tfmpq_pack_low(left_even, right_even);
    pairs[stride] = tfmpq_pack_low(left_odd, right_odd);
    pairs[2 * stride] = tfmpq_pack_high(left_even, right_even);
    pairs[3 * stride] = tfmpq_pack_high(left_odd, right_odd);
    return;
  }
  const uint32_t quads = left | right << 16;
  const uint32_t mask = bits == 4 ? 0x000f000f : 0x00030003;
  pairs[0] = quads & mask;
  pairs[stride] = (quads >> bits) & mask;
  pairs[2 * stride] = (quads >> (2 * bits)) & mask;
  pairs[3 * stride] = (quads >> (3 * bits)) & mask;
}

#endif /* TFLM_EXT_KERNELS_QUADS_DSP_H_ */
