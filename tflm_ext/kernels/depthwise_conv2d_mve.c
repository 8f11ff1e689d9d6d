/* Groups of 16 channels, one after another. Of a group, a ring keeps the rows
 * under the kernel, expanded to bytes (hence the output may stand where the
 * input stood); for each step its rows are interleaved to quads
 * (depthwise_rows_mve.h), from which patches are multiplied. */
#include "tflm_ext/kernels/depthwise_conv2d_mve.h"

#include <string.h>

#include "tflm_ext/kernels/depthwise_rows_mve.h"

/* What the widths of a kernel choose. */
typedef struct {
  tfmpq_expand_lanes expand_input;
  tfmpq_expand_lanes expand_weights;
  tfmpq_pack_lanes pack_output;
  uint8_t a_bits;
  uint8_t w_bits;
  uint8_t o_bits;
} Parts;

/* The arguments of a kernel. */
typedef struct {
  const tfmpq_conv_params* params;
  const uint8_t* input;
  const uint8_t* weight;
  const tfmpq_channel* channels;
  const int8_t* weight_zero_points;
  uint8_t* output;
  int8_t* scratch;
} Arguments;

/* A call in progress. */
typedef struct {
  const Parts* parts;
  const Arguments* arguments;
  tfmpq_vector_rescale rescale;
  int is_paired;
  uint32_t num_columns; /* Of a row of the ring: lanes of 16 bytes. */
  uint32_t num_rows;    /* Of the ring. */
  uint32_t num_patch_rows;
  uint32_t num_patch_columns;
  uint32_t code_row_bytes; /* From a row of `codes` to the next. */
  int8_t* ring;
  int8_t* quads;
  int8_t* weights; /* A quad column of zeros, then patches, then `mask`. */
  int8_t* mask;    /* 1 under the kernel, per patch. */
  int8_t* codes;   /* Of a step, 16 bytes per pixel. */
} Call;

/* A group of channels. */
typedef struct {
  uint32_t first;
  uint32_t num_channels;
  /* What is left of the zero points of the weights (take_zero_points). */
  int8_t residual[kTfmpqLanes];
  int has_residual;
  int is_paired;
  uint32_t num_rows_taken; /* Rows of the padded input, by the ring. */
  tfmpq_row_task task;
} Group;

static void init_call(Call* call, const Parts* parts,
                      const Arguments* arguments) {
  const tfmpq_conv_params* params = arguments->params;
  const uint32_t output_width = (params->output_width + 3u) / 4 * 4;
  call->parts = parts;
  call->arguments = arguments;
  call->rescale = tfmpq_make_vector_rescale(params->output_zero_point,
                                            params->shift, params->pre_shift);
  call->is_paired = tfmpq_depthwise_conv2d_is_paired__mve(params);
  call->num_columns = (uint32_t)tfmpq_depthwise_conv2d_columns__mve(params);
  call->num_rows = call->is_paired ? 4 : params->kernel_height;
  call->num_patch_rows = (params->kernel_height + 3u) / 4;
  call->num_patch_columns = (params->kernel_width + 3u) / 4;
  call->code_row_bytes = kTfmpqLanes * output_width;
  const uint32_t num_patches = call->num_patch_rows * call->num_patch_columns;
  const uint32_t ring_bytes = kTfmpqLanes * call->num_columns * call->num_rows;
  call->ring = arguments->scratch;
  call->quads = call->ring + ring_bytes;
  call->weights = call->quads + kTfmpqQuadColumnBytes * call->num_columns *
                                    call->num_patch_rows;
  call->mask =
      call->weights + kTfmpqQuadColumnBytes + kTfmpqPatchBytes * num_patches;
  call->codes = call->weights + 336 * num_patches;
  /* Padding left and right stays what it is now. */
  memset(call->ring, params->input_zero_point, ring_bytes);
}

/* Subtracts zero points from weights, as far as the result fits into a byte;
 * what is left is for add_residuals. Only exotic zero points leave anything. */
