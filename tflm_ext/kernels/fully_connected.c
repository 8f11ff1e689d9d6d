#include "tflm_ext/kernels/fully_connected.h"

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/rescale.h"
#include "tflm_ext/kernels/weight_layouts.h"

TFMPQ_INLINE void fully_connected(const tfmpq_conv_params* params,
                                  const uint8_t* input, const uint8_t* weight,
                                  const tfmpq_channel* channels,
                                  const int8_t* weight_zero_points,
                                  uint8_t* output, int a_bits, int w_bits,
                                  int o_bits) {
  const uint32_t num_inputs = params->input_channels;
  const uint32_t run_bytes = tfmpq_run_bytes(num_inputs, w_bits);
  const tfmpq_weights weights = {weight, num_inputs, params->layout, a_bits,
                                 w_bits};
  const tfmpq_rescale rescale = tfmpq_make_rescale(
      params->output_zero_point, params->shift, params->pre_shift);
  /* Weights of 8 bits have zero point 0. */
  const int32_t sum = w_bits == 8 ? 0 : tfmpq_sum(input, 0, num_inputs, a_bits);
  tfmpq_writer writer = {output, 0, 0};
  for (int32_t c = 0; c < params->output_channels; ++c) {
    const int32_t zero_point = weight_zero_points != NULL
                                   ? weight_zero_points[c]
                                   : params->weight_zero_point;
    const int32_t dot =
        params->layout == TFMPQ_LAYOUT_PLAIN
            ? tfmpq_dot(input, weight, 0, num_inputs, a_bits, w_bits)
            : tfmpq_weights_dot(&weights, (uint32_t)c, 0, input, num_inputs);
    const int32_t accumulator = channels[c].bias + dot - zero_point * sum;
    tfmpq_put(
        &writer,
        tfmpq_requantize(accumulator, channels[c].multiplier, &rescale, o_bits),
        o_bits);
    weight += run_bytes;
  }
  tfmpq_end_run(&writer);
}

#define TFMPQ_DEFINE_FULLY_CONNECTED(a, w, o)                                 \
  void tfmpq_fully_connected_a##a##_w##w##_o##o(                              \
      const tfmpq_conv_params* params, const void* input, const void* weight, \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,        \
      void* output, void* scratch) {                                          \
    (void)scratch;                                                            \
    fully_connected(params, input, weight, channels, weight_zero_points,      \
                    output, a, w, o);                                         \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_FULLY_CONNECTED)

size_t tfmpq_fully_connected_scratch_bytes(const tfmpq_conv_params* params,
                                           int input_bits, int weight_bits,
                                           int output_bits) {
  (void)params;
  (void)input_bits;
  (void)weight_bits;
  (void)output_bits;
  return 0;
}
