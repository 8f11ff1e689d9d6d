#include "tflm_ext/kernels/conv2d.h"

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/rescale.h"
#include "tflm_ext/kernels/weight_layouts.h"

/* The window of one output pixel: where its first tap lies in the input,
 * outside of it if negative. */
typedef struct {
  const tfmpq_conv_params* params;
  const uint8_t* input;
  int32_t first_y;
  int32_t first_x;
} Window;

/* Returns the input pixel under a tap, or NULL outside the image. */
TFMPQ_INLINE const uint8_t* pixel_at(const Window* window, int32_t tap_y,
                                     int32_t tap_x, int a_bits) {
  const tfmpq_conv_params* params = window->params;
  const int32_t y = window->first_y + tap_y;
  const int32_t x = window->first_x + tap_x;
  if (y < 0 || y >= params->input_height) return NULL;
  if (x < 0 || x >= params->input_width) return NULL;
  const uint32_t pixel = (uint32_t)y * params->input_width + (uint32_t)x;
  return window->input +
         pixel * tfmpq_run_bytes(params->input_channels, a_bits);
}

/* Returns the sum of x over the window. */
TFMPQ_INLINE int32_t window_sum(const Window* window, int a_bits) {
  const tfmpq_conv_params* params = window->params;
  const int32_t num_channels = params->input_channels;
  int32_t sum = 0;
  for (int32_t i = 0; i < params->kernel_height; ++i) {
    for (int32_t j = 0; j < params->kernel_width; ++j) {
      const uint8_t* pixel = pixel_at(window, i, j, a_bits);
      sum += pixel != NULL ? tfmpq_sum(pixel, 0, (uint32_t)num_channels, a_bits)
                           : params->input_zero_point * num_channels;
    }
  }
  return sum;
}

/* Returns the sum of x * u over the window, for the output channel whose
 * weights are `run`. */
TFMPQ_INLINE int32_t window_dot(const Window* window, const uint8_t* run,
                                int a_bits, int w_bits) {
  const tfmpq_conv_params* params = window->params;
  const uint32_t num_channels = params->input_channels;
  uint32_t first = 0;
  int32_t sum = 0;
  for (int32_t i = 0; i < params->kernel_height; ++i) {
    for (int32_t j = 0; j < params->kernel_width; ++j) {
      const uint8_t* pixel = pixel_at(window, i, j, a_bits);
      sum += pixel != NULL
                 ? tfmpq_dot(pixel, run, first, num_channels, a_bits, w_bits)
                 : params->input_zero_point *
                       tfmpq_sum(run, first, num_channels, w_bits);
      first += num_channels;
    }
  }
  return sum;
}

/* The same for weights in any layout. */
static int32_t window_dot_any_layout(const Window* window,
                                     const tfmpq_weights* weights,
                                     uint32_t channel) {
  const tfmpq_conv_params* params = window->params;
  const uint32_t num_channels = params->input_channels;
  uint32_t first = 0;
  int32_t sum = 0;
  for (int32_t i = 0; i < params->kernel_height; ++i) {
    for (int32_t j = 0; j < params->kernel_width; ++j) {
      const uint8_t* pixel = pixel_at(window, i, j, weights->a_bits);
      sum +=
          pixel != NULL
              ? tfmpq_weights_dot(weights, channel, first, pixel, num_channels)
              : params->input_zero_point *
                    tfmpq_weights_sum(weights, channel, first, num_channels);
      first += num_channels;
    }
  }
  return sum;
}

TFMPQ_INLINE void conv2d(const tfmpq_conv_params* params, const uint8_t* input,
                         const uint8_t* weight, const tfmpq_channel* channels,
                         const int8_t* weight_zero_points, uint8_t* output,
                         int a_bits, int w_bits, int o_bits) {
  const uint32_t taps = (uint32_t)params->kernel_height * params->kernel_width;
  const uint32_t run_bytes =
      tfmpq_run_bytes(taps * params->input_channels, w_bits);
  const tfmpq_weights weights = {weight, taps * params->input_channels,
                                 params->layout, a_bits, w_bits};
  const tfmpq_rescale rescale = tfmpq_make_rescale(
      params->output_zero_point, params->shift, params->pre_shift);
  tfmpq_writer writer = {output, 0, 0};
  for (int32_t y = 0; y < params->output_height; ++y) {
    for (int32_t x = 0; x < params->output_width; ++x) {
      const Window window = {params, input,
                             y * params->stride_height - params->pad_top,
                             x * params->stride_width - params->pad_left};
      /* Weights of 8 bits have zero point 0. */
      const int32_t sum = w_bits == 8 ? 0 : window_sum(&window, a_bits);
      const uint8_t* run = weight;
      for (int32_t c = 0; c < params->output_channels; ++c) {
        const int32_t zero_point = weight_zero_points != NULL
                                       ? weight_zero_points[c]
                                       : params->weight_zero_point;
        const int32_t dot =
            params->layout == TFMPQ_LAYOUT_PLAIN
                ? window_dot(&window, run, a_bits, w_bits)
                : window_dot_any_layout(&window, &weights, (uint32_t)c);
        const int32_t accumulator = channels[c].bias + dot - zero_point * sum;
        tfmpq_put(&writer,
                  tfmpq_requantize(accumulator, channels[c].multiplier,
                                   &rescale, o_bits),
                  o_bits);
        run += run_bytes;
      }
      tfmpq_end_run(&writer);
    }
  }
}

#define TFMPQ_DEFINE_CONV2D(a, w, o)                                          \
  void tfmpq_conv2d_a##a##_w##w##_o##o(                                       \
      const tfmpq_conv_params* params, const void* input, const void* weight, \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,        \
      void* output, void* scratch) {                                          \
    (void)scratch;                                                            \
    conv2d(params, input, weight, channels, weight_zero_points, output, a, w, \
           o);                                                                \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_CONV2D)

size_t tfmpq_conv2d_scratch_bytes(const tfmpq_conv_params* params,
                                  int input_bits, int weight_bits,
                                  int output_bits) {
  (void)params;
  (void)input_bits;
  (void)weight_bits;
  (void)output_bits;
  return 0;
}
