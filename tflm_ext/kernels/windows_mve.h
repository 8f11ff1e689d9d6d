/* What conv2d and fully_connected do before and after products: elements under
 * a window become a column of bytes, codes of a byte each a packed run. */
#ifndef TFLM_EXT_KERNELS_WINDOWS_MVE_H_
#define TFLM_EXT_KERNELS_WINDOWS_MVE_H_

#include <stdint.h>

#include "tflm_ext/kernels/types.h"

/* Writes the codes of neighbouring pixels one after another, a byte each, and
 * up to 15 bytes more. */
typedef void (*tfmpq_expand_pixels)(const uint8_t* pixels, uint32_t num_pixels,
                                    uint32_t num_channels, int8_t* codes);

void tfmpq_expand_pixels_a8__mve(const uint8_t* pixels, uint32_t num_pixels,
                                 uint32_t num_channels, int8_t* codes);
void tfmpq_expand_pixels_a4__mve(const uint8_t* pixels, uint32_t num_pixels,
                                 uint32_t num_channels, int8_t* codes);
void tfmpq_expand_pixels_a2__mve(const uint8_t* pixels, uint32_t num_pixels,
                                 uint32_t num_channels, int8_t* codes);

/* An image and the windows of a kernel in it. */
typedef struct {
  const tfmpq_conv_params* params;
  const uint8_t* input;
  tfmpq_expand_pixels expand_pixels;
  int bits;
  uint32_t pixel_bytes;
  uint32_t row_bytes;
  uint32_t step_bytes;    /* From a window to the next one in its row. */
  uint32_t num_row_codes; /* Elements under a row of the kernel. */
  uint32_t num_elements;  /* Under the kernel. */
  /* Windows that begin at a row and column below these lie inside. */
  uint32_t end_row;
  uint32_t end_column;
  uint32_t end_output_column; /* Windows of columns from here on do not. */
  /* If a row under the kernel has no more than 16 codes, a vector holds it, and
   * windows that lie inside and begin before this address are taken by vectors.
   * Else NULL. */
  const uint8_t* end_short;
  /* Of such a row: from its first byte to that of each code, and by how many
   * bits to shift that to the right, negative. */
  uint8_t lane_offsets[16];
  int8_t lane_shifts[16];
} tfmpq_windows;

void tfmpq_init_windows__mve(tfmpq_windows* windows,
                             const tfmpq_conv_params* params,
                             const uint8_t* input,
                             tfmpq_expand_pixels expand_pixels, int bits);

/* The window of an output pixel. */
typedef struct {
  int32_t
      y; /* Input pixel of the first tap; outside of the image if negative. */
  int32_t x;
  uint32_t column; /* Of the output. */
} tfmpq_position;

/* Writes the elements of `count` windows from `position` on, one window after
 * another, and up to 15 bytes more. Moves `position` on. */
void tfmpq_fill_columns__mve(const tfmpq_windows* windows,
                             tfmpq_position* position, uint32_t count,
                             int8_t* columns);

/* Writes -1 times the sums of the elements of pixels. */
void tfmpq_minus_sums__mve(const int8_t* columns, uint32_t column_bytes,
                           uint32_t num_elements, uint32_t num_pixels,
                           int32_t* minus_sums);

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

#endif /* TFLM_EXT_KERNELS_WINDOWS_MVE_H_ */
