#include "tflm_ext/kernels/conv2d_dsp.h"

#include <string.h>

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/columns_dsp.h"
#include "tflm_ext/kernels/instructions_dsp.h"
#include "tflm_ext/kernels/products_dsp.h"

/* What the widths of a kernel choose. */
typedef struct {
  tfmpq_input_part input;
  tfmpq_products products;
  tfmpq_finish finish;
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

/* The input of a call, and how output pixels become columns. */
typedef struct {
  const tfmpq_conv_params* params;
  const tfmpq_input_part* part;
  const uint8_t* codes;
  uint32_t pixel_bytes;
  uint32_t row_bytes;
  uint32_t num_elements; /* Under the kernel. */
  uint8_t* run;          /* Room for their codes, padded to whole groups. */
} Input;

/* Expands the columns of the output pixel whose first tap is at input pixel
 * (y, x), outside of the image if negative. Returns the sum of its elements. */
typedef int32_t (*ExpandPixel)(const Input* input, int32_t y, int32_t x,
                               uint32_t* columns);

enum { kStride = kTfmpqBlockPixels }; /* Of the columns of a pixel. */

/* Returns 1 if all taps lie inside the image. */
TFMPQ_INLINE int is_inside(const Input* input, int32_t y, int32_t x) {
  const tfmpq_conv_params* params = input->params;
  return y >= 0 && x >= 0 &&
         y + params->kernel_height <= params->input_height &&
         x + params->kernel_width <= params->input_width;
}

/* Returns the address of an input pixel. */
TFMPQ_INLINE const uint8_t* pixel_at(const Input* input, int32_t y, int32_t x) {
  return input->codes + (uint32_t)y * input->row_bytes +
         (uint32_t)x * input->pixel_bytes;
}

/* How many taps of a row lie left of, inside and right of the image. */
typedef struct {
  uint32_t num_left; /* All taps, if the row is outside. */
  uint32_t num_inside;
  uint32_t num_right;
  const uint8_t* first; /* The pixel of the first tap inside. */
} TapRow;

static TapRow tap_row(const Input* input, int32_t y, int32_t x) {
  const tfmpq_conv_params* params = input->params;
  const int32_t width = params->input_width;
  const int32_t x_end = x + params->kernel_width;
  TapRow row = {params->kernel_width, 0, 0, input->codes};
  if (y < 0 || y >= params->input_height || x_end <= 0 || x >= width) {
    return row;
  }
  const int32_t begin = x < 0 ? 0 : x;
  const int32_t end = x_end < width ? x_end : width;
  row.num_left = (uint32_t)(begin - x);
  row.num_inside = (uint32_t)(end - begin);
  row.num_right = (uint32_t)(x_end - end);
  row.first = pixel_at(input, y, begin);
  return row;
}

static __attribute__((noinline)) int32_t expand_border_rows(const Input* input,
                                                            int32_t y,
                                                            int32_t x,
                                                            uint32_t* columns) {
  const tfmpq_input_part* part = input->part;
  const tfmpq_conv_params* params = input->params;
  const uint32_t num_codes = params->input_channels;
  const uint32_t tap_words = tfmpq_column_words(part, num_codes) * kStride;
  const int32_t zero_point = params->input_zero_point;
  int32_t sum = 0;
  for (int32_t i = 0; i < params->kernel_height; ++i) {
    const TapRow row = tap_row(input, y + i, x);
    sum += tfmpq_expand_padding(part, zero_point, row.num_left * num_codes,
                                columns, kStride);
    columns += row.num_left * tap_words;
    sum += tfmpq_expand_run(part, row.first, row.num_inside * num_codes,
                            columns, kStride);
    columns += row.num_inside * tap_words;
    sum += tfmpq_expand_padding(part, zero_point, row.num_right * num_codes,
                                columns, kStride);
    columns += row.num_right * tap_words;
  }
  return sum;
}

/* Channels in whole groups: neighbours in a row are neighbours in memory,
 * without bits of padding between them. */
static int32_t expand_rows(const Input* input, int32_t y, int32_t x,
                           uint32_t* columns) {
  if (!is_inside(input, y, x)) return expand_border_rows(input, y, x, columns);
  const tfmpq_input_part* part = input->part;
  const tfmpq_conv_params* params = input->params;
  const uint32_t num_groups = (uint32_t)params->kernel_width *
                              params->input_channels / part->group_codes;
  const uint8_t* row = pixel_at(input, y, x);
  int32_t sum = 0;
  for (uint32_t i = params->kernel_height; i > 0; --i) {
    sum += part->expand(row, num_groups, columns, kStride);
    row += input->row_bytes;
    columns += num_groups * part->group_words * kStride;
  }
  return sum;
}

/* A 1x1 kernel: any number of channels. */
static int32_t expand_point(const Input* input, int32_t y, int32_t x,
                            uint32_t* columns) {
  const uint32_t num_codes = input->num_elements;
  if (!is_inside(input, y, x)) {
    return tfmpq_expand_padding(input->part, input->params->input_zero_point,
                                num_codes, columns, kStride);
  }
  return tfmpq_expand_run(input->part, pixel_at(input, y, x), num_codes,
                          columns, kStride);
}

/* Expands the gathered codes of one pixel. */
static int32_t expand_gathered(const Input* input, uint32_t* columns) {
  const uint32_t group = input->part->group_codes;
  return input->part->expand(
      input->run, (input->num_elements + group - 1) / group, columns, kStride);
}

/* Copies few bytes, in words as far as possible. Returns the end of the
 * copy. */
TFMPQ_INLINE uint8_t* copy(uint8_t* to, const uint8_t* from,
                           uint32_t num_bytes) {
  for (; num_bytes >= 4; num_bytes -= 4) {
    tfmpq_store_word(to, tfmpq_load_word(from));
    to += 4;
    from += 4;
  }
  for (; num_bytes > 0; --num_bytes) *to++ = *from++;
  return to;
}

/* Gathers rows of taps that lie inside the image. All but the last one are
 * copied in whole words: behind their ends lie the next row of the image, and
 * in the run what the next copy overwrites. */
TFMPQ_INLINE void gather_bytes(const Input* input, const uint8_t* row) {
  const uint32_t num_bytes = input->params->kernel_width * input->pixel_bytes;
  uint8_t* to = input->run;
  for (uint32_t i = input->params->kernel_height; i > 1; --i) {
    if (num_bytes >= 4) {
      for (uint32_t j = 0; j < num_bytes; j += 4) {
        tfmpq_store_word(to + j, tfmpq_load_word(row + j));
      }
    } else {
      copy(to, row, num_bytes);
    }
    to += num_bytes;
    row += input->row_bytes;
  }
  copy(to, row, num_bytes);
}

static __attribute__((noinline)) void gather_border_bytes(const Input* input,
                                                          int32_t y,
                                                          int32_t x) {
  const tfmpq_conv_params* params = input->params;
  const uint32_t tap_bytes = input->pixel_bytes;
  uint8_t* to = input->run;
  for (int32_t i = 0; i < params->kernel_height; ++i) {
    const TapRow row = tap_row(input, y + i, x);
    memset(to, params->input_zero_point, row.num_left * tap_bytes);
    to += row.num_left * tap_bytes;
    to = copy(to, row.first, row.num_inside * tap_bytes);
    memset(to, params->input_zero_point, row.num_right * tap_bytes);
    to += row.num_right * tap_bytes;
  }
}

/* Any number of channels of 8 bits: the codes are gathered into one run. */
static int32_t expand_gathered_bytes(const Input* input, int32_t y, int32_t x,
                                     uint32_t* columns) {
  if (is_inside(input, y, x)) {
    gather_bytes(input, pixel_at(input, y, x));
  } else {
    gather_border_bytes(input, y, x);
  }
  return expand_gathered(input, columns);
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
      const uint32_t tap = j - row.num_left; /* Wraps where j is left. */
      const int inside = tap < row.num_inside;
      const uint8_t* pixel = row.first;
      if (inside) pixel += tap * input->pixel_bytes;
      for (uint32_t c = 0; c < params->input_channels; ++c) {
        const int32_t code =
            inside ? tfmpq_code(pixel, c, bits) : params->input_zero_point;
        tfmpq_put(&writer, code, bits);
      }
    }
  }
  tfmpq_end_run(&writer);
  return expand_gathered(input, columns);
}

