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
 * of the padding. A row of codes has one byte per channel. */
#ifndef TFLM_EXT_KERNELS_DEPTHWISE_ROWS_DSP_H_
#define TFLM_EXT_KERNELS_DEPTHWISE_ROWS_DSP_H_

#include <stdint.h>

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

/* Reads the weights of two taps, neighbours in a row of the kernel, into a pair
 * per channel. A tap is the address of the group's codes, or NULL for a weight
 * of 0. quad_bytes: as in tfmpq_row_shape. */
typedef void (*tfmpq_read_taps)(const uint8_t* left, const uint8_t* right,
                                uint32_t quad_bytes, const int8_t* zero_points,
                                uint32_t* pairs);

void tfmpq_read_taps_w8(const uint8_t* left, const uint8_t* right,
                        uint32_t quad_bytes, const int8_t* zero_points,
                        uint32_t* pairs);
void tfmpq_read_taps_w4(const uint8_t* left, const uint8_t* right,
                        uint32_t quad_bytes, const int8_t* zero_points,
                        uint32_t* pairs);
void tfmpq_read_taps_w2(const uint8_t* left, const uint8_t* right,
                        uint32_t quad_bytes, const int8_t* zero_points,
                        uint32_t* pairs);

/* What rescales the sums of one channel. */
typedef struct {
  int32_t bias;
  int32_t multiplier;
  int32_t offset;
  int32_t shift;
} tfmpq_row_channel;

/* Computes the codes of one channel of an output row, two per round: a byte
 * every 4 bytes. `pairs` points to the channel's ring; `taps` holds the pairs
 * of taps (0, 1) and (1, 2) of slot 0, then of slots 1 and 2. */
typedef void (*tfmpq_compute_row)(const uint32_t* pairs, const uint32_t* taps,
                                  const tfmpq_row_channel* channel,
                                  uint8_t* codes, uint32_t num_rounds);

/* 3x3, stride 1. */
void tfmpq_compute_row_3x3_o8(const uint32_t* pairs, const uint32_t* taps,
                              const tfmpq_row_channel* channel, uint8_t* codes,
                              uint32_t num_rounds);
void tfmpq_compute_row_3x3_o4(const uint32_t* pairs, const uint32_t* taps,
                              const tfmpq_row_channel* channel, uint8_t* codes,
                              uint32_t num_rounds);
void tfmpq_compute_row_3x3_o2(const uint32_t* pairs, const uint32_t* taps,
                              const tfmpq_row_channel* channel, uint8_t* codes,
                              uint32_t num_rounds);

/* 3x3, stride 2. */
void tfmpq_compute_row_3x3_s2_o8(const uint32_t* pairs, const uint32_t* taps,
                                 const tfmpq_row_channel* channel,
                                 uint8_t* codes, uint32_t num_rounds);
void tfmpq_compute_row_3x3_s2_o4(const uint32_t* pairs, const uint32_t* taps,
                                 const tfmpq_row_channel* channel,
                                 uint8_t* codes, uint32_t num_rounds);
void tfmpq_compute_row_3x3_s2_o2(const uint32_t* pairs, const uint32_t* taps,
                                 const tfmpq_row_channel* channel,
                                 uint8_t* codes, uint32_t num_rounds);

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
