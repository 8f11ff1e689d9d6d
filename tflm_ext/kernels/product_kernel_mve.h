/* What the kernels of conv2d and fully_connected are made of. */
#ifndef TFLM_EXT_KERNELS_PRODUCT_KERNEL_MVE_H_
#define TFLM_EXT_KERNELS_PRODUCT_KERNEL_MVE_H_

#include <stdint.h>

#include "tflm_ext/kernels/products_mve.h"
#include "tflm_ext/kernels/types.h"
#include "tflm_ext/kernels/windows_mve.h"

/* What the widths of a kernel choose. */
typedef struct {
  tfmpq_expand_pixels expand_pixels;
  tfmpq_make_tiles make_tiles;
  tfmpq_pack_run pack_run;
  uint8_t a_bits;
  uint8_t w_bits;
  uint8_t o_bits;
} tfmpq_product_parts;

/* The arguments of a kernel. */
typedef struct {
  const tfmpq_conv_params* params;
  const uint8_t* input;
  const uint8_t* weight;
  const tfmpq_channel* channels;
  const int8_t* weight_zero_points;
  uint8_t* output;
  int8_t* scratch;
} tfmpq_product_arguments;

/* Defines tfmpq_<op>_a<A>_w<W>_o<O>__mve, which calls `<op>` of its file. Its
 * tiles are those of tfmpq_<tiles>_w<W>__mve. */
#define TFMPQ_DEFINE_PRODUCT_KERNEL(op, tiles, a, w, o)                        \
  void tfmpq_##op##_a##a##_w##w##_o##o##__mve(                                 \
      const tfmpq_conv_params* params, const void* input, const void* weight,  \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,         \
      void* output, void* scratch) {                                           \
    static const tfmpq_product_parts parts = {tfmpq_expand_pixels_a##a##__mve, \
                                              tfmpq_##tiles##_w##w##__mve,     \
                                              tfmpq_pack_run_o##o##__mve,      \
                                              a,                               \
                                              w,                               \
                                              o};                              \
    const tfmpq_product_arguments arguments = {                                \
        params, input, weight, channels, weight_zero_points, output, scratch}; \
    op(&parts, &arguments);                                                    \
  }

#endif /* TFLM_EXT_KERNELS_PRODUCT_KERNEL_MVE_H_ */
