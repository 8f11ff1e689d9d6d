/* From sums to packed codes: the part of the DSP kernels of conv2d and
 * fully_connected that depends on the width of the output. */
#ifndef TFLM_EXT_KERNELS_OUTPUTS_DSP_H_
#define TFLM_EXT_KERNELS_OUTPUTS_DSP_H_

#include <stdint.h>

#include "tflm_ext/kernels/rescale.h"
#include "tflm_ext/kernels/types.h"

struct tfmpq_output;

/* Rescales the accumulators of 4 channels, [num_pixels][4], and writes their
 * codes: those of the first pixel to `codes`. May change the accumulators.
 * Returns where the next 4 channels' codes go. */
typedef uint8_t* (*tfmpq_store)(const struct tfmpq_output* output,
                                const tfmpq_channel* channels,
                                int32_t* accumulators, uint8_t* codes);

/* Where the codes of one or two neighbouring pixels go, and how they are
 * made. */
typedef struct tfmpq_output {
  tfmpq_store store;
  tfmpq_rescale rescale;
  uint8_t* codes; /* Of the first channel of the first pixel. */
  uint32_t pixel_bytes;
  uint32_t num_pixels;
  int bits;
} tfmpq_output;

uint8_t* tfmpq_store_o8(const tfmpq_output* output,
                        const tfmpq_channel* channels, int32_t* accumulators,
                        uint8_t* codes);
uint8_t* tfmpq_store_o4(const tfmpq_output* output,
                        const tfmpq_channel* channels, int32_t* accumulators,
                        uint8_t* codes);
uint8_t* tfmpq_store_o2(const tfmpq_output* output,
                        const tfmpq_channel* channels, int32_t* accumulators,
                        uint8_t* codes);

#endif /* TFLM_EXT_KERNELS_OUTPUTS_DSP_H_ */
