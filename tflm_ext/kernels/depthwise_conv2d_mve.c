/* Groups of 16 channels, one after another. Of a group, quads
 * (depthwise_rows_mve.h) keep the rows under the kernel, expanded to bytes
 * (hence the output may stand where the input stood); patches of them are
 * multiplied. */
#include "tflm_ext/kernels/depthwise_conv2d_mve.h"

#include "tflm_ext/kernels/depthwise_call_mve.h"

/* Makes what is right and left of the input's columns the zero point. */
static void pad_columns(const tfmpq_depthwise_call* call) {
  const tfmpq_conv_params* params = call->arguments->params;
  const uint32_t end = params->pad_left + call->input_width;
  const uint32_t vectors = kTfmpqQuadColumnBytes / kTfmpqLanes;
  tfmpq_fill_vectors(call->quads, params->input_zero_point,
                     params->pad_left * vectors);
  tfmpq_fill_vectors(call->quads + end * kTfmpqQuadColumnBytes,
                     params->input_zero_point,
                     (call->num_columns - end) * vectors);
}

static void init_call(tfmpq_depthwise_call* call,
                      const tfmpq_depthwise_parts* parts,
                      const tfmpq_depthwise_arguments* arguments) {
  const tfmpq_conv_params* params = arguments->params;
  const uint32_t height = params->kernel_height;
  const int is_single = tfmpq_depthwise_conv2d_is_single__mve(params);
  call->parts = parts;
  call->arguments = arguments;
  call->rescale = tfmpq_make_vector_rescale(params->output_zero_point,
                                            params->shift, params->pre_shift);
  call->is_paired = tfmpq_depthwise_conv2d_is_paired__mve(params);
  call->is_single = is_single;
  call->first_row = is_single ? kTfmpqQuadRows - height : 0;
  call->num_columns = (uint32_t)tfmpq_depthwise_conv2d_columns__mve(params);
  call->num_patch_rows = (height + 3) / 4;
  call->num_patch_columns = (params->kernel_width + 3u) / 4;
  const uint32_t room = call->num_columns - params->pad_left;
  call->input_width = params->input_width < room ? params->input_width : room;
  call->pixel_bytes = tfmpq_run_bytes(params->input_channels, parts->a_bits);
  call->code_row_bytes = (params->output_width + 3u) / 4 * 4 * kTfmpqLanes;
  const uint32_t num_patches = call->num_patch_rows * call->num_patch_columns;
  const uint32_t ring_bytes =
      is_single ? 0 : kTfmpqLanes * call->num_columns * height;
  call->ring = arguments->scratch;
  call->quads = call->ring + ring_bytes;
  call->weights = call->quads + kTfmpqQuadColumnBytes * call->num_columns *
                                    call->num_patch_rows;
  call->mask =
      call->weights + kTfmpqQuadColumnBytes + kTfmpqPatchBytes * num_patches;
  call->codes = call->weights + 336 * num_patches;
  const int is_dense = params->input_channels < kTfmpqLanes &&
                       params->input_channels * parts->o_bits % 8 == 0;
  call->code_lanes = is_dense ? params->input_channels : kTfmpqLanes;
  /* The input's columns of the ring are overwritten. */
  tfmpq_fill_vectors(call->ring, params->input_zero_point,
                     ring_bytes / kTfmpqLanes);
  const uint32_t code = (uint8_t)params->input_zero_point;
  const uint32_t repeat = parts->a_bits == 8 ? 1 : parts->a_bits == 4 ? 17 : 85;
  tfmpq_fill_vectors((int8_t*)call->padding, (int8_t)(code * repeat), 1);
}

const uint8_t* tfmpq_depthwise_row__mve(const tfmpq_depthwise_call* call,
                                        const tfmpq_depthwise_group* group,
                                        uint32_t row, uint32_t* step_bytes) {
  const tfmpq_depthwise_arguments* arguments = call->arguments;
  const uint32_t y = row - arguments->params->pad_top;
  if (y >= arguments->params->input_height) { /* Or is negative. */
    *step_bytes = 0;
    return call->padding;
  }
  *step_bytes = call->pixel_bytes;
  return arguments->input +
         y * arguments->params->input_width * call->pixel_bytes +
         group->first * (uint32_t)call->parts->a_bits / 8;
}

/* Takes rows of the padded input into quads, up to row end - 1; those before
 * row `begin` are not needed. */
