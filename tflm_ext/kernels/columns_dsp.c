#include "tflm_ext/kernels/columns_dsp.h"

#include <string.h>

#include "tflm_ext/kernels/instructions_dsp.h"

static const uint32_t kOnes = 0x00010001;

/* Splits a group of packed codes into elements (0, 2) and (1, 3). */
TFMPQ_INLINE void load_group(const uint8_t* codes, int bits, uint32_t* even,
                             uint32_t* odd) {
  if (bits == 8) {
    const uint32_t word = tfmpq_load_word(codes);
    *even = tfmpq_even_bytes(word);
    *odd = tfmpq_odd_bytes(word);
  } else if (bits == 4) {
    const uint32_t codes4 = tfmpq_load_halfword(codes);
    const uint32_t word = codes4 | codes4 << 8; /* Code 2 to bit 16. */
    uint32_t mask = 0x000f000f;
    __asm__("" : "+r"(mask)); /* In a register, it lets AND shift. */
    *even = word & mask;
    *odd = (word >> 4) & mask;
  } else {
    const uint32_t word = codes[0] | (uint32_t)codes[0] << 12;
    uint32_t mask = 0x00030003;
    __asm__("" : "+r"(mask));
    *even = word & mask;
    *odd = (word >> 2) & mask;
  }
}

/* Writes two words, `stride` (1 or 2) words apart. Returns where the next go.
 */
TFMPQ_INLINE uint32_t* write_group(uint32_t* columns, uint32_t even,
                                   uint32_t odd, uint32_t stride) {
  if (stride == 1) {
    columns[0] = even;
    columns[1] = odd;
    return columns + 2;
  }
  /* GCC adds to the address in an instruction of its own. */
  __asm__ volatile(
      "str %1, [%0], #8\n"
      "str %2, [%0], #8\n"
      : "+r"(columns)
      : "r"(even), "r"(odd)
      : "memory");
  return columns;
}

TFMPQ_INLINE int32_t expand(const uint8_t* codes, uint32_t num_groups,
                            uint32_t* columns, uint32_t stride, int bits) {
  const uint8_t* const end = codes + tfmpq_group_bytes(num_groups, bits);
  int32_t sum = 0;
  while (codes != end) {
    uint32_t even;
    uint32_t odd;
    load_group(codes, bits, &even, &odd);
    columns = write_group(columns, even, odd, stride);
    sum = tfmpq_smlad(even, kOnes, sum);
    sum = tfmpq_smlad(odd, kOnes, sum);
    codes += tfmpq_group_bytes(1, bits);
  }
  return sum;
}

/* The usual strides are constants. */
#define DEFINE_EXPAND(a)                                               \
  int32_t tfmpq_expand_a##a(const uint8_t* codes, uint32_t num_groups, \
                            uint32_t* columns, uint32_t stride) {      \
    return stride == 2 ? expand(codes, num_groups, columns, 2, a)      \
                       : expand(codes, num_groups, columns, 1, a);     \
  }
DEFINE_EXPAND(8)
DEFINE_EXPAND(4)
DEFINE_EXPAND(2)

/* Returns sum + the 16 codes of a word. */
TFMPQ_INLINE int32_t add_codes_of_2_bits(uint32_t word, int32_t sum) {
  const uint32_t nibbles = (word & 0x33333333) + (word >> 2 & 0x33333333);
  const uint32_t bytes = (nibbles & 0x0f0f0f0f) + (nibbles >> 4 & 0x0f0f0f0f);
  return tfmpq_add_bytes(bytes, sum);
}

TFMPQ_INLINE uint32_t rotate_right(uint32_t word, int count) {
  return word >> count | word << (32 - count);
}

int32_t tfmpq_expand_a2_for_w2(const uint8_t* codes, uint32_t num_groups,
                               uint32_t* columns, uint32_t stride) {
  const uint32_t mask = 0x30033003; /* Codes 0, 6, 8 and 14. */
  int32_t sum = 0;
  for (uint32_t i = 0; i < num_groups; ++i) {
    const uint32_t word = tfmpq_load_word(codes);
    codes += sizeof(word);
    columns[0] = word & mask;
    columns[stride] = rotate_right(word, 2) & mask;
    columns += 2 * stride;
    columns[0] = rotate_right(word, 8) & mask;
    columns[stride] = rotate_right(word, 10) & mask;
    columns += 2 * stride;
    sum = add_codes_of_2_bits(word, sum);
  }
  return sum;
}

/* Expands num_codes codes of a word, less than a group. */
static int32_t expand_rest(const tfmpq_input_part* part, uint32_t word,
                           uint32_t num_codes, uint32_t* columns,
                           uint32_t stride) {
  uint8_t codes[sizeof(word)];
  word &= (1u << num_codes * part->bits) - 1;
  memcpy(codes, &word, sizeof(word));
  return part->expand(codes, 1, columns, stride);
}

int32_t tfmpq_expand_run(const tfmpq_input_part* part, const uint8_t* run,
                         uint32_t num_codes, uint32_t* columns,
                         uint32_t stride) {
  const uint32_t group = part->group_codes;
  const uint32_t num_groups = num_codes / group;
  const uint32_t num_rest = num_codes % group;
  const int32_t sum = part->expand(run, num_groups, columns, stride);
  if (num_rest == 0) return sum;
  uint32_t word = 0;
  run += num_groups * group * part->bits / 8;
  memcpy(&word, run, tfmpq_run_bytes(num_rest, part->bits));
  columns += num_groups * part->group_words * stride;
  return sum + expand_rest(part, word, num_rest, columns, stride);
}

int32_t tfmpq_expand_padding(const tfmpq_input_part* part, int32_t code,
                             uint32_t num_codes, uint32_t* columns,
                             uint32_t stride) {
  const uint32_t num_groups = num_codes / part->group_codes;
  const uint32_t num_rest = num_codes % part->group_codes;
  const uint32_t element = (uint16_t)code;
  uint32_t word = element | element << 16;
  if (part->group_codes == 16) word |= word << 12;
  for (uint32_t i = num_groups * part->group_words; i > 0; --i) {
    *columns = word;
    columns += stride;
  }
  if (num_rest != 0) {
    uint32_t codes = 0;
    for (int bit = 0; bit < 32; bit += part->bits) {
      codes |= (uint32_t)(uint8_t)code << bit;
    }
    expand_rest(part, codes, num_rest, columns, stride);
  }
  return code * (int32_t)num_codes;
}
