/* depthwise_conv2d of kernels of many patches, and with zero points of weights
 * that a byte cannot take: slower than depthwise_tasks_mve.c. */
#include "tflm_ext/kernels/depthwise_call_mve.h"

/* Takes rows of the padded input into the ring, up to row end - 1; those before
 * row `begin` are not needed. */
static void take_rows(const tfmpq_depthwise_call* call,
                      tfmpq_depthwise_group* group, uint32_t begin,
                      uint32_t end) {
  const tfmpq_conv_params* params = call->arguments->params;
  if (group->num_rows_taken < begin) group->num_rows_taken = begin;
  for (; group->num_rows_taken < end; ++group->num_rows_taken) {
    const uint32_t slot = group->num_rows_taken % params->kernel_height;
    int8_t* lanes = call->ring +
                    (slot * call->num_columns + params->pad_left) * kTfmpqLanes;
    uint32_t step_bytes;
    const uint8_t* row = tfmpq_depthwise_row__mve(
        call, group, group->num_rows_taken, &step_bytes);
    call->parts->expand_input(row, step_bytes, call->input_width,
                              group->num_channels, lanes);
  }
}

/* Rows beyond the last one are multiplied with zeros. */
void tfmpq_depthwise_take_ring__mve(const tfmpq_depthwise_call* call,
                                    tfmpq_depthwise_group* group,
                                    uint32_t begin) {
  const uint32_t num_rows = call->arguments->params->kernel_height;
  const uint32_t row_bytes = call->num_columns * kTfmpqLanes;
  int8_t* quads = call->quads;
  uint32_t slot = begin % num_rows;
  take_rows(call, group, begin, begin + num_rows);
  for (uint32_t row = 0; row < num_rows; row += kTfmpqQuadRows) {
    const int8_t* rows[kTfmpqQuadRows];
    for (uint32_t i = 0; i < kTfmpqQuadRows; ++i) {
      rows[i] = call->ring + slot * row_bytes;
      if (++slot == num_rows) slot = 0;
    }
    tfmpq_make_quads__mve(rows, call->num_columns, quads);
    quads += kTfmpqQuadColumnBytes * call->num_columns;
  }
}

/* Returns the sums of products of four neighbouring outputs, the first at
 * `quads`, the next step_bytes further on; with the mask, sums of inputs. */
TFMPQ_INLINE int32x4_t multiply_patches(const tfmpq_depthwise_call* call,
                                        const int8_t* quads,
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
static void make_channel(const tfmpq_depthwise_call* call,
                         const tfmpq_depthwise_group* group, uint32_t lane) {
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

void tfmpq_depthwise_make_row__mve(const tfmpq_depthwise_call* call,
                                   const tfmpq_depthwise_group* group) {
  for (uint32_t lane = 0; lane < group->num_channels; ++lane) {
    make_channel(call, group, lane);
  }
}
