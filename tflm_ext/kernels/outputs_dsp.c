#include "tflm_ext/kernels/outputs_dsp.h"

#include "tflm_ext/kernels/instructions_dsp.h"

/* Almost no layer has a pre_shift, so it is not worth code in every kernel. */
static __attribute__((noinline)) void pre_shift(const tfmpq_output* output,
                                                int32_t* accumulators) {
  for (uint32_t i = 0; i < output->num_pixels * 4; ++i) {
    accumulators[i] =
        (int32_t)((uint32_t)accumulators[i] << output->rescale.pre_shift);
  }
}

/* Writes the codes of 4 channels of a pixel. */
TFMPQ_INLINE void write_codes(uint8_t* codes, const int32_t* values, int bits) {
  int32_t code[4];
  for (int i = 0; i < 4; ++i) code[i] = tfmpq_saturate(values[i], bits);
  if (bits == 8) {
    for (int i = 0; i < 4; ++i) codes[i] = (uint8_t)code[i];
  } else if (bits == 4) {
    tfmpq_store_halfword(codes, (uint32_t)(code[0] | code[1] << 4 |
                                           code[2] << 8 | code[3] << 12));
  } else {
    codes[0] = (uint8_t)(code[0] | code[1] << 2 | code[2] << 4 | code[3] << 6);
  }
}

TFMPQ_INLINE uint8_t* store(const tfmpq_output* output,
                            const tfmpq_channel* channels,
                            int32_t* accumulators, uint8_t* codes, int bits) {
  const tfmpq_rescale* rescale = &output->rescale;
  const int32_t offset = rescale->offset;
  const int shift = rescale->shift;
  const int32_t multipliers[4] = {
      channels[0].multiplier, channels[1].multiplier, channels[2].multiplier,
      channels[3].multiplier};
  if (rescale->pre_shift != 0) pre_shift(output, accumulators);
  uint8_t* pixel = codes;
  for (uint32_t i = output->num_pixels; i > 0; --i) {
    int32_t values[4];
    for (int c = 0; c < 4; ++c) {
      values[c] =
          tfmpq_add_high(accumulators[c], multipliers[c], offset) >> shift;
    }
    write_codes(pixel, values, bits);
    pixel += output->pixel_bytes;
    accumulators += 4;
  }
  return codes + bits / 2;
}

uint8_t* tfmpq_store_o8(const tfmpq_output* output,
                        const tfmpq_channel* channels, int32_t* accumulators,
                        uint8_t* codes) {
  return store(output, channels, accumulators, codes, 8);
}

uint8_t* tfmpq_store_o4(const tfmpq_output* output,
                        const tfmpq_channel* channels, int32_t* accumulators,
                        uint8_t* codes) {
  return store(output, channels, accumulators, codes, 4);
}

uint8_t* tfmpq_store_o2(const tfmpq_output* output,
                        const tfmpq_channel* channels, int32_t* accumulators,
                        uint8_t* codes) {
  return store(output, channels, accumulators, codes, 2);
}
