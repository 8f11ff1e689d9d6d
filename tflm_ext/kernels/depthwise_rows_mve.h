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

/* Packs codes into runs: the inverse. Negative codes of 4
 * or 2 bits are packed as 0. */
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

/* Writes num_vectors vectors of `code`. */
TFMPQ_INLINE void tfmpq_fill_vectors(int8_t* to, int8_t code,
                                     uint32_t num_vectors) {
  const int8x16_t codes = vdupq_n_s8(code);
  for (; num_vectors > 0; --num_vectors) {
    vstrbq_s8(to, codes);
    to += kTfmpqLanes;
  }
}

/* Two rows to come into quads. Assembly language knows the offsets of the
 * fields: depthwise_push_mve.c. */
typedef struct {
  const uint8_t* row_0; /* Runs of codes, step_0 bytes apart. */
  uint32_t step_0;
  const uint8_t* row_1;
  uint32_t step_1;
  int8_t* quads;
  uint32_t num_columns;
  uint32_t num_vector_bytes; /* Of the codes of num_channels channels. */
  uint32_t num_channels;
} tfmpq_push_task;

/* Move rows 2 and 3 of quads to 0 and 1 and take new rows as rows 2 and 3: of
 * 16 channels, and of up to 16. */
typedef void (*tfmpq_push_rows)(const tfmpq_push_task* task);

void tfmpq_push_rows_8__mve(const tfmpq_push_task* task);
void tfmpq_push_rows_4__mve(const tfmpq_push_task* task);
void tfmpq_push_rows_2__mve(const tfmpq_push_task* task);
void tfmpq_push_some_rows_8__mve(const tfmpq_push_task* task);
void tfmpq_push_some_rows_4__mve(const tfmpq_push_task* task);
void tfmpq_push_some_rows_2__mve(const tfmpq_push_task* task);

/* Move all rows of quads one row on and take row_0 as row 3. */
void tfmpq_push_row_8__mve(const tfmpq_push_task* task);
void tfmpq_push_row_4__mve(const tfmpq_push_task* task);
void tfmpq_push_row_2__mve(const tfmpq_push_task* task);

/* Writes `count` quad columns of 4 rows of vectors. */
void tfmpq_make_quads__mve(const int8_t* const rows[kTfmpqQuadRows],
                           uint32_t count, int8_t* quads);

/* One or two output rows. Assembly language knows the offsets of the fields:
 * depthwise_tasks_mve.c. */
typedef struct {
  uint32_t column_offsets[4];    /* 0, 64, 128, 192. */
  const int8_t* weights;         /* Quad columns. Moved on. */
  const tfmpq_channel* channels; /* Moved on. */
  uint8_t* codes;                /* Of the channel before. Moved on. */
  uint32_t num_blocks;           /* Of four codes. */
  uint32_t num_channels;         /* Counted down. */
  uint32_t code_step_bytes;      /* Pair: from a block's codes to the next's. */
  tfmpq_saturating_rescale rescale;
  const int8_t* quads;
  uint32_t code_offsets[4];
  uint32_t quad_step_bytes; /* Row: from an output's quads to the next one's. */
} tfmpq_row_task;

/* Make codes, a byte each, negative if the code is below the range of 4 or 2
 * bits. */

/* Two rows of a 3x3 kernel with stride 1, in blocks of two columns: codes of
 * row 0 and 1 of column 0, row 0 and 1 of column 1. The weights are five
 * columns: zeros, the three of the kernel, zeros; quads begin two columns
 * early. For a pre_shift of 0, and for any. */
void tfmpq_make_row_pair__mve(tfmpq_row_task* task);
void tfmpq_make_shifted_row_pair__mve(tfmpq_row_task* task);

/* A row of a kernel of one patch, in blocks of four columns, each with 16 bytes
 * for its codes. For any stride, and for a stride of 2. */
void tfmpq_make_row__mve(tfmpq_row_task* task);
void tfmpq_make_row_of_stride_2__mve(tfmpq_row_task* task);

#endif /* TFLM_EXT_KERNELS_DEPTHWISE_ROWS_MVE_H_ */
