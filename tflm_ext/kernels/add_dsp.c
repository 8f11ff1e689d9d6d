#include "tflm_ext/kernels/add_dsp.h"

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/instructions_dsp.h"
#include "tflm_ext/kernels/quads_dsp.h"

/* What all channels have in common. `start` holds the half and what the zero
 * points add, modulo 2^32: the sums themselves fit into int32. */
typedef struct {
  uint32_t multiplier_a;
  uint32_t multiplier_b;
  uint32_t start;
  int32_t zero_point; /* Of the output. */
  int shift;
} Scaling;

static Scaling make_scaling(const tfmpq_add_params* params) {
  const uint32_t a = (uint32_t)params->multiplier_a;
  const uint32_t b = (uint32_t)params->multiplier_b;
  const Scaling scaling = {a, b,
                           ((uint32_t)1 << (params->shift - 1)) -
                               (uint32_t)params->zero_point_a * a -
                               (uint32_t)params->zero_point_b * b,
                           params->output_zero_point, params->shift};
  return scaling;
}

/* Returns the quad of the sums of the codes of two quads. */
TFMPQ_INLINE uint32_t add_quads(const Scaling* scaling, uint32_t quad_a,
                                uint32_t quad_b, int a_bits, int b_bits,
                                int o_bits) {
  uint32_t quad = 0;
  for (int i = 0; i < 4; ++i) {
    const int32_t a = tfmpq_code_of_quad(quad_a, i, a_bits);
    const int32_t b = tfmpq_code_of_quad(quad_b, i, b_bits);
    const uint32_t sum = scaling->start + (uint32_t)a * scaling->multiplier_a +
                         (uint32_t)b * scaling->multiplier_b;
    const int32_t value =
        ((int32_t)sum >> scaling->shift) + scaling->zero_point;
    const uint32_t code = (uint32_t)tfmpq_saturate(value, o_bits);
    quad |= (code & ((1u << o_bits) - 1)) << (i * o_bits);
  }
  return quad;
}

/* Runs forward and writes a quad after everything that its bytes hold has been
 * read: the output may stand where an input stood. */
TFMPQ_INLINE void add(const tfmpq_add_params* params, const uint8_t* input_a,
                      const uint8_t* input_b, uint8_t* output, int a_bits,
                      int b_bits, int o_bits) {
  const Scaling scaling = make_scaling(params);
  uint32_t num_quads = params->channels / 4u;
  uint32_t num_pixels = params->num_pixels;
  const uint32_t num_rest = params->channels % 4u;
  if (num_rest == 0) { /* One run of quads. */
    num_quads *= num_pixels;
    num_pixels = 1;
  }
  for (; num_pixels > 0; --num_pixels) {
    for (uint32_t i = num_quads; i > 0; --i) {
      const uint32_t quad =
          add_quads(&scaling, tfmpq_load_quad(input_a, a_bits),
                    tfmpq_load_quad(input_b, b_bits), a_bits, b_bits, o_bits);
      tfmpq_store_quad(output, quad, o_bits);
      input_a += a_bits / 2;
      input_b += b_bits / 2;
      output += o_bits / 2;
    }
    if (num_rest == 0) continue;
    const uint32_t a_bytes = tfmpq_run_bytes(num_rest, a_bits);
    const uint32_t b_bytes = tfmpq_run_bytes(num_rest, b_bits);
    const uint32_t quad = add_quads(
        &scaling, tfmpq_load_part_of_quad(input_a, a_bytes),
        tfmpq_load_part_of_quad(input_b, b_bytes), a_bits, b_bits, o_bits);
    tfmpq_store_part_of_quad(output, quad, num_rest, o_bits);
    input_a += a_bytes;
    input_b += b_bytes;
    output += tfmpq_run_bytes(num_rest, o_bits);
  }
}

#define TFMPQ_DEFINE_ADD(a, b, o)                          \
  void tfmpq_add_a##a##_a##b##_o##o##__dsp(                \
      const tfmpq_add_params* params, const void* input_a, \
      const void* input_b, void* output) {                 \
    add(params, input_a, input_b, output, a, b, o);        \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_ADD)
