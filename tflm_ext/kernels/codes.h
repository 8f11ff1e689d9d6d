/* Reading and writing of packed codes, for the portable kernels. Widths are
 * constants at every call, so that each kernel keeps one branch of each `if`.
 * The layout of packed runs is specified in tflm_ext/README.md. */
#ifndef TFLM_EXT_KERNELS_CODES_H_
#define TFLM_EXT_KERNELS_CODES_H_

#include <stdint.h>

/* A kernel's body must become part of each of its variants: only then are the
 * widths constants. */
#define TFMPQ_INLINE static inline __attribute__((always_inline))

/* Codes per step of the inner loops. Four codes of any width start and end at
 * a byte. */
#define TFMPQ_GROUP 4

/* Returns the bytes of a run of `num_codes` codes. */
TFMPQ_INLINE uint32_t tfmpq_run_bytes(uint32_t num_codes, int bits) {
  return (num_codes * (uint32_t)bits + 7) / 8;
}

/* Returns the bytes of `num_groups` groups. */
TFMPQ_INLINE uint32_t tfmpq_group_bytes(uint32_t num_groups, int bits) {
  return num_groups * (uint32_t)(TFMPQ_GROUP * bits / 8);
}

/* Returns code number `index` of a run. */
TFMPQ_INLINE int32_t tfmpq_code(const uint8_t* run, uint32_t index, int bits) {
  if (bits == 8) return (int8_t)run[index];
  if (bits == 4) return (run[index / 2] >> (index % 2 * 4)) & 15;
  return (run[index / 4] >> (index % 4 * 2)) & 3;
}

/* Returns the sum of codes first..first + count - 1 of a run. */
TFMPQ_INLINE int32_t tfmpq_sum(const uint8_t* run, uint32_t first,
                               uint32_t count, int bits) {
  int32_t sum = 0;
  for (uint32_t i = 0; i < count; ++i) sum += tfmpq_code(run, first + i, bits);
  return sum;
}

/* Returns the sum of x[i] * w[first + i] over i < count, where x and w are
 * runs of x_bits and w_bits. */
TFMPQ_INLINE int32_t tfmpq_dot(const uint8_t* x, const uint8_t* w,
                               uint32_t first, uint32_t count, int x_bits,
                               int w_bits) {
  int32_t sum = 0;
  uint32_t i = 0;
  if (first % TFMPQ_GROUP == 0) {
    const uint8_t* x_group = x;
    const uint8_t* w_group = w + tfmpq_group_bytes(first / TFMPQ_GROUP, w_bits);
    for (; i + TFMPQ_GROUP <= count; i += TFMPQ_GROUP) {
      for (uint32_t lane = 0; lane < TFMPQ_GROUP; ++lane) {
        sum += tfmpq_code(x_group, lane, x_bits) *
               tfmpq_code(w_group, lane, w_bits);
      }
      x_group += tfmpq_group_bytes(1, x_bits);
      w_group += tfmpq_group_bytes(1, w_bits);
    }
  }
  for (; i < count; ++i) {
    sum += tfmpq_code(x, i, x_bits) * tfmpq_code(w, first + i, w_bits);
  }
  return sum;
}

/* Where the next code goes. `pending` holds the num_bits bits of a byte that
 * is not full yet. */
typedef struct {
  uint8_t* next;
  uint32_t pending;
  uint32_t num_bits;
} tfmpq_writer;

/* Ends a run: writes a byte that is not full, its other bits zero. */
TFMPQ_INLINE void tfmpq_end_run(tfmpq_writer* writer) {
  if (writer->num_bits == 0) return;
  *writer->next++ = (uint8_t)writer->pending;
  writer->pending = 0;
  writer->num_bits = 0;
}

/* Appends a code. Each byte is written once, when it is full. */
TFMPQ_INLINE void tfmpq_put(tfmpq_writer* writer, int32_t code, int bits) {
  writer->pending |= (uint32_t)(uint8_t)code << writer->num_bits;
  writer->num_bits += (uint32_t)bits;
  if (writer->num_bits == 8) tfmpq_end_run(writer);
}

#endif /* TFLM_EXT_KERNELS_CODES_H_ */
