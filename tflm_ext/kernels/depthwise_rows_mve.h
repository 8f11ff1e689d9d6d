/* The parts of depthwise_conv2d_mve.c: what depends on the width of the input,
 * of the weight, of the output, and what depends on none, all for a group of 16
 * channels.
 *
 * A quad is 4 rows of one column and channel, in 4 bytes; a quad column is the
 * quads of 16 channels. A patch, 4 quad columns, is 16 bytes per channel, 64
 * bytes apart: what one gather loads and one VMLADAV multiplies. */
#ifndef TFLM_EXT_KERNELS_DEPTHWISE_ROWS_MVE_H_
#define TFLM_EXT_KERNELS_DEPTHWISE_ROWS_MVE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/lanes_mve.h"
#include "tflm_ext/kernels/types.h"

enum { kTfmpqQuadRows = 4, kTfmpqQuadColumnBytes = 64, kTfmpqPatchBytes = 256 };

/* Expands num_channels (up to 16) codes of each of `count` runs, stride_bytes
 * apart, to vectors of bytes that follow each other. */
typedef void (*tfmpq_expand_lanes)(const uint8_t* run, uint32_t stride_bytes,
                                   uint32_t count, uint32_t num_channels,
                                   int8_t* lanes);

void tfmpq_expand_lanes_8__mve(const uint8_t* run, uint32_t stride_bytes,
                               uint32_t count, uint32_t num_channels,
                               int8_t* lanes);
void tfmpq_expand_lanes_4__mve(const uint8_t* run, uint32_t stride_bytes,
                               uint32_t count, uint32_t num_channels,
                               int8_t* lanes);
void tfmpq_expand_lanes_2__mve(const uint8_t* run, uint32_t stride_bytes,
                               uint32_t count, uint32_t num_channels,
                               int8_t* lanes);

/* Packs codes into runs: the inverse. Clamps codes, seen as unsigned, to the
 * highest of 4 or 2 bits. */
typedef void (*tfmpq_pack_lanes)(const int8_t* lanes, uint32_t stride_bytes,
                                 uint32_t count, uint32_t num_channels,
                                 uint8_t* run);

void tfmpq_pack_lanes_8__mve(const int8_t* lanes, uint32_t stride_bytes,
                             uint32_t count, uint32_t num_channels,
                             uint8_t* run);
void tfmpq_pack_lanes_4__mve(const int8_t* lanes, uint32_t stride_bytes,
                             uint32_t count, uint32_t num_channels,
                             uint8_t* run);
void tfmpq_pack_lanes_2__mve(const int8_t* lanes, uint32_t stride_bytes,
                             uint32_t count, uint32_t num_channels,
                             uint8_t* run);

/* Writes `count` quad columns of 4 rows of vectors. */
void tfmpq_make_quads__mve(const int8_t* const rows[kTfmpqQuadRows],
                           uint32_t count, int8_t* quads);

/* Two output rows of a 3x3 kernel with stride 1. Assembly language knows the
 * offsets of the fields: depthwise_3x3_mve.c. */
typedef struct {
  uint32_t column_offsets[4]; /* 0, 64, 128, 192. */
  /* Five quad columns: zeros, the three of the kernel, zeros. Moved on. */
  const int8_t* weights;
  const tfmpq_channel* channels; /* Moved on. */
  uint8_t* codes;                /* Of the first channel. Moved on. */
  uint32_t num_blocks;           /* Of two columns. */
  uint32_t num_channels;         /* Counted down. */
  uint32_t step_bytes;           /* From the codes of a block to the next. */
  tfmpq_vector_rescale rescale;
  const int8_t* quads; /* Two columns before the first one. */
  /* Of a block's codes: row 0 and 1 of column 0, row 0 and 1 of column 1. */
  uint32_t code_offsets[4];
} tfmpq_row_pair;

/* Make the rows. The first saturates codes to -128..127, the second to 0..255.
 */
void tfmpq_make_row_pair_s8__mve(tfmpq_row_pair* pair);
void tfmpq_make_row_pair_u8__mve(tfmpq_row_pair* pair);

#endif /* TFLM_EXT_KERNELS_DEPTHWISE_ROWS_MVE_H_ */
