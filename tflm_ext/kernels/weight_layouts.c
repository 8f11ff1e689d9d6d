#include "tflm_ext/kernels/weight_layouts.h"

#include "tflm_ext/kernels/codes.h"

/* Where a code is: the code's number in the constant, and bits that are flipped
 * there. */
typedef struct {
  uint32_t number;
  int32_t flipped;
} Place;

static Place dsp_place(const tfmpq_weights* weights, uint32_t row,
                       uint32_t element) {
  const int both_2 = weights->a_bits == 2 && weights->w_bits == 2;
  const uint32_t group = both_2 ? 16 : 4;
  const uint32_t num_groups = (weights->num_elements + group - 1) / group;
  const uint32_t c = row % 4;
  const uint32_t e = element % group;
  Place place = {(row / 4 * num_groups + element / group) * group * 4, 0};
  if (both_2) {
    place.number += 16 * c + ((e & 2) != 0 ? e - 6 : e + 6) % 16;
  } else if (weights->w_bits == 2) {
    place.number += 4 * e + c;
  } else if (weights->w_bits == 4) {
    place.number += 8 * (e & 1) + 4 * (e >> 1) + c;
    place.flipped = c == 3 ? 8 : 0;
  } else {
    place.number += 8 * (e & 1) + 4 * (c >> 1) + 2 * (e >> 1) + (c & 1);
    place.flipped = c % 2 == 0 ? -128 : 0;
  }
  return place;
}

static Place mve_place(const tfmpq_weights* weights, uint32_t row,
                       uint32_t element) {
  const uint32_t bits = (uint32_t)weights->w_bits;
  const uint32_t num_groups = (weights->num_elements + 15) / 16;
  const uint32_t per_byte = 8 / bits; /* Channels. */
  const uint32_t c = row % 4;
  const uint32_t block = row / 4 * num_groups + element / 16;
  const uint32_t byte =
      64 / per_byte * block + c / per_byte * 16 + element % 16;
  const int is_highest = bits != 8 && c % per_byte == per_byte - 1;
  const Place place = {byte * per_byte + c % per_byte,
                       is_highest ? 1 << (bits - 1) : 0};
  return place;
}

/* Returns the code of a weight. */
static int32_t code_at(const tfmpq_weights* weights, uint32_t row,
                       uint32_t element) {
  const int bits = weights->w_bits;
  if (weights->layout != TFMPQ_LAYOUT_PLAIN) {
    const Place place = weights->layout == TFMPQ_LAYOUT_DSP
                            ? dsp_place(weights, row, element)
                            : mve_place(weights, row, element);
    return tfmpq_code(weights->packed, place.number, bits) ^ place.flipped;
  }
  const uint32_t run_bytes = tfmpq_run_bytes(weights->num_elements, bits);
  return tfmpq_code(weights->packed + row * run_bytes, element, bits);
}

int32_t tfmpq_weights_sum(const tfmpq_weights* weights, uint32_t row,
                          uint32_t first, uint32_t count) {
  int32_t sum = 0;
  for (uint32_t i = 0; i < count; ++i) sum += code_at(weights, row, first + i);
  return sum;
}

int32_t tfmpq_weights_dot(const tfmpq_weights* weights, uint32_t row,
                          uint32_t first, const uint8_t* x, uint32_t count) {
  int32_t sum = 0;
  for (uint32_t i = 0; i < count; ++i) {
    sum += tfmpq_code(x, i, weights->a_bits) * code_at(weights, row, first + i);
  }
  return sum;
}
