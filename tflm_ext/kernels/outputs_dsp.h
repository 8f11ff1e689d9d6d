/* From the sums of products of a pixel to packed codes. */
#ifndef TFLM_EXT_KERNELS_OUTPUTS_DSP_H_
#define TFLM_EXT_KERNELS_OUTPUTS_DSP_H_

#include <stdint.h>

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/instructions_dsp.h"
#include "tflm_ext/kernels/products_dsp.h"

/* Writes the codes of 4 channels nearest to values. */
TFMPQ_INLINE void tfmpq_write_codes(uint8_t* codes, const int32_t* values,
                                    int bits) {
  uint32_t code[kTfmpqBlockChannels];
  for (int c = 0; c < kTfmpqBlockChannels; ++c) {
    code[c] = (uint32_t)tfmpq_saturate(values[c], bits);
  }
  if (bits == 8) {
    /* Volatile: else GCC puts the bytes together first, which takes longer. */
    volatile uint8_t* bytes = codes;
    for (int c = 0; c < kTfmpqBlockChannels; ++c) bytes[c] = (uint8_t)code[c];
  } else if (bits == 4) {
    tfmpq_store_halfword(codes,
                         code[0] | code[1] << 4 | code[2] << 8 | code[3] << 12);
  } else {
    *codes = (uint8_t)(code[0] | code[1] << 2 | code[2] << 4 | code[3] << 6);
  }
}

/* Turns the sums of products of a pixel and 4 channels into codes: adds
 * bias - zero_point * sum, rescales, writes. */
TFMPQ_INLINE void tfmpq_write_block(const tfmpq_products_task* task,
                                    const tfmpq_channel* channels,
                                    const int8_t* zero_points, int32_t sum,
                                    const int32_t* products, uint8_t* codes) {
  int32_t values[kTfmpqBlockChannels];
  for (int c = 0; c < kTfmpqBlockChannels; ++c) {
    /* Modulo 2^32: only the result has to fit. */
    const uint32_t accumulator = (uint32_t)products[c] +
                                 (uint32_t)channels[c].bias -
                                 (uint32_t)(zero_points[c] * sum);
    const int32_t shifted = (int32_t)(accumulator << task->pre_shift);
    values[c] = tfmpq_add_high(shifted, channels[c].multiplier, task->offset) >>
                task->shift;
  }
  if (task->bits == 8) {
    tfmpq_write_codes(codes, values, 8);
  } else if (task->bits == 4) {
    tfmpq_write_codes(codes, values, 4);
  } else {
    tfmpq_write_codes(codes, values, 2);
  }
}

#endif /* TFLM_EXT_KERNELS_OUTPUTS_DSP_H_ */
