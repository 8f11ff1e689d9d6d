/* Parameters of the kernels. The byte layout of every buffer, and the meaning
 * of every field, is specified in tflm_ext/README.md. */
#ifndef TFLM_EXT_KERNELS_TYPES_H_
#define TFLM_EXT_KERNELS_TYPES_H_

#include <stdint.h>

/* Weight layout ids (README.md, "Weight layouts"). */
#define TFMPQ_LAYOUT_PLAIN 0
#define TFMPQ_LAYOUT_DSP 1
#define TFMPQ_LAYOUT_MVE 2

/* One output channel: the bias with the input zero point folded in, and the
 * multiplier of the rescaling, 0 <= multiplier < 2^31. */
typedef struct {
  int32_t bias;
  int32_t multiplier;
} tfmpq_channel;

/* conv2d, depthwise_conv2d and fully_connected (for which heights, widths,
 * kernel and strides are 1 and the padding 0). */
typedef struct {
  uint16_t input_height;
  uint16_t input_width;
  uint16_t input_channels;
  uint16_t output_height;
  uint16_t output_width;
  uint16_t output_channels;
  uint8_t kernel_height;
  uint8_t kernel_width;
  uint8_t stride_height;
  uint8_t stride_width;
  uint8_t pad_top;
  uint8_t pad_left;
  int8_t input_zero_point;
  int8_t output_zero_point;
  /* Of all channels; read only where no zero points per channel are given. */
  int8_t weight_zero_point;
  uint8_t layout;
  uint8_t shift;
  uint8_t pre_shift;
} tfmpq_conv_params;

/* Elementwise add of two tensors of num_pixels pixels of channels channels. */
typedef struct {
  uint32_t num_pixels;
  int32_t multiplier_a;
  int32_t multiplier_b;
  uint16_t channels;
  int8_t zero_point_a;
  int8_t zero_point_b;
  int8_t output_zero_point;
  uint8_t shift;
} tfmpq_add_params;

/* average_pool and max_pool (which reads geometry and channels only). */
typedef struct {
  uint16_t input_height;
  uint16_t input_width;
  uint16_t output_height;
  uint16_t output_width;
  uint16_t channels;
  /* 1 without padding, kernel_height * kernel_width with padding. */
  uint16_t num_multipliers;
  uint8_t kernel_height;
  uint8_t kernel_width;
  uint8_t stride_height;
  uint8_t stride_width;
  uint8_t pad_top;
  uint8_t pad_left;
  int8_t input_zero_point;
  int8_t output_zero_point;
  uint8_t shift;
  uint8_t pre_shift;
} tfmpq_pool_params;

#endif /* TFLM_EXT_KERNELS_TYPES_H_ */
