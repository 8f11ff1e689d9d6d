#include "tflm_ext/kernels/fully_connected_dsp.h"

#include <stddef.h>

#include "tflm_ext/kernels/columns_dsp.h"
#include "tflm_ext/kernels/products_dsp.h"

/* What the widths of a kernel choose. */
typedef struct {
  tfmpq_input_part input;
  tfmpq_products products;
  uint8_t o_bits;
} Parts;

/* Completes a task, of which all is set but the columns, and runs it. */
static __attribute__((noinline)) void fully_connected(const Parts* parts,
                                                      tfmpq_products_task* task,
                                                      const void* input,
                                                      uint32_t num_inputs,
                                                      uint32_t* columns) {
  task->columns = columns;
  task->columns_end = columns + tfmpq_column_words(&parts->input, num_inputs);
  task->sums[0] =
      tfmpq_expand_run(&parts->input, input, num_inputs, columns, 1);
  task->num_pixels = 1;
  tfmpq_multiply(parts->products, task);
}

#define PRODUCTS(a, w) PRODUCTS_A##a##_W##w
#define PRODUCTS_A8_W8 tfmpq_vector_products_w8
#define PRODUCTS_A8_W4 tfmpq_vector_products_w4
#define PRODUCTS_A8_W2 tfmpq_vector_products_w2
#define PRODUCTS_A4_W8 tfmpq_vector_products_w8
#define PRODUCTS_A4_W4 tfmpq_vector_products_w4
#define PRODUCTS_A4_W2 tfmpq_vector_products_w2
#define PRODUCTS_A2_W8 tfmpq_vector_products_w8
#define PRODUCTS_A2_W4 tfmpq_vector_products_w4
#define PRODUCTS_A2_W2 tfmpq_vector_products_a2_w2

#define TFMPQ_DEFINE_FULLY_CONNECTED(a, w, o)                                 \
  void tfmpq_fully_connected_a##a##_w##w##_o##o##__dsp(                       \
      const tfmpq_conv_params* params, const void* input, const void* weight, \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,        \
      void* output, void* scratch) {                                          \
    static const Parts kParts = {TFMPQ_INPUT_PART(a, w), PRODUCTS(a, w), o};  \
    tfmpq_products_task task;                                                 \
    tfmpq_start_task(&task, params, weight, channels, weight_zero_points,     \
                     NULL, o, output);                                        \
    fully_connected(&kParts, &task, input, params->input_channels, scratch);  \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_FULLY_CONNECTED)
