#include "tflm_ext/kernels/add_mve.h"

#include "tflm_ext/kernels/lanes_mve.h"

/* What all channels have in common. `start` holds the half and what the zero
 * points add, modulo 2^32: the sums themselves fit into int32. */
typedef struct {
  int32_t multiplier_a;
  int32_t multiplier_b;
  int32x4_t start;
  int32_t negative_shift;
  int32_t zero_point; /* Of the output. */
} Scaling;

static Scaling make_scaling(const tfmpq_add_params* params) {
  const uint32_t start =
      ((uint32_t)1 << (params->shift - 1)) -
      (uint32_t)params->zero_point_a * (uint32_t)params->multiplier_a -
      (uint32_t)params->zero_point_b * (uint32_t)params->multiplier_b;
  const Scaling scaling = {params->multiplier_a, params->multiplier_b,
                           vdupq_n_s32((int32_t)start), -params->shift,
                           params->output_zero_point};
  return scaling;
}

/* Returns the codes of the sums of 16 codes and 16 others. */
TFMPQ_INLINE int8x16_t add_codes(const Scaling* scaling, int8x16_t codes_a,
                                 int8x16_t codes_b, int o_bits) {
  const tfmpq_wide a = tfmpq_widen(codes_a);
  const tfmpq_wide b = tfmpq_widen(codes_b);
  tfmpq_wide sums;
  for (int i = 0; i < 4; ++i) {
    int32x4_t sum =
        vmlaq_n_s32(scaling->start, a.quarters[i], scaling->multiplier_a);
    sum = vmlaq_n_s32(sum, b.quarters[i], scaling->multiplier_b);
    sum = vshlq_r_s32(sum, scaling->negative_shift);
    sums.quarters[i] = vaddq_n_s32(sum, scaling->zero_point);
  }
  return tfmpq_narrow(sums, o_bits);
}

/* Adds runs. Goes forward and writes codes after everything that stands in
 * their place has been read: the output may be where an input is. */
TFMPQ_INLINE void add_runs(const Scaling* scaling, const uint8_t* input_a,
                           const uint8_t* input_b, uint8_t* output,
                           uint32_t num_codes, int a_bits, int b_bits,
                           int o_bits) {
  for (; num_codes >= kTfmpqLanes; num_codes -= kTfmpqLanes) {
    const int8x16_t sums = add_codes(scaling, tfmpq_load_codes(input_a, a_bits),
                                     tfmpq_load_codes(input_b, b_bits), o_bits);
    tfmpq_store_codes(output, sums, o_bits);
    input_a += tfmpq_vector_bytes(a_bits);
    input_b += tfmpq_vector_bytes(b_bits);
    output += tfmpq_vector_bytes(o_bits);
  }
  if (num_codes == 0) return;
  const int8x16_t sums =
      add_codes(scaling, tfmpq_load_some_codes(input_a, num_codes, a_bits),
                tfmpq_load_some_codes(input_b, num_codes, b_bits), o_bits);
  tfmpq_store_some_codes(output, sums, num_codes, o_bits);
}

TFMPQ_INLINE void add(const tfmpq_add_params* params, const uint8_t* input_a,
                      const uint8_t* input_b, uint8_t* output, int a_bits,
                      int b_bits, int o_bits) {
  const Scaling scaling = make_scaling(params);
  /* Whole bytes at the least width are whole bytes at the others. */
  const int least_of_inputs = a_bits < b_bits ? a_bits : b_bits;
  const int least = least_of_inputs < o_bits ? least_of_inputs : o_bits;
  uint32_t num_pixels = params->num_pixels;
  uint32_t num_codes = params->channels;
  if (num_codes * (uint32_t)least % 8 == 0) {
    num_codes *= num_pixels;
    num_pixels = 1;
  }
  for (; num_pixels > 0; --num_pixels) {
    add_runs(&scaling, input_a, input_b, output, num_codes, a_bits, b_bits,
             o_bits);
    input_a += tfmpq_run_bytes(num_codes, a_bits);
    input_b += tfmpq_run_bytes(num_codes, b_bits);
    output += tfmpq_run_bytes(num_codes, o_bits);
  }
}

#define TFMPQ_DEFINE_ADD(a, b, o)                          \
  void tfmpq_add_a##a##_a##b##_o##o##__mve(                \
      const tfmpq_add_params* params, const void* input_a, \
      const void* input_b, void* output) {                 \
    add(params, input_a, input_b, output, a, b, o);        \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_ADD)
