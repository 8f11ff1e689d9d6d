#include "tflm_ext/kernels/conv2d_dsp.h"

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/columns_dsp.h"
#include "tflm_ext/kernels/products_dsp.h"
#include "tflm_ext/kernels/windows_dsp.h"

/* What the widths of a kernel choose. */
typedef struct {
  tfmpq_input_part input;
  tfmpq_products products;
  tfmpq_finish finish;
  tfmpq_finish finish_shifted; /* For layers with a pre_shift. */
  uint8_t o_bits;
} Parts;

/* The arguments of a kernel. */
typedef struct {
  const tfmpq_conv_params* params;
  const void* input;
  const void* weight;
  const tfmpq_channel* channels;
  const int8_t* weight_zero_points;
  void* output;
  void* scratch;
} Arguments;

/* Where the first tap of an output pixel lies. */
typedef struct {
  int32_t y;
  int32_t x;
  int32_t end_x; /* Of the pixel behind a row. */
} Position;

/* Expands the columns of the task's pixels, the first of which is at
 * `position`; this then moves on. */
TFMPQ_INLINE void expand_pixels(tfmpq_products_task* task,
                                const tfmpq_windows* windows,
                                Position* position, uint32_t* columns) {
  const tfmpq_conv_params* params = windows->params;
  int32_t* sum = task->sums;
  for (uint32_t i = task->num_pixels; i > 0; --i) {
    *sum++ = windows->expand(windows, position->y, position->x, columns++);
    position->x += params->stride_width;
    if (position->x == position->end_x) {
      position->x = -params->pad_left;
      position->y += params->stride_height;
    }
  }
}

static __attribute__((noinline)) void conv2d(const Parts* parts,
                                             const Arguments* arguments) {
  const tfmpq_conv_params* params = arguments->params;
  uint32_t* const columns = arguments->scratch;
  const uint32_t num_elements = (uint32_t)params->kernel_height *
                                params->kernel_width * params->input_channels;
  uint32_t* const columns_end =
      columns +
      kTfmpqBlockPixels * tfmpq_column_words(&parts->input, num_elements);
  const tfmpq_windows windows = tfmpq_make_windows(
      params, &parts->input, arguments->input, (uint8_t*)columns_end);
  tfmpq_products_task task;
  tfmpq_start_task(
      &task, params, arguments->weight, arguments->channels,
      arguments->weight_zero_points,
      params->pre_shift == 0 ? parts->finish : parts->finish_shifted,
      parts->o_bits, arguments->output);
  task.columns = columns;
  task.columns_end = columns_end;
  Position position = {
      -params->pad_top, -params->pad_left,
      params->output_width * params->stride_width - params->pad_left};
  uint32_t num_left = (uint32_t)params->output_height * params->output_width;
  while (num_left > 0) {
    task.num_pixels = num_left > 1 ? 2 : 1;
    if (num_left == 1) task.pixel_bytes = 0;
    num_left -= task.num_pixels;
    expand_pixels(&task, &windows, &position, columns);
    tfmpq_multiply(parts->products, &task);
    task.codes += 2 * task.pixel_bytes;
  }
}

/* The functions for the weight, by widths of input and weight. */
#define WEIGHT(a, w) WEIGHT_A##a##_W##w
#define WEIGHT_A8_W8 w8
#define WEIGHT_A8_W4 w4
#define WEIGHT_A8_W2 w2
#define WEIGHT_A4_W8 w8
#define WEIGHT_A4_W4 w4
#define WEIGHT_A4_W2 w2
#define WEIGHT_A2_W8 w8
#define WEIGHT_A2_W4 w4
#define WEIGHT_A2_W2 a2_w2

#define PARTS(a, w, weight, o) PARTS_OF(TFMPQ_INPUT_PART(a, w), weight, o)
#define PARTS_OF(input, weight, o)                               \
  {input, tfmpq_products_##weight, tfmpq_finish_##weight##_o##o, \
   tfmpq_finish_shifted_##weight##_o##o, o}

#define TFMPQ_DEFINE_CONV2D(a, w, o)                                           \
  void tfmpq_conv2d_a##a##_w##w##_o##o##__dsp(                                 \
      const tfmpq_conv_params* params, const void* input, const void* weight,  \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,         \
      void* output, void* scratch) {                                           \
    static const Parts kParts = PARTS(a, w, WEIGHT(a, w), o);                  \
    const Arguments arguments = {                                              \
        params, input, weight, channels, weight_zero_points, output, scratch}; \
    conv2d(&kParts, &arguments);                                               \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_CONV2D)
