/* What the inner loops of products_dsp.c and vector_products_dsp.c share. */
#ifndef TFLM_EXT_KERNELS_PRODUCT_LOOPS_DSP_H_
#define TFLM_EXT_KERNELS_PRODUCT_LOOPS_DSP_H_

#include <stdint.h>

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/products_dsp.h"

/* A loop over the columns in assembly language, at whose end `compare` sets the
 * flags. It takes up to 4 groups of elements per round; the first round takes
 * as many as are left over: it begins with a jump over the others, whose length
 * is in the operand p. A group has instructions of 4 bytes only. (pc reads 4
 * bytes ahead: of the label.) */
#define TFMPQ_LOOP(group, compare) \
  "add pc, %[p]\n"                 \
  "nop.n\n"                        \
  "1:\n" group group group group compare "bne 1b\n"

enum { kTfmpqGroupsPerRound = 4, kTfmpqInstructionBytes = 4 };

/* Returns the bytes of code that the first round leaves out. */
TFMPQ_INLINE uint32_t tfmpq_loop_entry(const tfmpq_products_task* task,
                                       uint32_t group_words,
                                       uint32_t group_instructions) {
  const uint32_t words = (uint32_t)(task->columns_end - task->columns);
  const uint32_t left_out = -(words / group_words) % kTfmpqGroupsPerRound;
  return left_out * group_instructions * kTfmpqInstructionBytes;
}

/* Returns a - (b << shift) modulo 2^32. */
TFMPQ_INLINE int32_t tfmpq_subtract(int32_t a, int32_t b, int shift) {
  return (int32_t)((uint32_t)a - ((uint32_t)b << shift));
}

/* Adds bias - zero_point * sum to the sums of products of a pixel. */
TFMPQ_INLINE void tfmpq_add_biases(int32_t* products,
                                   const tfmpq_channel* channels,
                                   const int8_t* zero_points, int32_t sum) {
  for (int c = 0; c < kTfmpqBlockChannels; ++c) {
    products[c] += channels[c].bias - zero_points[c] * sum;
  }
}

#endif /* TFLM_EXT_KERNELS_PRODUCT_LOOPS_DSP_H_ */
