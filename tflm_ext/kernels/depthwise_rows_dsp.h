/* The parts of the DSP kernels of depthwise_conv2d. These compute 4 channels, a
 * group, at a time, over the whole image:
 *
 *   input row -> pairs  (width of the input)   tfmpq_read_row
 *   taps -> pairs       (width of the weight)  tfmpq_read_taps
 *   rows of pairs times taps -> a row of codes (and of the output)
 *   row of codes -> output row                 tfmpq_write_row
 *
 * A pair is two neighbouring columns of one channel, as halfwords. The rows
 * under the kernel form a ring: pair j of channel c of the row in slot s is
 * ring[(c * num_pairs + j) * kernel_height + s]. Column 0 is the leftmost one
 * of the padding. A row of codes has one byte per channel. Pairs of padding
 * only are written once, before the first row is read. */
#ifndef TFLM_EXT_KERNELS_DEPTHWISE_ROWS_DSP_H_
#define TFLM_EXT_KERNELS_DEPTHWISE_ROWS_DSP_H_

#include <stdint.h>

#include "tflm_ext/kernels/types.h"

enum { kTfmpqGroupChannels = 4 };

/* The rows of the input, for one group of channels. */
typedef struct {
  uint32_t num_pairs;   /* Of a row, padding included. */
  uint32_t pair_stride; /* Words: kernel_height. */
  uint32_t pad_left;
  uint32_t width; /* Columns that are read, behind the padding. */
  uint32_t pixel_bytes;
  uint32_t quad_bytes; /* That hold codes: fewer in a group of < 4 channels. */
  int32_t zero_point;
} tfmpq_row_shape;

/* Reads a row of the input, from the group's codes of its first pixel on, into
 * one slot of the ring. */
typedef void (*tfmpq_read_row)(const tfmpq_row_shape* shape,
                               const uint8_t* codes, uint32_t* slot);

void tfmpq_read_row_a8(const tfmpq_row_shape* shape, const uint8_t* codes,
                       uint32_t* slot);
void tfmpq_read_row_a4(const tfmpq_row_shape* shape, const uint8_t* codes,
                       uint32_t* slot);
void tfmpq_read_row_a2(const tfmpq_row_shape* shape, const uint8_t* codes,
                       uint32_t* slot);

/* Fills a slot with the zero point: a row outside of the image. */
void tfmpq_pad_row(const tfmpq_row_shape* shape, uint32_t* slot);

/* The taps of one group of channels. */
typedef struct {
  const uint8_t* codes;      /* The group's codes of tap 0. */
  const int8_t* zero_points; /* Of the group's weights. */
  uint32_t height;
  uint32_t width;
  uint32_t num_rows; /* In pairs: 2 * height - 1. */
  uint32_t tap_bytes;
  uint32_t quad_bytes; /* As in tfmpq_row_shape. */
  uint32_t shift;      /* To the left, of 3x3. */
} tfmpq_taps;

/* Reads taps into pairs, less the zero points. All rows of the kernel and all
 * but the last one again follow each other, so that slot 0 may belong to any.
 *
 * 3x3: of channel c, row r, the pairs of taps (0, 1) and (1, 2) are at
 * to[c * kTfmpqTapWords3x3 + r * 2]. They are shifted.
 *
 * Others: set 0, for windows that begin with the left column of a pair, has
 * pairs (0, 1), (2, 3) and so on; set 1, for the right column, has (-1, 0),
 * (1, 2) and so on: width / 2 + 1 each. Taps that do not exist are 0. Pair p of
 * channel c, set s, row r is at to[((c * 2 + s) * (width / 2 + 1) + p) *
 * num_rows + r]. */
typedef void (*tfmpq_read_taps)(const tfmpq_taps* taps, uint32_t* to);

enum { kTfmpqTapWords3x3 = 10 };

void tfmpq_read_taps_3x3_w8(const tfmpq_taps* taps, uint32_t* to);
void tfmpq_read_taps_3x3_w4(const tfmpq_taps* taps, uint32_t* to);
void tfmpq_read_taps_3x3_w2(const tfmpq_taps* taps, uint32_t* to);
void tfmpq_read_taps_w8(const tfmpq_taps* taps, uint32_t* to);
void tfmpq_read_taps_w4(const tfmpq_taps* taps, uint32_t* to);
void tfmpq_read_taps_w2(const tfmpq_taps* taps, uint32_t* to);

/* One output row of a group. The fields up to num_channels are used up: they
 * move on from channel to channel. Assembly language knows the offsets. */
typedef struct {
  const uint32_t* pairs;         /* Of the first output. */
  const uint32_t* taps;          /* For slot 0. */
  const tfmpq_channel* channels; /* Bias and multiplier. */
  uint8_t* codes;                /* One every 4 bytes. */
  uint32_t pairs_bytes;          /* From channel to channel. */
  uint32_t taps_bytes;           /* From channel to channel. */
  uint32_t num_channels;         /* 1 to 4. */
  uint32_t rounds_and_shift;     /* (rounds - 1) << 8 | shift. */
  int32_t offset;                /* Of the rescaling. */
} tfmpq_group_row;

/* Computes the codes of an output row, two outputs per round. The taps are, for
 * slots 0, 1 and 2: the pairs (0, 1) and (1, 2). */
typedef void (*tfmpq_compute_row)(tfmpq_group_row* row);

/* 3x3, stride 1. */
void tfmpq_compute_row_3x3_o8(tfmpq_group_row* row);
void tfmpq_compute_row_3x3_o4(tfmpq_group_row* row);
void tfmpq_compute_row_3x3_o2(tfmpq_group_row* row);

/* 3x3, stride 2. */
void tfmpq_compute_row_3x3_s2_o8(tfmpq_group_row* row);
void tfmpq_compute_row_3x3_s2_o4(tfmpq_group_row* row);
void tfmpq_compute_row_3x3_s2_o2(tfmpq_group_row* row);

/* Packs a row of codes into the output, from the group's codes of its first
 * pixel on. quad_bytes: as in tfmpq_row_shape; codes that do not exist are 0.
 */
typedef void (*tfmpq_write_row)(const uint32_t* codes, uint32_t width,
                                uint8_t* output, uint32_t pixel_bytes,
                                uint32_t quad_bytes);

void tfmpq_write_row_o8(const uint32_t* codes, uint32_t width, uint8_t* output,
                        uint32_t pixel_bytes, uint32_t quad_bytes);
void tfmpq_write_row_o4(const uint32_t* codes, uint32_t width, uint8_t* output,
                        uint32_t pixel_bytes, uint32_t quad_bytes);
void tfmpq_write_row_o2(const uint32_t* codes, uint32_t width, uint8_t* output,
                        uint32_t pixel_bytes, uint32_t quad_bytes);

#endif /* TFLM_EXT_KERNELS_DEPTHWISE_ROWS_DSP_H_ */
