#include "tflm_ext/kernels/depthwise_conv2d.h"

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/rescale.h"

typedef struct {
  const tfmpq_conv_params* params;
  const uint8_t* input;
  const uint8_t* weight;
  const tfmpq_channel* channels;
  const int8_t* weight_zero_points;
} Operands;

/* Up to TFMPQ_GROUP neighbouring channels: what one pass over a window
 * computes. */
typedef struct {
  uint32_t first; /* Channel, a multiple of TFMPQ_GROUP. */
  uint32_t count;
  int32_t zero_points[TFMPQ_GROUP]; /* Of the weights. */
  int32_t accumulators[TFMPQ_GROUP];
} Group;

TFMPQ_INLINE Group start_group(const Operands* operands, uint32_t first,
                               uint32_t count, int w_bits) {
  Group group = {first, count, {0}, {0}};
  for (uint32_t lane = 0; lane < count; ++lane) {
    group.accumulators[lane] = operands->channels[first + lane].bias;
    if (w_bits == 8) continue; /* Weights of 8 bits have zero point 0. */
    group.zero_points[lane] = operands->weight_zero_points != NULL
                                  ? operands->weight_zero_points[first + lane]
                                  : operands->params->weight_zero_point;
  }
  return group;
}

/* Adds x * (u - z_w) of one tap. `pixel` is NULL outside the image. */
TFMPQ_INLINE void add_tap(Group* group, const uint8_t* pixel,
                          int32_t input_zero_point, const uint8_t* tap,
                          int a_bits, int w_bits) {
  for (uint32_t lane = 0; lane < group->count; ++lane) {
    const int32_t x =
        pixel != NULL ? tfmpq_code(pixel, lane, a_bits) : input_zero_point;
    const int32_t w = tfmpq_code(tap, lane, w_bits) - group->zero_points[lane];
    group->accumulators[lane] += x * w;
  }
}

/* Adds the taps of the window whose first one lies at (first_y, first_x) of
 * the input, outside of it if negative. */
TFMPQ_INLINE void add_window(Group* group, const Operands* operands,
                             int32_t first_y, int32_t first_x, int a_bits,
                             int w_bits) {
  const tfmpq_conv_params* params = operands->params;
  const uint32_t pixel_bytes = tfmpq_run_bytes(params->input_channels, a_bits);
  const uint32_t tap_bytes = tfmpq_run_bytes(params->input_channels, w_bits);
  const uint32_t index = group->first / TFMPQ_GROUP;
  const uint8_t* input = operands->input + tfmpq_group_bytes(index, a_bits);
  const uint8_t* tap = operands->weight + tfmpq_group_bytes(index, w_bits);
  for (int32_t y = first_y; y < first_y + params->kernel_height; ++y) {
    const int row_inside = y >= 0 && y < params->input_height;
    for (int32_t x = first_x; x < first_x + params->kernel_width; ++x) {
      const uint8_t* pixel = NULL;
      if (row_inside && x >= 0 && x < params->input_width) {
        pixel = input + (uint32_t)(y * params->input_width + x) * pixel_bytes;
      }
      add_tap(group, pixel, params->input_zero_point, tap, a_bits, w_bits);
      tap += tap_bytes;
    }
  }
}

/* Writes `count` channels of one output pixel. */
TFMPQ_INLINE void write_group(tfmpq_writer* writer, const Operands* operands,
                              const tfmpq_rescale* rescale, int32_t first_y,
                              int32_t first_x, uint32_t first, uint32_t count,
                              int a_bits, int w_bits, int o_bits) {
  Group group = start_group(operands, first, count, w_bits);
  add_window(&group, operands, first_y, first_x, a_bits, w_bits);
  for (uint32_t lane = 0; lane < count; ++lane) {
    const int32_t multiplier = operands->channels[first + lane].multiplier;
    tfmpq_put(
        writer,
        tfmpq_requantize(group.accumulators[lane], multiplier, rescale, o_bits),
        o_bits);
  }
}

TFMPQ_INLINE void depthwise_conv2d(const Operands* operands, uint8_t* output,
                                   int a_bits, int w_bits, int o_bits) {
  const tfmpq_conv_params* params = operands->params;
  const uint32_t num_channels = params->input_channels;
  const tfmpq_rescale rescale = tfmpq_make_rescale(
      params->output_zero_point, params->shift, params->pre_shift);
  tfmpq_writer writer = {output, 0, 0};
  for (int32_t y = 0; y < params->output_height; ++y) {
    const int32_t first_y = y * params->stride_height - params->pad_top;
    for (int32_t x = 0; x < params->output_width; ++x) {
      const int32_t first_x = x * params->stride_width - params->pad_left;
      uint32_t c = 0;
      /* A constant count lets the compiler keep a group in registers. */
      for (; c + TFMPQ_GROUP <= num_channels; c += TFMPQ_GROUP) {
        write_group(&writer, operands, &rescale, first_y, first_x, c,
                    TFMPQ_GROUP, a_bits, w_bits, o_bits);
      }
      if (c < num_channels) {
        write_group(&writer, operands, &rescale, first_y, first_x, c,
                    num_channels - c, a_bits, w_bits, o_bits);
      }
      tfmpq_end_run(&writer);
    }
  }
}

#define TFMPQ_DEFINE_DEPTHWISE_CONV2D(a, w, o)                                \
  void tfmpq_depthwise_conv2d_a##a##_w##w##_o##o(                             \
      const tfmpq_conv_params* params, const void* input, const void* weight, \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,        \
      void* output, void* scratch) {                                          \
    const Operands operands = {params, input, weight, channels,               \
                               weight_zero_points};                           \
    (void)scratch;                                                            \
    depthwise_conv2d(&operands, output, a, w, o);                             \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_DEPTHWISE_CONV2D)

size_t tfmpq_depthwise_conv2d_scratch_bytes(const tfmpq_conv_params* params,
                                            int input_bits, int weight_bits,
                                            int output_bits) {
  (void)params;
  (void)input_bits;
  (void)weight_bits;
  (void)output_bits;
  return 0;
}
