/* Sums of products for conv2d and fully_connected, by width of the weight.
 *
 * Weights are in layout TFMPQ_LAYOUT_MVE: blocks of 4 channels. A tile is two
 * pixels by one block (tfmpq_pixels_w<W>__mve) or one pixel by two blocks
 * (tfmpq_vector_w<W>__mve): eight sums, one in each even register, because
 * VMLADAVA adds to even registers only. From the sums a function makes a byte
 * per code, negative if the code is below the range of 4 or 2 bits.
 *
 * A byte of the 4-bit codes a, b is, seen as signed, a + 16 b' with b' = b - 8.
 * The sums are s[0] = sum(x (a + 16 b')) and, of bytes shifted, s[1] = sum(x
 * b'); s[0] - 16 s[1] and s[1] are what was wanted but for 8 sum(x). Two bits
 * likewise: s[i] - 4 s[i + 1], and 2 sum(x). */
#ifndef TFLM_EXT_KERNELS_PRODUCTS_MVE_H_
#define TFLM_EXT_KERNELS_PRODUCTS_MVE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/lanes_mve.h"
#include "tflm_ext/kernels/types.h"

enum {
  kTfmpqBlockChannels = 4,
  kTfmpqTilePixels = 2,
};

/* What a function of this file reads and, of some fields, moves on. Assembly
 * language loads what is before start_0, and all from there to start_7, with an
 * instruction each, hence the order: that of registers (products_mve.c). */
typedef struct {
  /* Of the tile. Two pixels: made of the fields below. */
  const int8_t* next_zero_points;
  int32_t minus_sum[kTfmpqTilePixels];
  uint8_t* next_codes[kTfmpqTilePixels]; /* Moved on. One pixel: the first. */
  tfmpq_saturating_rescale rescale;
  int32_t start_0; /* What sums start at. */
  const int8_t* column_0;
  int32_t start_1;
  const int8_t* column_1;
  int32_t start_2;
  int32_t start_3;
  int32_t start_4;
  int32_t start_5;
  uint32_t num_groups; /* Of 16 elements. */
  int32_t start_6;
  int32_t start_7;
  const uint8_t* weight_end;
  /* Blocks of 4 output channels, up to weight_end. */
  const uint8_t* weight;
  const tfmpq_channel* channels;
  /* Two pixels, of these channels; NULL where start_factors take care of them.
   */
  const int8_t* zero_points;
  /* Two pixels: -1 times the sum of the elements of each. Moved on. */
  const int32_t* minus_sums;
  /* Two pixels: elements of the first, 8 bits each; from a pixel to the next.
   * The weights of those that make up a last group of 16 are 0. Moved on. */
  const int8_t* columns;
  uint32_t column_bytes;
  /* Two pixels: codes of the first; from a pixel to the next. Moved on. */
  uint8_t* codes;
  uint32_t code_bytes;
  uint32_t num_pairs;   /* Of pixels. Counted down. */
  uint32_t block_bytes; /* One pixel: from the first to the second block. */
  /* What, times minus_sum, makes starts: the zero point of all channels, or 0
   * where there are zero_points, and what the layout subtracts from codes. */
  int32_t start_factors[kTfmpqBlockChannels];
  uint32_t start_offsets[2][kTfmpqBlockChannels]; /* From start_0. */
} tfmpq_tiles;

/* Makes tiles. */
typedef void (*tfmpq_make_tiles)(tfmpq_tiles* tiles);

void tfmpq_pixels_w8__mve(tfmpq_tiles* tiles);
void tfmpq_pixels_w4__mve(tfmpq_tiles* tiles);
void tfmpq_pixels_w2__mve(tfmpq_tiles* tiles);
void tfmpq_vector_w8__mve(tfmpq_tiles* tiles);
void tfmpq_vector_w4__mve(tfmpq_tiles* tiles);
void tfmpq_vector_w2__mve(tfmpq_tiles* tiles);

/* Returns the bytes of a block of weights. */
TFMPQ_INLINE uint32_t tfmpq_block_bytes(uint32_t num_groups, int w_bits) {
  return num_groups * (uint32_t)(kTfmpqBlockChannels * 2 * w_bits);
}

/* Fills what all tiles of a layer have in common. `zero_points` of the channels
 * may be NULL. */
void tfmpq_init_tiles__mve(tfmpq_tiles* tiles, const tfmpq_conv_params* params,
                           const int8_t* zero_points, uint32_t num_elements,
                           int w_bits, int o_bits);

/* One pixel: makes the starts. */
void tfmpq_set_starts__mve(tfmpq_tiles* tiles, int32_t minus_sum);

#endif /* TFLM_EXT_KERNELS_PRODUCTS_MVE_H_ */
