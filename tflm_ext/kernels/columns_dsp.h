/* Columns: the elements under the kernel as halfwords, which SMLAD multiplies.
 * The part of the DSP kernels of conv2d and fully_connected that depends on the
 * width of the input.
 *
 * A group is 4 elements, x0 to x3, in two words: x0 | x2 << 16, x1 | x3 << 16.
 *
 * Where input and weight have 2 bits a group is 16 elements in four words,
 * each with four elements (tfmpq_expand_a2_for_w2): products_dsp.h says why.
 *
 * The columns of one pixel are `stride` words apart: 2, so that those of two
 * pixels alternate, or 1. Elements that pad a group are 0. */
#ifndef TFLM_EXT_KERNELS_COLUMNS_DSP_H_
#define TFLM_EXT_KERNELS_COLUMNS_DSP_H_

#include <stdint.h>

/* Expands whole groups of packed codes. Returns the sum of the codes. */
typedef int32_t (*tfmpq_expand)(const uint8_t* codes, uint32_t num_groups,
                                uint32_t* columns, uint32_t stride);

int32_t tfmpq_expand_a8(const uint8_t* codes, uint32_t num_groups,
                        uint32_t* columns, uint32_t stride);
int32_t tfmpq_expand_a4(const uint8_t* codes, uint32_t num_groups,
                        uint32_t* columns, uint32_t stride);
int32_t tfmpq_expand_a2(const uint8_t* codes, uint32_t num_groups,
                        uint32_t* columns, uint32_t stride);
int32_t tfmpq_expand_a2_for_w2(const uint8_t* codes, uint32_t num_groups,
                               uint32_t* columns, uint32_t stride);

/* How the input of a kernel becomes columns. */
typedef struct {
  tfmpq_expand expand;
  uint8_t bits;
  uint8_t group_codes; /* 4 or 16. */
  uint8_t group_words; /* 2 or 4. */
} tfmpq_input_part;

/* The choice for constant widths. */
#define TFMPQ_INPUT_PART(a, w) TFMPQ_INPUT_PART_A##a##_W##w
#define TFMPQ_INPUT_PART_A8 {tfmpq_expand_a8, 8, 4, 2}
#define TFMPQ_INPUT_PART_A4 {tfmpq_expand_a4, 4, 4, 2}
#define TFMPQ_INPUT_PART_A2 {tfmpq_expand_a2, 2, 4, 2}
#define TFMPQ_INPUT_PART_A8_W8 TFMPQ_INPUT_PART_A8
#define TFMPQ_INPUT_PART_A8_W4 TFMPQ_INPUT_PART_A8
#define TFMPQ_INPUT_PART_A8_W2 TFMPQ_INPUT_PART_A8
#define TFMPQ_INPUT_PART_A4_W8 TFMPQ_INPUT_PART_A4
#define TFMPQ_INPUT_PART_A4_W4 TFMPQ_INPUT_PART_A4
#define TFMPQ_INPUT_PART_A4_W2 TFMPQ_INPUT_PART_A4
#define TFMPQ_INPUT_PART_A2_W8 TFMPQ_INPUT_PART_A2
#define TFMPQ_INPUT_PART_A2_W4 TFMPQ_INPUT_PART_A2
#define TFMPQ_INPUT_PART_A2_W2 {tfmpq_expand_a2_for_w2, 2, 16, 4}

/* Returns the words of the columns of num_elements elements. */
static inline uint32_t tfmpq_column_words(const tfmpq_input_part* part,
                                          uint32_t num_elements) {
  const uint32_t group = part->group_codes;
  return (num_elements + group - 1) / group * part->group_words;
}

/* Expands a run of num_codes packed codes, of which the last group may be cut
 * short. Returns their sum. */
int32_t tfmpq_expand_run(const tfmpq_input_part* part, const uint8_t* run,
                         uint32_t num_codes, uint32_t* columns,
                         uint32_t stride);

/* Expands num_codes elements that are all `code`, and zeros after them to whole
 * groups. Returns their sum. */
int32_t tfmpq_expand_padding(const tfmpq_input_part* part, int32_t code,
                             uint32_t num_codes, uint32_t* columns,
                             uint32_t stride);

#endif /* TFLM_EXT_KERNELS_COLUMNS_DSP_H_ */
