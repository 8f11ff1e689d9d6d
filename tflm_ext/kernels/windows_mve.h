/* What conv2d and fully_connected do before and after products: elements under
 * a window become a column of bytes, codes of a byte each a packed run. */
#ifndef TFLM_EXT_KERNELS_WINDOWS_MVE_H_
#define TFLM_EXT_KERNELS_WINDOWS_MVE_H_

#include <stdint.h>

#include "tflm_ext/kernels/types.h"

/* Writes the codes of neighbouring pixels one after another, a byte each, and
 * up to 15 bytes more. Returns the sum of the codes. */
typedef int32_t (*tfmpq_expand_pixels)(const uint8_t* pixels,
                                       uint32_t num_pixels,
                                       uint32_t num_channels, int8_t* codes);

int32_t tfmpq_expand_pixels_a8__mve(const uint8_t* pixels, uint32_t num_pixels,
                                    uint32_t num_channels, int8_t* codes);
int32_t tfmpq_expand_pixels_a4__mve(const uint8_t* pixels, uint32_t num_pixels,
                                    uint32_t num_channels, int8_t* codes);
int32_t tfmpq_expand_pixels_a2__mve(const uint8_t* pixels, uint32_t num_pixels,
                                    uint32_t num_channels, int8_t* codes);

/* An image and the windows of a kernel in it. */
typedef struct {
  const tfmpq_conv_params* params;
  const uint8_t* input;
  tfmpq_expand_pixels expand_pixels;
  uint32_t pixel_bytes;
  uint32_t row_bytes;
  uint32_t num_row_codes; /* Elements under a row of the kernel. */
  /* Windows that begin at a row and column below these lie inside. */
  uint32_t end_row;
  uint32_t end_column;
  /* If a row under the kernel has no more than 16 codes of 8 bits: a vector may
   * be read from each row of a window that lies inside and begins before this
   * address. Else NULL. */
  const uint8_t* end_short;
  /* 1 under such a row, else 0. */
  int8_t short_mask[16];
} tfmpq_windows;

void tfmpq_init_windows__mve(tfmpq_windows* windows,
                             const tfmpq_conv_params* params,
                             const uint8_t* input,
                             tfmpq_expand_pixels expand_pixels, int bits);

/* Writes the elements of the window whose first tap is at input pixel (y, x),
 * outside of the image if negative. Writes up to 15 bytes more. Returns the sum
 * of the elements. */
int32_t tfmpq_fill_column__mve(const tfmpq_windows* windows, int32_t y,
                               int32_t x, int8_t* column);

/* Writes codes as a run, negative ones of 4 or 2 bits as 0. Reads no more than
 * num_codes codes. */
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