static void take_zero_points(const Call* call, Group* group, int8_t* taps) {
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
static void make_weights(Call* call, Group* group) {
  const Arguments* arguments = call->arguments;
  const uint32_t height = arguments->params->kernel_height;
  const uint32_t width = arguments->params->kernel_width;
  const uint32_t num_channels = arguments->params->input_channels;
  const int w_bits = call->parts->w_bits;
  int8_t* taps = call->quads; /* There are no quads yet. */
  call->parts->expand_weights(
      arguments->weight + group->first * (uint32_t)w_bits / 8,
      tfmpq_run_bytes(num_channels, w_bits), height * width,
      group->num_channels, taps);
  take_zero_points(call, group, taps);
  group->is_paired = call->is_paired && !group->has_residual;
  const uint32_t row_bytes = width * kTfmpqLanes;
  int8_t* zeros = taps + height * row_bytes;
  if (height % kTfmpqQuadRows != 0) memset(zeros, 0, row_bytes);
  int8_t* to = call->weights + kTfmpqQuadColumnBytes;
  for (uint32_t y = 0; y < height; y += kTfmpqQuadRows) {
    const int8_t* rows[kTfmpqQuadRows];
    for (uint32_t i = 0; i < kTfmpqQuadRows; ++i) {
      rows[i] = y + i < height ? taps + (y + i) * row_bytes : zeros;
    }
    tfmpq_make_quads__mve(rows, width, to);
    to += kTfmpqPatchBytes * call->num_patch_columns;
  }
}

/* Clears what is no weight of any group, and fills the mask. */
static void init_weights(Call* call) {
  const tfmpq_conv_params* params = call->arguments->params;
  memset(call->weights, 0, (size_t)(call->codes - call->weights));
  for (uint32_t y = 0; y < params->kernel_height; ++y) {
    for (uint32_t x = 0; x < params->kernel_width; ++x) {
      const uint32_t patch = y / 4 * call->num_patch_columns + x / 4;
      call->mask[patch * kTfmpqLanes + x % 4 * 4 + y % 4] = 1;
    }
  }
}

/* Takes rows of the padded input into the ring, up to row end - 1; those before
 * row `begin` are not needed. */
static void take_rows(const Call* call, Group* group, uint32_t begin,
                      uint32_t end) {
  const Arguments* arguments = call->arguments;
  const tfmpq_conv_params* params = arguments->params;
  const int a_bits = call->parts->a_bits;
  const uint32_t pixel_bytes = tfmpq_run_bytes(params->input_channels, a_bits);
  const uint32_t room = call->num_columns - params->pad_left;
  const uint32_t width =
      params->input_width < room ? params->input_width : room;
  const uint8_t* input = arguments->input + group->first * (uint32_t)a_bits / 8;
  if (group->num_rows_taken < begin) group->num_rows_taken = begin;
  for (; group->num_rows_taken < end; ++group->num_rows_taken) {
    const uint32_t slot = group->num_rows_taken % call->num_rows;
    int8_t* lanes = call->ring +
                    (slot * call->num_columns + params->pad_left) * kTfmpqLanes;
    const int32_t y = (int32_t)group->num_rows_taken - params->pad_top;
    if (y < 0 || y >= params->input_height) {
      memset(lanes, params->input_zero_point, width * kTfmpqLanes);
    } else {
      const uint32_t pixel = (uint32_t)y * params->input_width;
      call->parts->expand_input(input + pixel * pixel_bytes, pixel_bytes, width,
                                group->num_channels, lanes);
    }
  }
}

/* Interleaves the rows of the ring, the first of which is row `begin` of the
 * padded input. Rows beyond the last one are multiplied with zeros. */
static void make_quads(const Call* call, uint32_t begin) {
  const uint32_t row_bytes = call->num_columns * kTfmpqLanes;
  int8_t* quads = call->quads;
  uint32_t slot = begin % call->num_rows;
  for (uint32_t row = 0; row < call->num_rows; row += kTfmpqQuadRows) {
    const int8_t* rows[kTfmpqQuadRows];
    for (uint32_t i = 0; i < kTfmpqQuadRows; ++i) {
      rows[i] = call->ring + slot * row_bytes;
      if (++slot == call->num_rows) slot = 0;
    }
    tfmpq_make_quads__mve(rows, call->num_columns, quads);
    quads += kTfmpqQuadColumnBytes * call->num_columns;
  }
}

/* Returns where a row of the output has the codes of a group. */
static uint8_t* output_row(const Call* call, const Group* group, uint32_t y) {
  const tfmpq_conv_params* params = call->arguments->params;
  const int o_bits = call->parts->o_bits;
  return call->arguments->output +
         y * params->output_width *
             tfmpq_run_bytes(params->input_channels, o_bits) +
         group->first * (uint32_t)o_bits / 8;
}

/* Packs a row of codes, which belongs to row y of the output. */
static void pack_row(const Call* call, const Group* group, uint32_t y,
                     const int8_t* codes) {
  const tfmpq_conv_params* params = call->arguments->params;
  call->parts->pack_output(
      codes, tfmpq_run_bytes(params->input_channels, call->parts->o_bits),
      params->output_width, group->num_channels, output_row(call, group, y));
}

/* Prepares the task that makes rows of a group; rows fill in what the task
 * moves on, and where their codes go. */
static void init_task(const Call* call, Group* group) {
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
static void make_row_pair(const Call* call, Group* group, uint32_t y) {
  const tfmpq_conv_params* params = call->arguments->params;
  const uint32_t width = params->output_width;
  const int is_last = y + 1 == params->output_height;
  const int is_direct = call->parts->o_bits == 8 && width % 2 == 0 && !is_last;
  const uint32_t column = is_direct ? params->input_channels : kTfmpqLanes;
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
  pack_row(call, group, y, call->codes);
  if (!is_last) pack_row(call, group, y + 1, call->codes + row);
}

/* Makes a row of codes of a kernel of one patch. */
static void make_row(const Call* call, Group* group) {
  tfmpq_row_task* task = &group->task;
  task->weights = call->weights + kTfmpqQuadColumnBytes;
  task->channels = call->arguments->channels + group->first;
  task->codes = (uint8_t*)call->codes - 1;
  task->num_blocks = (call->arguments->params->output_width + 3u) / 4;
  task->num_channels = group->num_channels;
  task->quads = call->quads;
  tfmpq_make_row__mve(task);
}

/* Returns the sums of products of four neighbouring outputs, the first at
 * `quads`, the next step_bytes further on; with the mask, sums of inputs. */
TFMPQ_INLINE int32x4_t multiply_patches(const Call* call, const int8_t* quads,
                                        uint32_t step_bytes,
                                        const int8_t* weights, int is_mask) {
  const uint32x4_t columns =
      vmulq_n_u32(vidupq_n_u32(0, 1), kTfmpqQuadColumnBytes);
  int32_t sums[4] = {0, 0, 0, 0};
  for (uint32_t i = 0; i < call->num_patch_rows; ++i) {
    const int8_t* patch = quads;
    for (uint32_t j = 0; j < call->num_patch_columns; ++j) {
      const int8x16_t multipliers =
          is_mask ? vldrbq_s8(weights)
                  : vreinterpretq_s8_u32(vldrwq_gather_offset_u32(
                        (const uint32_t*)(const void*)weights, columns));
      for (uint32_t k = 0; k < 4; ++k) {
        const uint32_t* at =
            (const uint32_t*)(const void*)(patch + k * step_bytes);
        sums[k] = vmladavaq_s8(
            sums[k],
            vreinterpretq_s8_u32(vldrwq_gather_offset_u32(at, columns)),
            multipliers);
      }
      patch += kTfmpqPatchBytes;
      weights += is_mask ? kTfmpqLanes : kTfmpqPatchBytes;
    }
    quads += kTfmpqQuadColumnBytes * call->num_columns;
  }
  const int32x4_t vector = {sums[0], sums[1], sums[2], sums[3]};
  return vector;
}

/* Makes one channel of a row of codes. */
static void make_channel(const Call* call, const Group* group, uint32_t lane) {
  const tfmpq_conv_params* params = call->arguments->params;
  const tfmpq_channel* channel =
      call->arguments->channels + group->first + lane;
  const uint32x4_t pixels = vmulq_n_u32(vidupq_n_u32(0, 1), kTfmpqLanes);
  const int o_bits = call->parts->o_bits;
  const int32x4_t lowest = vdupq_n_s32(o_bits == 8 ? -128 : 0);
  const int32x4_t highest = vdupq_n_s32(o_bits == 8 ? 127 : (1 << o_bits) - 1);
  const int8_t* quads = call->quads + lane * kTfmpqQuadRows;
  const int8_t* weights =
      call->weights + kTfmpqQuadColumnBytes + lane * kTfmpqQuadRows;
  const uint32_t step_bytes = params->stride_width * kTfmpqQuadColumnBytes;
  int8_t* codes = call->codes + lane;
  for (uint32_t x = 0; x < params->output_width; x += 4) {
    int32x4_t sums = multiply_patches(call, quads, step_bytes, weights, 0);
    if (group->has_residual) {
      sums = vmlaq_n_s32(
          sums, multiply_patches(call, quads, step_bytes, call->mask, 1),
          group->residual[lane]);
    }
    const int32x4_t values = tfmpq_rescale_vector(
        vaddq_n_s32(sums, channel->bias), channel->multiplier, &call->rescale);
    vstrbq_scatter_offset_s32(codes, pixels,
                              vminq_s32(vmaxq_s32(values, lowest), highest));
    quads += 4 * step_bytes;
    codes += 4 * kTfmpqLanes;
  }
}

/* Makes the output of a group. */
static void make_group(Call* call, Group* group) {
  const tfmpq_conv_params* params = call->arguments->params;
  make_weights(call, group);
  init_task(call, group);
  for (uint32_t y = 0; y < params->output_height;
       y += group->is_paired ? 2 : 1) {
    const uint32_t begin = y * params->stride_height;
    take_rows(call, group, begin, begin + call->num_rows);
    make_quads(call, begin);
    if (group->is_paired) {
      make_row_pair(call, group, y);
      continue;
    }
    if (call->num_patch_rows * call->num_patch_columns == 1 &&
        !group->has_residual) {
      make_row(call, group);
    } else {
      for (uint32_t lane = 0; lane < group->num_channels; ++lane) {
        make_channel(call, group, lane);
      }
    }
    pack_row(call, group, y, call->codes);
  }
}

static void depthwise_conv2d(const Parts* parts, const Arguments* arguments) {
  const uint32_t num_channels = arguments->params->input_channels;
  Call call;
  init_call(&call, parts, arguments);
  init_weights(&call);
  for (uint32_t c = 0; c < num_channels; c += kTfmpqLanes) {
    const uint32_t left = num_channels - c;
    Group group;
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
    static const Parts parts = {tfmpq_expand_lanes_##a##__mve,                 \
                                tfmpq_expand_lanes_##w##__mve,                 \
                                tfmpq_pack_lanes_##o##__mve,                   \
                                a,                                             \
                                w,                                             \
                                o};                                            \
    const Arguments arguments = {                                              \
        params, input, weight, channels, weight_zero_points, output, scratch}; \
    depthwise_conv2d(&parts, &arguments);                                      \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_DEPTHWISE_CONV2D)