/* Returns how output pixels are expanded. Prepares input->run. */
static ExpandPixel choose_expansion(Input* input, uint32_t* columns_end) {
  const tfmpq_conv_params* params = input->params;
  const uint32_t group = input->part->group_codes;
  const uint32_t bits = input->part->bits;
  if (params->input_channels % group == 0) return expand_rows;
  if (params->kernel_height * params->kernel_width == 1) return expand_point;
  input->run = (uint8_t*)columns_end;
  /* Codes that pad the last group stay 0. */
  const uint32_t run_bytes =
      (input->num_elements + group - 1) / group * group * bits / 8;
  memset(input->run, 0, run_bytes);
  return bits == 8 ? expand_gathered_bytes : expand_gathered_codes;
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

/* Where the first tap of an output pixel lies. */
typedef struct {
  int32_t y;
  int32_t x;
  int32_t end_x; /* Of the pixel behind a row. */
} Position;

/* Expands the columns of the task's pixels, the first of which is at
 * `position`; this then moves on. */
TFMPQ_INLINE void expand_pixels(tfmpq_products_task* task, const Input* input,
                                ExpandPixel expand, Position* position,
                                uint32_t* columns) {
  const tfmpq_conv_params* params = input->params;
  for (uint32_t i = 0; i < task->num_pixels; ++i) {
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
  Input input = make_input(params, &parts->input, arguments->input);
  uint32_t* const columns = arguments->scratch;
  uint32_t* const columns_end =
      columns + kStride * tfmpq_column_words(&parts->input, input.num_elements);
  const ExpandPixel expand = choose_expansion(&input, columns_end);
  tfmpq_products_task task;
  tfmpq_start_task(&task, params, arguments->weight, arguments->channels,
                   arguments->weight_zero_points, parts->finish, parts->o_bits,
                   arguments->output);
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
    expand_pixels(&task, &input, expand, &position, columns);
    tfmpq_multiply(parts->products, &task);
    task.codes += 2 * task.pixel_bytes;
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

#define FINISH(w, o) FINISH_W##w(o)
#define FINISH_W8(o) tfmpq_finish_w8_o##o
#define FINISH_W4(o) tfmpq_finish_w4_o##o
#define FINISH_W2(o) tfmpq_finish_w4_o##o

#define TFMPQ_DEFINE_CONV2D(a, w, o)                                           \
  void tfmpq_conv2d_a##a##_w##w##_o##o##__dsp(                                 \
      const tfmpq_conv_params* params, const void* input, const void* weight,  \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,         \
      void* output, void* scratch) {                                           \
    static const Parts kParts = {TFMPQ_INPUT_PART(a, w), PRODUCTS(a, w),       \
                                 FINISH(w, o), o};                             \
    const Arguments arguments = {                                              \
        params, input, weight, channels, weight_zero_points, output, scratch}; \
    conv2d(&kParts, &arguments);                                               \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_CONV2D)
