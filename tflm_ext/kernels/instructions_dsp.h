/* Instructions of Armv7E-M and Armv8-M with the DSP extension that C has no
 * words for, and loads and stores at any address. */
#ifndef TFLM_EXT_KERNELS_INSTRUCTIONS_DSP_H_
#define TFLM_EXT_KERNELS_INSTRUCTIONS_DSP_H_

#include <stdint.h>
#include <string.h>

#include "tflm_ext/kernels/codes.h"

/* GCC merges neighbouring word loads into LDRD, which faults at unaligned
 * addresses, unless the type says that the address may be unaligned. */
typedef struct {
  uint32_t value;
} __attribute__((packed, may_alias)) tfmpq_word;

typedef struct {
  uint16_t value;
} __attribute__((packed, may_alias)) tfmpq_halfword;

TFMPQ_INLINE uint32_t tfmpq_load_word(const uint8_t* address) {
  return ((const tfmpq_word*)address)->value;
}

TFMPQ_INLINE uint32_t tfmpq_load_halfword(const uint8_t* address) {
  return ((const tfmpq_halfword*)address)->value;
}

TFMPQ_INLINE void tfmpq_store_word(uint8_t* address, uint32_t value) {
  ((tfmpq_word*)address)->value = value;
}

TFMPQ_INLINE void tfmpq_store_halfword(uint8_t* address, uint32_t value) {
  ((tfmpq_halfword*)address)->value = (uint16_t)value;
}

/* Returns bytes 0 and 2 of a word, sign-extended to halfwords. */
TFMPQ_INLINE uint32_t tfmpq_even_bytes(uint32_t word) {
  uint32_t result;
  __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(word));
  return result;
}

/* Returns bytes 1 and 3 of a word, sign-extended to halfwords. */
TFMPQ_INLINE uint32_t tfmpq_odd_bytes(uint32_t word) {
  uint32_t result;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(word));
  return result;
}

/* Returns sums + bytes 0 and 2 of a word, halfword by halfword. */
TFMPQ_INLINE uint32_t tfmpq_add_even_bytes(uint32_t sums, uint32_t word) {
  uint32_t result;
  __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(sums), "r"(word));
  return result;
}

/* Returns sums + bytes 1 and 3 of a word, halfword by halfword. */
TFMPQ_INLINE uint32_t tfmpq_add_odd_bytes(uint32_t sums, uint32_t word) {
  uint32_t result;
  __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(sums), "r"(word));
  return result;
}

/* Returns the larger ones of the signed bytes of two words. */
TFMPQ_INLINE uint32_t tfmpq_max_bytes(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__(
      "ssub8 %0, %1, %2\n" /* Sets a flag for every byte of a >= b. */
      "sel %0, %1, %2\n"
      : "=&r"(result)
      : "r"(a), "r"(b)
      : "cc");
  return result;
}

/* Returns the low halfword of `low`, and that of `high` above it. */
TFMPQ_INLINE uint32_t tfmpq_pack_low(uint32_t low, uint32_t high) {
  uint32_t result;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(low), "r"(high));
  return result;
}

/* Returns the high halfword of `low`, and that of `high` above it. */
TFMPQ_INLINE uint32_t tfmpq_pack_high(uint32_t low, uint32_t high) {
  uint32_t result;
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(result) : "r"(high), "r"(low));
  return result;
}

/* Returns a - b, low and high halfword each. */
TFMPQ_INLINE uint32_t tfmpq_subtract_halfwords(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("ssub16 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
  return result;
}

/* Returns sum + the products of the low and of the high halfwords. */
TFMPQ_INLINE int32_t tfmpq_smlad(uint32_t x, uint32_t w, int32_t sum) {
  int32_t result;
  __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(w), "r"(sum));
  return result;
}

/* Returns sum + bytes 0 + 1 + 2 + 3 of a word, unsigned. */
TFMPQ_INLINE int32_t tfmpq_add_bytes(uint32_t word, int32_t sum) {
  int32_t result;
  __asm__("usada8 %0, %1, %2, %3" : "=r"(result) : "r"(word), "r"(0), "r"(sum));
  return result;
}

/* Returns addend + the high word of a * b. Volatile, so that these instructions
 * stay in the order of the source: it decides how many sums are alive. */
TFMPQ_INLINE int32_t tfmpq_add_high(int32_t a, int32_t b, int32_t addend) {
  int32_t result;
  __asm__ volatile("smmla %0, %1, %2, %3"
                   : "=r"(result)
                   : "r"(a), "r"(b), "r"(addend));
  return result;
}

/* Returns the code of `bits` nearest to value. `bits` is a constant. */
TFMPQ_INLINE int32_t tfmpq_saturate(int32_t value, int bits) {
  int32_t result;
  if (bits == 8) {
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(value));
  } else if (bits == 4) {
    __asm__("usat %0, #4, %1" : "=r"(result) : "r"(value));
  } else {
    __asm__("usat %0, #2, %1" : "=r"(result) : "r"(value));
  }
  return result;
}

#endif /* TFLM_EXT_KERNELS_INSTRUCTIONS_DSP_H_ */
