/* From sums of products to packed codes: the part of the DSP kernels of conv2d
 * and fully_connected that depends on the width of the output. */
#ifndef TFLM_EXT_KERNELS_OUTPUTS_DSP_H_
#define TFLM_EXT_KERNELS_OUTPUTS_DSP_H_

#include <stdint.h>

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/instructions_dsp.h"
#include "tflm_ext/kernels/rescale.h"
#include "tflm_ext/kernels/types.h"

/* Where the codes of one or two pixels go, and how they are made. */
typedef struct {
  tfmpq_rescale rescale;
  uint8_t* codes; /* Of the first channel of the first pixel. */
  /* From the first pixel to the second; 0 if there is only one: the second is
   * written first. */
  uint32_t pixel_bytes;
  uint32_t bits;
} tfmpq_output;

/* Writes the codes of 4 channels of a pixel. */
TFMPQ_INLINE void tfmpq_write_codes(uint8_t* codes, const int32_t* values,
                                    int bits) {
  int32_t code[4];
  for (int c = 0; c < 4; ++c) code[c] = tfmpq_saturate(values[c], bits);
  if (bits == 8) {
    /* Volatile: else GCC puts the bytes together first, which takes longer. */
    volatile uint8_t* bytes = codes;
    for (int c = 0; c < 4; ++c) bytes[c] = (uint8_t)code[c];
  } else if (bits == 4) {
    tfmpq_store_halfword(codes, (uint32_t)(code[0] | code[1] << 4 |
                                           code[2] << 8 | code[3] << 12));
  } else {
    *codes = (uint8_t)(code[0] | code[1] << 2 | code[2] << 4 | code[3] << 6);
  }
}

/* Writes the codes of 4 channels, values [num_pixels][4]; num_pixels is a
 * constant. Returns where the next 4 channels' codes go. */
TFMPQ_INLINE uint8_t* tfmpq_write_block(const tfmpq_output* output,
                                        const int32_t* values, int num_pixels,
                                        uint8_t* codes) {
  uint8_t* const second = codes + output->pixel_bytes;
  if (output->bits == 8) {
    if (num_pixels == 2) tfmpq_write_codes(second, values + 4, 8);
    tfmpq_write_codes(codes, values, 8);
    return codes + 4;
  }
  if (output->bits == 4) {
    if (num_pixels == 2) tfmpq_write_codes(second, values + 4, 4);
    tfmpq_write_codes(codes, values, 4);
    return codes + 2;
  }
  if (num_pixels == 2) tfmpq_write_codes(second, values + 4, 2);
  tfmpq_write_codes(codes, values, 2);
  return codes + 1;
}

#endif /* TFLM_EXT_KERNELS_OUTPUTS_DSP_H_ */