static void push_rows(const tfmpq_depthwise_call* call,
                      tfmpq_depthwise_group* group, uint32_t begin,
                      uint32_t end) {
  const tfmpq_depthwise_parts* parts = call->parts;
  tfmpq_push_task task;
  task.quads =
      call->quads + call->arguments->params->pad_left * kTfmpqQuadColumnBytes;
  task.num_columns = call->input_width;
  task.num_channels = group->num_channels;
  task.num_vector_bytes = tfmpq_run_bytes(group->num_channels, parts->a_bits);
  uint32_t row = group->num_rows_taken < begin ? begin : group->num_rows_taken;
  for (; row < end; ++row) {
    task.row_0 = tfmpq_depthwise_row__mve(call, group, row, &task.step_0);
    if (row + 1 == end) {
      parts->push_row(&task);
      continue;
    }
    task.row_1 = tfmpq_depthwise_row__mve(call, group, ++row, &task.step_1);
    if (group->num_channels == kTfmpqLanes) {
      parts->push_rows(&task);
    } else {
      parts->push_some_rows(&task);
    }
  }
  group->num_rows_taken = end;
}

/* Subtracts zero points from weights, as far as the result fits into a byte;
 * what is left is for add_residuals. Only exotic zero points leave anything. */
static void take_zero_points(const tfmpq_depthwise_call* call,
                             tfmpq_depthwise_group* group, int8_t* taps) {
  const tfmpq_conv_params* params = call->arguments->params;
  const int8_t* zero_points = call->arguments->weight_zero_points;
  const uint32_t num_taps =
      (uint32_t)params->kernel_height * params->kernel_width;
  group->has_residual = 0;
  if (call->parts->w_bits == 8) return; /* The zero point is 0. */
  const int8x16_t wanted =
      zero_points != NULL
          ? vldrbq_z_s8(zero_points + group->first, vctp8q(group->num_channels))
          : vdupq_n_s8(params->weight_zero_point);
  const int8_t lowest = (int8_t)((1 << call->parts->w_bits) - 1 - 127);
  const int8x16_t taken = vmaxq_s8(wanted, vdupq_n_s8(lowest));
  const int8x16_t residual = vsubq_s8(taken, wanted);
  vstrbq_s8(group->residual, residual);
  group->has_residual = vaddvq_s8(residual) != 0;
  for (uint32_t i = 0; i < num_taps; ++i) {
    int8_t* tap = taps + i * kTfmpqLanes;
    vstrbq_s8(tap, vsubq_s8(vldrbq_s8(tap), taken));
  }
}

/* Makes patches of the weights of a group. */
static void make_weights(tfmpq_depthwise_call* call,
                         tfmpq_depthwise_group* group) {
  const tfmpq_depthwise_arguments* arguments = call->arguments;
  const uint32_t height = arguments->params->kernel_height;
  const uint32_t width = arguments->params->kernel_width;
  const int w_bits = call->parts->w_bits;
  const uint32_t row_bytes = width * kTfmpqLanes;
  int8_t* taps = call->quads; /* There are no quads yet. */
  int8_t* zeros = taps + height * row_bytes;
  call->parts->expand_weights(
      arguments->weight + group->first * (uint32_t)w_bits / 8,
      tfmpq_run_bytes(arguments->params->input_channels, w_bits),
      height * width, group->num_channels, taps);
  take_zero_points(call, group, taps);
  group->is_paired = call->is_paired && !group->has_residual;
  if (height % kTfmpqQuadRows != 0) tfmpq_fill_vectors(zeros, 0, width);
  const uint32_t first_row = group->is_paired ? 0 : call->first_row;
  int8_t* to = call->weights + kTfmpqQuadColumnBytes;
  for (uint32_t y = 0; y < height; y += kTfmpqQuadRows) {
    const int8_t* rows[kTfmpqQuadRows];
    for (uint32_t i = 0; i < kTfmpqQuadRows; ++i) {
      const uint32_t row = y + i - first_row; /* Beyond height if negative. */
      rows[i] = row < height ? taps + row * row_bytes : zeros;
    }
    tfmpq_make_quads__mve(rows, width, to);
    to += kTfmpqPatchBytes * call->num_patch_columns;
  }
}

