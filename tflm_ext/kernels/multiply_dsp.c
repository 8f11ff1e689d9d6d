/* Blocks of which channels are missing. */
#include <stddef.h>
#include <string.h>

#include "tflm_ext/kernels/products_dsp.h"
#include "tflm_ext/kernels/rescale.h"

enum { kMaxBlockBytes = kTfmpqBlockChannels };

/* Copies the first num_codes codes of a block; other bits become 0. */
static void copy_codes(uint8_t* to, const uint8_t* from, uint32_t num_codes,
                       uint32_t o_bits) {
  const uint32_t num_bits = num_codes * o_bits;
  const uint32_t last = (num_bits - 1) / 8;
  const uint32_t last_bits = num_bits - last * 8;
  memcpy(to, from, last);
  to[last] = (uint8_t)(from[last] & ((1u << last_bits) - 1));
}

void tfmpq_multiply_rest(tfmpq_products products,
                         const tfmpq_products_task* task,
                         const uint32_t* weight) {
  const uint32_t first = task->num_blocks * kTfmpqBlockChannels;
  tfmpq_channel channels[kTfmpqBlockChannels] = {{0, 0}};
  memcpy(channels, task->channels + first,
         task->num_rest * sizeof(channels[0]));
  uint8_t codes[kTfmpqBlockPixels * kMaxBlockBytes];
  tfmpq_products_task block = *task;
  block.weight = weight;
  block.channels = channels;
  block.zero_points += task->num_blocks * task->zero_point_step;
  block.num_blocks = 1;
  block.codes = codes;
  block.pixel_bytes = kMaxBlockBytes;
  products(&block);
  uint8_t* to = task->codes + first * task->bits / 8;
  for (uint32_t i = 0; i < task->num_pixels; ++i) {
    copy_codes(to, codes + i * kMaxBlockBytes, task->num_rest, task->bits);
    to += task->pixel_bytes;
  }
}

void tfmpq_start_task(tfmpq_products_task* task,
                      const tfmpq_conv_params* params, const void* weight,
                      const tfmpq_channel* channels,
                      const int8_t* weight_zero_points, tfmpq_finish finish,
                      uint32_t o_bits, void* output) {
  const uint32_t num_channels = params->output_channels;
  const tfmpq_rescale rescale = tfmpq_make_rescale(
      params->output_zero_point, params->shift, params->pre_shift);
  task->num_blocks = num_channels / kTfmpqBlockChannels;
  task->channels = channels;
  task->zero_points = weight_zero_points;
  task->zero_point_step = kTfmpqBlockChannels;
  if (weight_zero_points == NULL) {
    memset(task->same_zero_points, params->weight_zero_point,
           sizeof(task->same_zero_points));
    task->zero_points = task->same_zero_points;
    task->zero_point_step = 0;
  }
  task->offset = rescale.offset;
  task->shift = params->shift;
  task->codes = output;
  task->pixel_bytes = (num_channels * o_bits + 7) / 8;
  task->finish = finish;
  task->pre_shift = params->pre_shift;
  task->bits = o_bits;
  task->weight = weight;
  task->num_rest = num_channels % kTfmpqBlockChannels;
}
