/* Sums of products for conv2d and fully_connected, by width of the weight.
 *
 * Weights are in layout TFMPQ_LAYOUT_MVE: blocks of 4 channels. A tile is two
 * pixels by one block (tfmpq_pixels_w<W>__mve) or one pixel by two blocks
 * (tfmpq_vector_w<W>__mve): eight sums, one in each even register, because
 * VMLADAVA adds to even registers only. A function makes all tiles from
 * `weight` to the end of the weights, and from their sums codes of 8 bits. */
#ifndef TFLM_EXT_KERNELS_PRODUCTS_MVE_H_
#define TFLM_EXT_KERNELS_PRODUCTS_MVE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/lanes_mve.h"
#include "tflm_ext/kernels/types.h"

enum {
  kTfmpqBlockChannels = 4,
  kTfmpqTilePixels = 2,
  kTfmpqTileSums = 8,
};

/* What a function of this file reads and, of some fields, moves on. Assembly
 * language knows the offsets of the fields: products_mve.c. */
typedef struct {
  /* The elements of the pixels, 8 bits each; those that make up a last group of
   * 16 may be anything. One pixel: the first. */
  const int8_t* columns[kTfmpqTilePixels];
  /* What sums start at (tfmpq_start_sums__mve). */
  int32_t start[kTfmpqTileSums];
  /* Where the next codes of the pixels go: moved on. One pixel: the first. */
  uint8_t* codes[kTfmpqTilePixels];
  uint32_t num_groups; /* Of 16 elements. */
  /* Of the next channels, moved on; NULL where `start` takes care of them. */
  const int8_t* zero_points;
  int32_t minus_sums[kTfmpqTilePixels]; /* -1 times the sum of the elements. */
  const uint8_t* weight_end;
  tfmpq_vector_rescale rescale;
  int32_t lowest;
  int32_t highest;
  uint32_t block_bytes; /* One pixel: from the first to the second block. */
} tfmpq_tiles;

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
