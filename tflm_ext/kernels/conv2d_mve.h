/* conv2d for cores with MVE (Cortex-M55), one function per triple of widths:
 *
 *   void tfmpq_conv2d_a<A>_w<W>_o<O>__mve(params, input, weight, channels,
 *                                         weight_zero_points, output, scratch)
 *
 * As conv2d.h says, except
 *
 *   weight   layout TFMPQ_LAYOUT_MVE (tflm_ext/README.md).
 *   scratch  tfmpq_conv2d_scratch_bytes__mve(...) bytes.
 *
 * The functions that a host may call stand in this header and need no MVE. */
#ifndef TFLM_EXT_KERNELS_CONV2D_MVE_H_
#define TFLM_EXT_KERNELS_CONV2D_MVE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/widths.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFMPQ_DECLARE_CONV2D(a, w, o)                                         \
  void tfmpq_conv2d_a##a##_w##w##_o##o##__mve(                                \
      const tfmpq_conv_params* params, const void* input, const void* weight, \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,        \
      void* output, void* scratch);
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DECLARE_CONV2D)
#undef TFMPQ_DECLARE_CONV2D

/* Returns the layout of the weight: always TFMPQ_LAYOUT_MVE. */
static inline int tfmpq_conv2d_layout__mve(const tfmpq_conv_params* params,
                                           int input_bits, int weight_bits) {
  (void)params;
  (void)input_bits;
  (void)weight_bits;
  return TFMPQ_LAYOUT_MVE;
}

/* Returns 1 if the products are made of the input where it lies: a 1x1 kernel
 * at stride 1 on pixels of whole vectors, all of them inside the image. */
static inline int tfmpq_conv2d_is_direct__mve(const tfmpq_conv_params* params,
                                              int input_bits) {
  return input_bits == 8 && params->input_channels % 16 == 0 &&
         params->kernel_height == 1 && params->kernel_width == 1 &&
         params->stride_height == 1 && params->stride_width == 1 &&
         params->pad_top == 0 && params->pad_left == 0 &&
         params->output_height <= params->input_height &&
         params->output_width == params->input_width;
}

/* Returns 1 if codes are written where they belong, without packing them. */
static inline int tfmpq_conv2d_is_unpacked__mve(const tfmpq_conv_params* params,
                                                int output_bits) {
  return output_bits == 8 && params->output_channels % 4 == 0;
}

/* Returns the bytes of scratch that an output pixel takes: unless direct,
 * kernel_height * kernel_width * input_channels for its elements; unless
 * unpacked, output_channels rounded up to 4 for its codes. */
static inline size_t tfmpq_conv2d_pixel_bytes__mve(
    const tfmpq_conv_params* params, int input_bits, int output_bits) {
  size_t num_bytes = 0;
  if (!tfmpq_conv2d_is_direct__mve(params, input_bits)) {
    num_bytes += (size_t)params->kernel_height * params->kernel_width *
                 params->input_channels;
  }
  if (!tfmpq_conv2d_is_unpacked__mve(params, output_bits)) {
    num_bytes += (params->output_channels + (size_t)3) / 4 * 4;
  }
  return num_bytes;
}

/* Returns how many output pixels are made at a time: 512 / pixel bytes rounded
 * down to an even number, but at least 2 and at most 16. */
static inline size_t tfmpq_conv2d_pixels__mve(const tfmpq_conv_params* params,
                                              int input_bits, int output_bits) {
  const size_t pixel_bytes =
      tfmpq_conv2d_pixel_bytes__mve(params, input_bits, output_bits);
  const size_t num_pixels = 512 / (pixel_bytes + (pixel_bytes == 0)) / 2 * 2;
  if (num_pixels < 2) return 2;
  return num_pixels < 16 ? num_pixels : 16;
}

/* Returns the bytes of scratch: pixels * pixel bytes, and 16 unless direct. */
static inline size_t tfmpq_conv2d_scratch_bytes__mve(
    const tfmpq_conv_params* params, int input_bits, int weight_bits,
    int output_bits) {
  (void)weight_bits;
  return tfmpq_conv2d_pixels__mve(params, input_bits, output_bits) *
             tfmpq_conv2d_pixel_bytes__mve(params, input_bits, output_bits) +
         (tfmpq_conv2d_is_direct__mve(params, input_bits) ? 0 : 16);
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_KERNELS_CONV2D_MVE_H_ */