/* Clears what is no weight of any group, and fills the mask. */
static void init_weights(tfmpq_depthwise_call* call) {
  const tfmpq_conv_params* params = call->arguments->params;
  tfmpq_fill_vectors(call->weights, 0,
                     (uint32_t)(call->codes - call->weights) / kTfmpqLanes);
  if (call->parts->w_bits == 8) return; /* There are no residuals. */
  for (uint32_t y = 0; y < params->kernel_height; ++y) {
    const uint32_t row = y + call->first_row;
    for (uint32_t x = 0; x < params->kernel_width; ++x) {
      const uint32_t patch = row / 4 * call->num_patch_columns + x / 4;
      call->mask[patch * kTfmpqLanes + x % 4 * 4 + row % 4] = 1;
    }
  }
}

/* Returns where a row of the output has the codes of a group. */
static uint8_t* output_row(const tfmpq_depthwise_call* call,
                           const tfmpq_depthwise_group* group, uint32_t y) {
  const tfmpq_conv_params* params = call->arguments->params;
  const int o_bits = call->parts->o_bits;
  return call->arguments->output +
         y * params->output_width *
             tfmpq_run_bytes(params->input_channels, o_bits) +
         group->first * (uint32_t)o_bits / 8;
}

/* Packs a row of codes, which belongs to row y of the output. */
static void pack_row(const tfmpq_depthwise_call* call,
                     const tfmpq_depthwise_group* group, uint32_t y,
                     const int8_t* codes) {
  const tfmpq_conv_params* params = call->arguments->params;
  call->parts->pack_output(
      codes, tfmpq_run_bytes(params->input_channels, call->parts->o_bits),
      params->output_width, group->num_channels, output_row(call, group, y));
}

/* The same where the codes of pixels follow each other, and no pixel ends
 * within a byte. */
static __attribute__((noinline)) void pack_dense_row(
    const tfmpq_depthwise_call* call, const tfmpq_depthwise_group* group,
    uint32_t y, const int8_t* codes) {
  const tfmpq_conv_params* params = call->arguments->params;
  const uint32_t num_codes =
      (uint32_t)params->output_width * params->input_channels;
  const uint32_t num_vectors = num_codes / kTfmpqLanes;
  const uint32_t num_rest = num_codes % kTfmpqLanes;
  const uint32_t bytes = tfmpq_vector_bytes(call->parts->o_bits);
  uint8_t* output = output_row(call, group, y);
  call->parts->pack_output(codes, bytes, num_vectors, kTfmpqLanes, output);
  if (num_rest == 0) return;
  call->parts->pack_output(codes + num_vectors * kTfmpqLanes, bytes, 1,
                           num_rest, output + num_vectors * bytes);
}

/* Prepares the task that makes rows of a group; rows fill in what the task
 * moves on, and where their codes go. */
static void init_task(const tfmpq_depthwise_call* call,
                      tfmpq_depthwise_group* group) {
  const tfmpq_conv_params* params = call->arguments->params;
  tfmpq_row_task* task = &group->task;
  for (uint32_t i = 0; i < 4; ++i) {
    task->column_offsets[i] = i * kTfmpqQuadColumnBytes;
    task->code_offsets[i] = i * kTfmpqLanes;
  }
  task->rescale =
      tfmpq_make_saturating_rescale(params->output_zero_point, params->shift,
                                    params->pre_shift, call->parts->o_bits);
  task->quad_step_bytes = params->stride_width * kTfmpqQuadColumnBytes;
}

/* Makes rows y and y + 1 of the output. Codes of 8 bits are written where they
 * belong, unless there is no second row or a last block of one column. */
