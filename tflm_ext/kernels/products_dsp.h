/* Products of columns and weights, in blocks of 4 output channels: the part of
 * the DSP kernels of conv2d and fully_connected that depends on the width of
 * the weight (layout TFMPQ_LAYOUT_DSP).
 *
 * One SMLAD multiplies two elements of a pixel with two halfwords of weights. A
 * halfword holds the weights of more than one channel, and taking it as it is
 * costs no instruction: with h = a + 256 b,
 *
 *     sum(x * h) - 256 * sum(x * b) = sum(x * a)
 *
 * holds modulo 2^32, so only b needs an extraction. The weights of 4 and 2 bits
 * go on like that with nibbles and pairs of bits; there sums of up to 65535
 * scaled weights have to fit into 32 bits, and they do.
 *
 * Where input and weight have 2 bits one SMLAD multiplies four elements. A
 * halfword of elements is x0 + x1 * 2^12, one of weights w1 + w0 * 2^12, and
 * their product has x0 * w0 + x1 * w1 at bit 12. The 12 bits there last for 113
 * times both halfwords (36 each time); what overflows above them is lost, and
 * the sum below them stays below 2^12. */
#ifndef TFLM_EXT_KERNELS_PRODUCTS_DSP_H_
#define TFLM_EXT_KERNELS_PRODUCTS_DSP_H_

#include <stdint.h>

#include "tflm_ext/kernels/types.h"

enum { kTfmpqBlockChannels = 4, kTfmpqBlockPixels = 2 };

/* Makes codes of the sums of products of a block. */
typedef void (*tfmpq_finish)(void);

/* One or two pixels times all output channels. Assembly language knows the
 * order of the fields up to `weight`. */
typedef struct {
  const uint32_t* columns; /* Of two pixels word by word, or of one pixel. */
  const uint32_t* columns_end;
  uint32_t entry; /* For the loops. */
  uint32_t num_blocks;
  const tfmpq_channel* channels;
  /* Of the weights; of block i at zero_points + i * zero_point_step. */
  const int8_t* zero_points;
  uint32_t zero_point_step;
  int32_t sums[kTfmpqBlockPixels]; /* Of each pixel's elements. */
  int32_t offset;                  /* Of the rescaling, as is shift. */
  uint32_t shift;
  uint8_t* codes; /* Of the first channel of the first pixel. */
  /* From the first pixel to the second; 0 if there is only one: the second is
   * written first. */
  uint32_t pixel_bytes;
  tfmpq_finish finish; /* For two pixels. */
  uint32_t pre_shift;
  uint32_t bits; /* Of the codes. */
  const uint32_t* weight;
  uint32_t num_rest; /* Channels behind the blocks, fewer than 4. */
  uint32_t num_pixels;
  int8_t same_zero_points[kTfmpqBlockChannels];
} tfmpq_products_task;

/* Computes and stores the blocks of a task. Returns the weights behind them. */
typedef const uint32_t* (*tfmpq_products)(const tfmpq_products_task* task);

/* Sets what a task takes from the arguments of a kernel: all but the columns,
 * sums and num_pixels. */
void tfmpq_start_task(tfmpq_products_task* task,
                      const tfmpq_conv_params* params, const void* weight,
                      const tfmpq_channel* channels,
                      const int8_t* weight_zero_points, tfmpq_finish finish,
                      uint32_t o_bits, void* output);

/* Computes the channels behind the blocks of a task, whose weights are at
 * `weight`, as a block that is filled up with zeros. */
void tfmpq_multiply_rest(tfmpq_products products,
                         const tfmpq_products_task* task,
                         const uint32_t* weight);

/* Computes and stores all channels of a task. */
static inline void tfmpq_multiply(tfmpq_products products,
                                  const tfmpq_products_task* task) {
  const uint32_t* weight = products(task);
  if (task->num_rest != 0) tfmpq_multiply_rest(products, task, weight);
}

/* Finish functions for two pixels, called by assembly language only: one per
 * products function and width of the output; `shifted` where there is a
 * pre_shift. */
#define TFMPQ_DECLARE_FINISH(w)             \
  void tfmpq_finish_##w##_o8(void);         \
  void tfmpq_finish_##w##_o4(void);         \
  void tfmpq_finish_##w##_o2(void);         \
  void tfmpq_finish_shifted_##w##_o8(void); \
  void tfmpq_finish_shifted_##w##_o4(void); \
  void tfmpq_finish_shifted_##w##_o2(void);
TFMPQ_DECLARE_FINISH(w8)
TFMPQ_DECLARE_FINISH(w4)
TFMPQ_DECLARE_FINISH(w2)
TFMPQ_DECLARE_FINISH(a2_w2)
#undef TFMPQ_DECLARE_FINISH

/* Two pixels. */
const uint32_t* tfmpq_products_w8(const tfmpq_products_task* task);
const uint32_t* tfmpq_products_w4(const tfmpq_products_task* task);
const uint32_t* tfmpq_products_w2(const tfmpq_products_task* task);
const uint32_t* tfmpq_products_a2_w2(const tfmpq_products_task* task);

/* One pixel. */
const uint32_t* tfmpq_vector_products_w8(const tfmpq_products_task* task);
const uint32_t* tfmpq_vector_products_w4(const tfmpq_products_task* task);
const uint32_t* tfmpq_vector_products_w2(const tfmpq_products_task* task);
const uint32_t* tfmpq_vector_products_a2_w2(const tfmpq_products_task* task);

#endif /* TFLM_EXT_KERNELS_PRODUCTS_DSP_H_ */
