#include "tflm_ext/kernels/conv2d_dsp.h"

#include <string.h>

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/columns_dsp.h"
#include "tflm_ext/kernels/instructions_dsp.h"
#include "tflm_ext/kernels/outputs_dsp.h"
#include "tflm_ext/kernels/products_dsp.h"
#include "tflm_ext/kernels/rescale.h"

/* What the widths of a kernel choose. */
typedef struct {
  tfmpq_input_part input;
  tfmpq_products products;
  tfmpq_store store;
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

/* The input of a call, and how pixels of it become columns. */
typedef struct {
  const tfmpq_conv_params* params;
  const tfmpq_input_part* part;
  const uint8_t* codes;
  uint32_t pixel_bytes;
  uint32_t row_bytes;
  uint32_t num_elements; /* Under the kernel. */
  uint8_t* run;          /* Room for their codes, if expand_gathered. */
} Input;

/* The columns of one output pixel whose first tap is at input pixel (y, x),
 * outside of the image if negative. Returns the sum of its elements. */
typedef int32_t (*ExpandPixel)(const Input* input, int32_t y, int32_t x,
                               uint32_t* columns);

enum { kStride = kTfmpqBlockPixels }; /* Of the columns of a pixel. */

/* A 1x1 kernel. */
static int32_t expand_point(const Input* input, int32_t y, int32_t x,
                            uint32_t* columns) {
  const tfmpq_conv_params* params = input->params;
  if (y < 0 || y >= params->input_height || x < 0 || x >= params->input_width) {
    return tfmpq_expand_padding(input->part, params->input_zero_point,
                                input->num_elements, columns, kStride);
  }
  const uint8_t* pixel = input->codes + (uint32_t)y * input->row_bytes +
                         (uint32_t)x * input->pixel_bytes;
  return tfmpq_expand_run(input->part, pixel, input->num_elements, columns,
                          kStride);
}

/* The part of a row of taps that lies inside the image. */
typedef struct {
  uint32_t num_left; /* Taps left of the image; all taps if none is inside. */
  uint32_t num_inside;
  uint32_t num_right;
  const uint8_t* first; /* The pixel of the first tap inside. */
} TapRow;

static TapRow tap_row(const Input* input, int32_t y, int32_t x) {
  const tfmpq_conv_params* params = input->params;
  const int32_t kernel_width = params->kernel_width;
  const int32_t width = params->input_width;
  TapRow row = {(uint32_t)kernel_width, 0, 0, NULL};
  if (y < 0 || y >= params->input_height) return row;
  if (x <= -kernel_width || x >= width) return row;
  const int32_t begin = x < 0 ? 0 : x;
  const int32_t end = x + kernel_width < width ? x + kernel_width : width;
  row.num_left = (uint32_t)(begin - x);
  row.num_inside = (uint32_t)(end - begin);
  row.num_right = (uint32_t)(x + kernel_width - end);
  row.first = input->codes + (uint32_t)y * input->row_bytes +
              (uint32_t)begin * input->pixel_bytes;
  return row;
}

/* Channels in whole groups: taps that are neighbours in a row are neighbours in
 * memory, without padding bits between them. */
static int32_t expand_rows(const Input* input, int32_t y, int32_t x,
                           uint32_t* columns) {
  const tfmpq_input_part* part = input->part;
  const tfmpq_conv_params* params = input->params;
  const uint32_t num_codes = params->input_channels;
  const uint32_t num_groups = num_codes / part->group_codes;
  const uint32_t tap_words = num_groups * part->group_words * kStride;
  const int32_t zero_point = params->input_zero_point;
  int32_t sum = 0;
  for (int32_t i = 0; i < params->kernel_height; ++i) {
    const TapRow row = tap_row(input, y + i, x);
    if (row.num_left != 0) {
      sum += tfmpq_expand_padding(part, zero_point, row.num_left * num_codes,
                                  columns, kStride);
      columns += row.num_left * tap_words;
    }
    sum +=
        part->expand(row.first, row.num_inside * num_groups, columns, kStride);
    columns += row.num_inside * tap_words;
    if (row.num_right != 0) {
      sum += tfmpq_expand_padding(part, zero_point, row.num_right * num_codes,
                                  columns, kStride);
      columns += row.num_right * tap_words;
    }
  }
  return sum;
}

/* Copies few bytes, in words as far as possible. */
static uint8_t* copy(uint8_t* to, const uint8_t* from, uint32_t num_bytes) {
  uint32_t i = 0;
  for (; i + 4 <= num_bytes; i += 4) {
    tfmpq_store_word(to + i, tfmpq_load_word(from + i));
  }
  for (; i < num_bytes; ++i) to[i] = from[i];
  return to + num_bytes;
}

/* Any number of channels of 8 bits: the codes are gathered into one run. */
static int32_t expand_gathered_bytes(const Input* input, int32_t y, int32_t x,
                                     uint32_t* columns) {
  const tfmpq_conv_params* params = input->params;
  const uint32_t tap_bytes = input->pixel_bytes;
  const int zero_point = params->input_zero_point;
  uint8_t* to = input->run;
  for (int32_t i = 0; i < params->kernel_height; ++i) {
    const TapRow row = tap_row(input, y + i, x);
    if (row.num_left != 0) {
      memset(to, zero_point, row.num_left * tap_bytes);
      to += row.num_left * tap_bytes;
    }
    to = copy(to, row.first, row.num_inside * tap_bytes);
    if (row.num_right != 0) {
      memset(to, zero_point, row.num_right * tap_bytes);
      to += row.num_right * tap_bytes;
    }
  }
  return tfmpq_expand_run(input->part, input->run, input->num_elements, columns,
                          kStride);
}

/* Any number of channels of 4 or 2 bits. */
static int32_t expand_gathered_codes(const Input* input, int32_t y, int32_t x,
                                     uint32_t* columns) {
  const tfmpq_conv_params* params = input->params;
  const int bits = input->part->bits;
  tfmpq_writer writer = {input->run, 0, 0};
  for (int32_t i = 0; i < params->kernel_height; ++i) {
    const TapRow row = tap_row(input, y + i, x);
    for (uint32_t j = 0; j < params->kernel_width; ++j) {
      const int inside = j - row.num_left < row.num_inside;
      const uint8_t* pixel = row.first;
      if (inside) pixel += (j - row.num_left) * input->pixel_bytes;
      for (uint32_t c = 0; c < params->input_channels; ++c) {
        const int32_t code =
            inside ? tfmpq_code(pixel, c, bits) : params->input_zero_point;
        tfmpq_put(&writer, code, bits);
      }
    }
  }
  tfmpq_end_run(&writer);
  return tfmpq_expand_run(input->part, input->run, input->num_elements, columns,
                          kStride);
}

static ExpandPixel choose_expansion(const tfmpq_conv_params* params,
                                    const tfmpq_input_part* part) {
  if (params->kernel_height * params->kernel_width == 1) return expand_point;
  if (params->input_channels % part->group_codes == 0) return expand_rows;
  return part->bits == 8 ? expand_gathered_bytes : expand_gathered_codes;
}

static Input make_input(const tfmpq_conv_params* params,
                        const tfmpq_input_part* part, const uint8_t* codes) {
  const uint32_t num_taps =
      (uint32_t)params->kernel_height * params->kernel_width;
  const uint32_t pixel_bytes =
      tfmpq_run_bytes(params->input_channels, part->bits);
  const Input input = {params,
                       part,
                       codes,
                       pixel_bytes,
                       pixel_bytes * params->input_width,
                       num_taps * params->input_channels,
                       NULL};
  return input;
}

/* Where the first tap of an output pixel lies; end_x: of the pixel behind a
 * row. */
typedef struct {
  int32_t y;
  int32_t x;
  int32_t end_x;
} Position;

/* Expands the columns of the task's pixels, the first of which is at
 * `position`; this then moves on. */
static void expand_pixels(tfmpq_products_task* task, const Input* input,
                          ExpandPixel expand, Position* position,
                          uint32_t* columns) {
  const tfmpq_conv_params* params = input->params;
  for (uint32_t i = 0; i < task->output.num_pixels; ++i) {
    task->sums[i] = expand(input, position->y, position->x, columns + i);
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
  const ExpandPixel expand = choose_expansion(params, &parts->input);
  Input input = make_input(params, &parts->input, arguments->input);
  uint32_t* const columns = arguments->scratch;
  tfmpq_products_task task;
  tfmpq_start_task(&task, params, arguments->weight, arguments->channels,
                   arguments->weight_zero_points, parts->store, parts->o_bits,
                   arguments->output);
  task.columns = columns;
  task.columns_end =
      columns + kStride * tfmpq_column_words(&parts->input, input.num_elements);
  input.run = (uint8_t*)task.columns_end;
  Position position = {
      -params->pad_top, -params->pad_left,
      params->output_width * params->stride_width - params->pad_left};
  uint32_t num_left = (uint32_t)params->output_height * params->output_width;
  while (num_left > 0) {
    task.output.num_pixels = num_left > 1 ? kTfmpqBlockPixels : 1;
    num_left -= task.output.num_pixels;
    expand_pixels(&task, &input, expand, &position, columns);
    tfmpq_multiply(parts->products, &task);
    task.output.codes += task.output.num_pixels * task.output.pixel_bytes;
  }
}

#define PRODUCTS(a, w) PRODUCTS_A##a##_W##w
#define PRODUCTS_A8_W8 tfmpq_products_w8
#define PRODUCTS_A8_W4 tfmpq_products_w4
#define PRODUCTS_A8_W2 tfmpq_products_w2
#define PRODUCTS_A4_W8 tfmpq_products_w8
#define PRODUCTS_A4_W4 tfmpq_products_w4
#define PRODUCTS_A4_W2 tfmpq_products_w2
#define PRODUCTS_A2_W8 tfmpq_products_w8
#define PRODUCTS_A2_W4 tfmpq_products_w4
#define PRODUCTS_A2_W2 tfmpq_products_a2_w2

#define TFMPQ_DEFINE_CONV2D(a, w, o)                                           \
  void tfmpq_conv2d_a##a##_w##w##_o##o##__dsp(                                 \
      const tfmpq_conv_params* params, const void* input, const void* weight,  \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,         \
      void* output, void* scratch) {                                           \
    static const Parts kParts = {TFMPQ_INPUT_PART(a, w), PRODUCTS(a, w),       \
                                 tfmpq_store_o##o, o};                         \
    const Arguments arguments = {                                              \
        params, input, weight, channels, weight_zero_points, output, scratch}; \
    conv2d(&kParts, &arguments);                                               \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_CONV2D)
