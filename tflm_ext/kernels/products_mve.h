/* Sums of products for conv2d and fully_connected, by width of the weight.
 *
 * Weights are in layout TFMPQ_LAYOUT_MVE: blocks of 4 channels. A tile is two
 * pixels by one block (tfmpq_pixels_w<W>__mve) or one pixel by two blocks
 * (tfmpq_vector_w<W>__mve): eight sums, one in each even register, because
 * VMLADAVA adds to even registers only. A function makes all tiles from
 * `weight` to the end of the weights, and from their sums a byte per code,
 * negative if the code is below the range of 4 or 2 bits. */
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
  /* Of the next channels, moved on; NULL where the starts take care of them. */
  const int8_t* zero_points;
  int32_t minus_sums[kTfmpqTilePixels]; /* -1 times the sum of the elements. */
  /* Where the next codes of the pixels go: moved on. One pixel: the first. */
  uint8_t* codes[kTfmpqTilePixels];
  tfmpq_saturating_rescale rescale;
  /* What sums start at: tfmpq_set_start. Columns are the elements of the
   * pixels, 8 bits each; those that make up a last group of 16 may be anything.
   * One pixel: column_0. */
  int32_t start_0;
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
  uint32_t block_bytes; /* One pixel: from the first to the second block. */
} tfmpq_tiles;

/* Sets start_0 to start_3 (half 0) or start_4 to start_7 (half 1): of one pixel
 * or, of one pixel by two blocks, of one block. */
TFMPQ_INLINE void tfmpq_set_start(tfmpq_tiles* tiles, uint32_t half,
                                  int32x4_t start) {
  static const uint32_t offsets[2][4] = {
      {offsetof(tfmpq_tiles, start_0), offsetof(tfmpq_tiles, start_1),
       offsetof(tfmpq_tiles, start_2), offsetof(tfmpq_tiles, start_3)},
      {offsetof(tfmpq_tiles, start_4), offsetof(tfmpq_tiles, start_5),
       offsetof(tfmpq_tiles, start_6), offsetof(tfmpq_tiles, start_7)}};
  vstrwq_scatter_offset_s32((int32_t*)(void*)tiles, vldrwq_u32(offsets[half]),
                            start);
}

/* Makes tiles. `channels` are those of the first block. */
typedef void (*tfmpq_make_tiles)(tfmpq_tiles* tiles, const uint8_t* weight,
                                 const tfmpq_channel* channels);

void tfmpq_pixels_w8__mve(tfmpq_tiles* tiles, const uint8_t* weight,
                          const tfmpq_channel* channels);
void tfmpq_pixels_w4__mve(tfmpq_tiles* tiles, const uint8_t* weight,
                          const tfmpq_channel* channels);
void tfmpq_pixels_w2__mve(tfmpq_tiles* tiles, const uint8_t* weight,
                          const tfmpq_channel* channels);
void tfmpq_vector_w8__mve(tfmpq_tiles* tiles, const uint8_t* weight,
                          const tfmpq_channel* channels);
void tfmpq_vector_w4__mve(tfmpq_tiles* tiles, const uint8_t* weight,
                          const tfmpq_channel* channels);
void tfmpq_vector_w2__mve(tfmpq_tiles* tiles, const uint8_t* weight,
                          const tfmpq_channel* channels);

/* Returns the bytes of a block of weights. */
TFMPQ_INLINE uint32_t tfmpq_block_bytes(uint32_t num_groups, int w_bits) {
  return num_groups * (uint32_t)(kTfmpqBlockChannels * 2 * w_bits);
}

/* Returns by what the sum of a pixel's elements is multiplied to give the
 * starts of a block: -zero_point, and what the exclusive or of the layout adds.
 *
 * A byte of 4-bit codes a, b is, seen as signed, a + 16 b' with b' = b - 8.
 * Sums are those of bytes and of bytes shifted: s[0] = sum(x (a + 16 b')), s[1]
 * = sum(x b'); then s[0] - 16 s[1] and s[1] are what was wanted but for the 8.
 * Two bits likewise: s[i] - 4 s[i + 1], and 2. */
int32x4_t tfmpq_start_factors__mve(int32_t zero_point, int w_bits);

/* Fills what all tiles of a layer have in common. */
void tfmpq_init_tiles__mve(tfmpq_tiles* tiles, const tfmpq_conv_params* params,
                           uint32_t num_elements, int o_bits);

#endif /* TFLM_EXT_KERNELS_PRODUCTS_MVE_H_ */
