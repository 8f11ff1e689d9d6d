/* What conv2d and fully_connected do by width of the input and of the output:
 * elements under a window become a column of bytes, codes of 8 bits a run. */
#ifndef TFLM_EXT_KERNELS_WINDOWS_MVE_H_
#define TFLM_EXT_KERNELS_WINDOWS_MVE_H_

#include <stdint.h>

#include "tflm_ext/kernels/types.h"

/* Writes the elements of the window whose first tap is at input pixel (y, x),
 * outside of the image if negative. Writes up to 15 bytes more. Returns the sum
 * of the elements. */
typedef int32_t (*tfmpq_fill_column)(const tfmpq_conv_params* params,
                                     const uint8_t* input, int32_t y, int32_t x,
                                     int8_t* column);

int32_t tfmpq_fill_column_a8__mve(const tfmpq_conv_params* params,
                                  const uint8_t* input, int32_t y, int32_t x,
                                  int8_t* column);
int32_t tfmpq_fill_column_a4__mve(const tfmpq_conv_params* params,
                                  const uint8_t* input, int32_t y, int32_t x,
                                  int8_t* column);
int32_t tfmpq_fill_column_a2__mve(const tfmpq_conv_params* params,
                                  const uint8_t* input, int32_t y, int32_t x,
                                  int8_t* column);

/* Writes num_codes codes of a run, and up to 15 bytes more. Returns the sum of
 * the codes. */
typedef int32_t (*tfmpq_expand_run)(const uint8_t* run, uint32_t num_codes,
                                    int8_t* codes);

int32_t tfmpq_expand_run_a8__mve(const uint8_t* run, uint32_t num_codes,
                                 int8_t* codes);
int32_t tfmpq_expand_run_a4__mve(const uint8_t* run, uint32_t num_codes,
                                 int8_t* codes);
int32_t tfmpq_expand_run_a2__mve(const uint8_t* run, uint32_t num_codes,
                                 int8_t* codes);

/* Writes codes as a run. Reads no more than num_codes codes. */
typedef void (*tfmpq_pack_run)(const int8_t* codes, uint32_t num_codes,
                               uint8_t* run);

void tfmpq_pack_run_o8__mve(const int8_t* codes, uint32_t num_codes,
                            uint8_t* run);
void tfmpq_pack_run_o4__mve(const int8_t* codes, uint32_t num_codes,
                            uint8_t* run);
void tfmpq_pack_run_o2__mve(const int8_t* codes, uint32_t num_codes,
                            uint8_t* run);

/* Returns the sum of num_codes codes, a multiple of 16. */
int32_t tfmpq_sum_of_bytes__mve(const int8_t* codes, uint32_t num_codes);

#endif /* TFLM_EXT_KERNELS_WINDOWS_MVE_H_ */
