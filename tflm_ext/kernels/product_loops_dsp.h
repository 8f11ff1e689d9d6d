/* What the inner loops of products_dsp.c and vector_products_dsp.c share. */
#ifndef TFLM_EXT_KERNELS_PRODUCT_LOOPS_DSP_H_
#define TFLM_EXT_KERNELS_PRODUCT_LOOPS_DSP_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/outputs_dsp.h"
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

/* Turns the sums of products of 4 channels, [num_pixels][4], into codes: adds
 * bias - zero_point * sum, rescales, writes. zero_points is NULL for weights of
 * 8 bits; num_pixels is a constant. Returns where the next block's codes go. */
TFMPQ_INLINE uint8_t* tfmpq_finish_block(const tfmpq_products_task* task,
                                         const tfmpq_channel* channels,
                                         const int8_t* zero_points,
                                         const int32_t* products,
                                         int num_pixels, uint8_t* codes) {
  const tfmpq_rescale* rescale = &task->output.rescale;
  if (__builtin_expect(rescale->pre_shift != 0, 0)) {
    return tfmpq_finish_shifted_block(task, channels, zero_points, products,
                                      num_pixels, codes);
  }
  int32_t values[kTfmpqBlockPixels * kTfmpqBlockChannels];
  for (int c = 0; c < kTfmpqBlockChannels; ++c) {
    const int32_t bias = channels[c].bias;
    const int32_t multiplier = channels[c].multiplier;
    for (int i = 0; i < num_pixels; ++i) {
      int32_t accumulator = products[4 * i + c] + bias;
      if (zero_points != NULL) accumulator -= zero_points[c] * task->sums[i];
      values[4 * i + c] =
          tfmpq_add_high(accumulator, multiplier, rescale->offset) >>
          rescale->shift;
    }
  }
  return tfmpq_write_block(&task->output, values, num_pixels, codes);
}

#endif /* TFLM_EXT_KERNELS_PRODUCT_LOOPS_DSP_H_ */