static void make_row_pair(const tfmpq_depthwise_call* call,
                          tfmpq_depthwise_group* group, uint32_t y) {
  const tfmpq_conv_params* params = call->arguments->params;
  const uint32_t width = params->output_width;
  const int is_last = y + 1 == params->output_height;
  const int is_direct = call->parts->o_bits == 8 && width % 2 == 0 && !is_last;
  const uint32_t column = is_direct ? params->input_channels : call->code_lanes;
  const uint32_t row = is_direct ? width * column : call->code_row_bytes;
  tfmpq_row_task* task = &group->task;
  task->weights = call->weights;
  task->channels = call->arguments->channels + group->first;
  task->codes =
      (is_direct ? output_row(call, group, y) : (uint8_t*)call->codes) - 1;
  task->num_blocks = (width + 1) / 2;
  task->num_channels = group->num_channels;
  task->code_step_bytes = 2 * column;
  task->quads = call->quads - 2 * kTfmpqQuadColumnBytes;
  task->code_offsets[1] = row;
  task->code_offsets[2] = column;
  task->code_offsets[3] = row + column;
  if (params->pre_shift == 0) {
    tfmpq_make_row_pair__mve(task);
  } else {
    tfmpq_make_shifted_row_pair__mve(task);
  }
  if (is_direct) return;
  if (call->code_lanes == kTfmpqLanes) {
    pack_row(call, group, y, call->codes);
    if (!is_last) pack_row(call, group, y + 1, call->codes + row);
  } else {
    pack_dense_row(call, group, y, call->codes);
    if (!is_last) pack_dense_row(call, group, y + 1, call->codes + row);
  }
}

/* Makes a row of codes of a kernel of one patch. */
static void make_row(const tfmpq_depthwise_call* call,
                     tfmpq_depthwise_group* group) {
  const tfmpq_conv_params* params = call->arguments->params;
  tfmpq_row_task* task = &group->task;
  task->weights = call->weights + kTfmpqQuadColumnBytes;
  task->channels = call->arguments->channels + group->first;
  task->codes = (uint8_t*)call->codes - 1;
  task->num_blocks = (params->output_width + 3u) / 4;
  task->num_channels = group->num_channels;
  task->quads = call->quads;
  if (params->stride_width == 2) {
    tfmpq_make_row_of_stride_2__mve(task);
  } else {
    tfmpq_make_row__mve(task);
  }
}

/* Makes the output of a group. */
static void make_group(tfmpq_depthwise_call* call,
                       tfmpq_depthwise_group* group) {
  const tfmpq_conv_params* params = call->arguments->params;
  make_weights(call, group);
  init_task(call, group);
  if (call->is_single) pad_columns(call);
  const uint32_t num_rows = group->is_paired ? 4 : params->kernel_height;
  for (uint32_t y = 0; y < params->output_height;
       y += group->is_paired ? 2 : 1) {
    const uint32_t begin = y * params->stride_height;
    if (call->is_single) {
      push_rows(call, group, begin, begin + num_rows);
    } else {
      tfmpq_depthwise_take_ring__mve(call, group, begin);
    }
    if (group->is_paired) {
      make_row_pair(call, group, y);
      continue;
    }
    if (call->is_single && !group->has_residual) {
      make_row(call, group);
    } else {
      tfmpq_depthwise_make_row__mve(call, group);
    }
    pack_row(call, group, y, call->codes);
  }
}

static void depthwise_conv2d(const tfmpq_depthwise_parts* parts,
                             const tfmpq_depthwise_arguments* arguments) {
  const uint32_t num_channels = arguments->params->input_channels;
  tfmpq_depthwise_call call;
  init_call(&call, parts, arguments);
  init_weights(&call);
  for (uint32_t c = 0; c < num_channels; c += kTfmpqLanes) {
    const uint32_t left = num_channels - c;
    tfmpq_depthwise_group group;
    group.first = c;
    group.num_channels = left < kTfmpqLanes ? left : kTfmpqLanes;
    group.num_rows_taken = 0;
    make_group(&call, &group);
  }
}

#define TFMPQ_DEFINE_DEPTHWISE_CONV2D(a, w, o)                                 \
  void tfmpq_depthwise_conv2d_a##a##_w##w##_o##o##__mve(                       \
      const tfmpq_conv_params* params, const void* input, const void* weight,  \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,         \
      void* output, void* scratch) {                                           \
    static const tfmpq_depthwise_parts parts = {                               \
        tfmpq_expand_lanes_##a##__mve,                                         \
        tfmpq_push_rows_##a##__mve,                                            \
        tfmpq_push_some_rows_##a##__mve,                                       \
        tfmpq_push_row_##a##__mve,                                             \
        tfmpq_expand_lanes_##w##__mve,                                         \
        tfmpq_pack_lanes_##o##__mve,                                           \
        a,                                                                     \
        w,                                                                     \
        o};                                                                    \
    const tfmpq_depthwise_arguments arguments = {                              \
        params, input, weight, channels, weight_zero_points, output, scratch}; \
    depthwise_conv2d(&parts, &arguments);                                      \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_DEPTHWISE_CONV2D)
