#include "tflm_ext/kernels/add.h"

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/rescale.h"

/* Runs forward and writes a byte after everything that it holds has been read:
 * the output may stand where an input stood. */
TFMPQ_INLINE void add(const tfmpq_add_params* params, const uint8_t* input_a,
                      const uint8_t* input_b, uint8_t* output, int a_bits,
                      int b_bits, int o_bits) {
  const uint32_t num_channels = params->channels;
  const int32_t half = (int32_t)((uint32_t)1 << (params->shift - 1));
  tfmpq_writer writer = {output, 0, 0};
  for (uint32_t pixel = 0; pixel < params->num_pixels; ++pixel) {
    for (uint32_t c = 0; c < num_channels; ++c) {
      const int32_t a = tfmpq_code(input_a, c, a_bits) - params->zero_point_a;
      const int32_t b = tfmpq_code(input_b, c, b_bits) - params->zero_point_b;
      const int32_t sum =
          a * params->multiplier_a + b * params->multiplier_b + half;
      const int32_t code = (sum >> params->shift) + params->output_zero_point;
      tfmpq_put(&writer, tfmpq_clamp(code, o_bits), o_bits);
    }
    tfmpq_end_run(&writer);
    input_a += tfmpq_run_bytes(num_channels, a_bits);
    input_b += tfmpq_run_bytes(num_channels, b_bits);
  }
}

#define TFMPQ_DEFINE_ADD(a, b, o)                                             \
  void tfmpq_add_a##a##_a##b##_o##o(const tfmpq_add_params* params,           \
                                    const void* input_a, const void* input_b, \
                                    void* output) {                           \
    add(params, input_a, input_b, output, a, b, o);                           \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_ADD)
