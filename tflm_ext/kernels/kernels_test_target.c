#include "tflm_ext/kernels/kernels_test_target.h"

#if defined(TFMPQ_TEST_DSP)

#include "tflm_ext/kernels/add_dsp.h"
#include "tflm_ext/kernels/average_pool_dsp.h"
#include "tflm_ext/kernels/conv2d_dsp.h"
#include "tflm_ext/kernels/depthwise_conv2d_dsp.h"
#include "tflm_ext/kernels/fully_connected_dsp.h"
#include "tflm_ext/kernels/max_pool_dsp.h"
#define TARGET_NAME "dsp"
#define OF_TARGET_WITHOUT_WEIGHTS(name) name##__dsp
#define OF_TARGET(name) name##__dsp
#define HAS_TARGET

#else

#include "tflm_ext/kernels/add.h"
#include "tflm_ext/kernels/average_pool.h"
#include "tflm_ext/kernels/conv2d.h"
#include "tflm_ext/kernels/depthwise_conv2d.h"
#include "tflm_ext/kernels/fully_connected.h"
#include "tflm_ext/kernels/max_pool.h"
#define TARGET_NAME "portable"
#define OF_TARGET(name) name
#ifndef TFMPQ_TEST_LAYOUT
#define TFMPQ_TEST_LAYOUT TFMPQ_LAYOUT_PLAIN
#endif

#endif

#ifndef OF_TARGET_WITHOUT_WEIGHTS
#define OF_TARGET_WITHOUT_WEIGHTS(name) name
#endif

#define CONV2D(a, w, o) OF_TARGET(tfmpq_conv2d_a##a##_w##w##_o##o),
#define DEPTHWISE(a, w, o) OF_TARGET(tfmpq_depthwise_conv2d_a##a##_w##w##_o##o),
#define FULLY_CONNECTED(a, w, o) \
  OF_TARGET(tfmpq_fully_connected_a##a##_w##w##_o##o),
#define ADD(a, b, o) OF_TARGET_WITHOUT_WEIGHTS(tfmpq_add_a##a##_a##b##_o##o),
#define AVERAGE_POOL(a, o) \
  OF_TARGET_WITHOUT_WEIGHTS(tfmpq_average_pool_a##a##_o##o),
#define MAX_POOL(a) OF_TARGET_WITHOUT_WEIGHTS(tfmpq_max_pool_a##a),

const TestedKernels tested_kernels = {
    TARGET_NAME,
    {
        {TFMPQ_FOR_EACH_TRIPLE(CONV2D)},
        {TFMPQ_FOR_EACH_TRIPLE(DEPTHWISE)},
        {TFMPQ_FOR_EACH_TRIPLE(FULLY_CONNECTED)},
    },
    {TFMPQ_FOR_EACH_TRIPLE(ADD)},
    {TFMPQ_FOR_EACH_PAIR(AVERAGE_POOL)},
    {TFMPQ_FOR_EACH_WIDTH(MAX_POOL)},
};

int tested_layout(int32_t op, const tfmpq_conv_params* params, int a_bits,
                  int w_bits) {
#ifdef HAS_TARGET
  if (op == kConv2D) {
    return OF_TARGET(tfmpq_conv2d_layout)(params, a_bits, w_bits);
  }
  if (op == kDepthwiseConv2D) {
    return OF_TARGET(tfmpq_depthwise_conv2d_layout)(params, a_bits, w_bits);
  }
  return OF_TARGET(tfmpq_fully_connected_layout)(params, a_bits, w_bits);
#else
  (void)params;
  (void)a_bits;
  (void)w_bits;
  return op == kDepthwiseConv2D ? TFMPQ_LAYOUT_PLAIN : TFMPQ_TEST_LAYOUT;
#endif
}

size_t tested_scratch_bytes(int32_t op, const tfmpq_conv_params* params,
                            int a_bits, int w_bits, int o_bits) {
  if (op == kConv2D) {
    return OF_TARGET(tfmpq_conv2d_scratch_bytes)(params, a_bits, w_bits,
                                                 o_bits);
  }
  if (op == kDepthwiseConv2D) {
    return OF_TARGET(tfmpq_depthwise_conv2d_scratch_bytes)(params, a_bits,
                                                           w_bits, o_bits);
  }
  return OF_TARGET(tfmpq_fully_connected_scratch_bytes)(params, a_bits, w_bits,
                                                        o_bits);
}

int tested_in_place(int32_t op, const tfmpq_conv_params* params, int a_bits,
                    int o_bits) {
#ifdef HAS_TARGET
  if (op != kDepthwiseConv2D) return 0;
  return OF_TARGET(tfmpq_depthwise_conv2d_in_place)(params, a_bits, o_bits);
#else
  (void)op;
  (void)params;
  (void)a_bits;
  (void)o_bits;
  return 0;
#endif
}

/* Returns the number of a width in the lists of widths.h. */
static int width_index(int32_t bits) { return bits / 4; }

int tested_triple_index(const GoldenFields* fields) {
  return (width_index(fields->a_bits) * 3 + width_index(fields->w_bits)) * 3 +
         width_index(fields->o_bits);
}

tfmpq_conv_params tested_conv_params(const GoldenFields* fields) {
  tfmpq_conv_params params = {
      .input_height = (uint16_t)fields->input_height,
      .input_width = (uint16_t)fields->input_width,
      .input_channels = (uint16_t)fields->input_channels,
      .output_height = (uint16_t)fields->output_height,
      .output_width = (uint16_t)fields->output_width,
      .output_channels = (uint16_t)fields->output_channels,
      .kernel_height = (uint8_t)fields->kernel_height,
      .kernel_width = (uint8_t)fields->kernel_width,
      .stride_height = (uint8_t)fields->stride_height,
      .stride_width = (uint8_t)fields->stride_width,
      .pad_top = (uint8_t)fields->pad_top,
      .pad_left = (uint8_t)fields->pad_left,
      .input_zero_point = (int8_t)fields->input_zero_point,
      .output_zero_point = (int8_t)fields->output_zero_point,
      .weight_zero_point = (int8_t)fields->second_zero_point,
      .shift = (uint8_t)fields->shift,
      .pre_shift = (uint8_t)fields->pre_shift,
  };
  params.layout = (uint8_t)tested_layout(fields->op, &params, fields->a_bits,
                                         fields->w_bits);
  return params;
}

void tested_run_conv(const GoldenFields* fields, const void* input,
                     const void* weight, const uint8_t* parameters,
                     void* output, void* scratch) {
  const tfmpq_conv_params params = tested_conv_params(fields);
  const void* channels = parameters;
  const void* zero_points =
      fields->per_channel_zero_points
          ? parameters + (size_t)fields->output_channels * sizeof(tfmpq_channel)
          : NULL;
  tested_kernels.conv[fields->op][tested_triple_index(fields)](
      &params, input, weight, channels, zero_points, output, scratch);
}
