#include "tflm_ext/kernels/depthwise_conv2d_dsp.h"

#include <string.h>

#include "tflm_ext/kernels/codes.h"
#include "tflm_ext/kernels/depthwise_rows_dsp.h"
#include "tflm_ext/kernels/instructions_dsp.h"
#include "tflm_ext/kernels/rescale.h"

/* What the widths of a kernel choose. */
typedef struct {
  tfmpq_read_row read_row;
  tfmpq_read_taps read_taps;
  tfmpq_read_taps read_taps_3x3;
  tfmpq_compute_row compute_row_3x3;
  tfmpq_compute_row compute_row_3x3_s2;
  tfmpq_write_row write_row;
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
  uint32_t* scratch;
} Arguments;

/* What stays the same for all groups of channels. */
typedef struct {
  const Parts* parts;
  const tfmpq_conv_params* params;
  tfmpq_row_shape shape;
  tfmpq_rescale rescale;
  tfmpq_compute_row compute_row; /* NULL: compute_any_row. */
  uint32_t pixel_bytes;          /* Of the output, while it is computed. */
  uint32_t* ring;
  uint32_t* taps;
  uint32_t tap_row_words; /* From the pairs of a row to the next row's. */
  uint32_t tap_channel_words;
  uint32_t* codes;
} Layer;

/* The group of channels at work. */
typedef struct {
  const uint8_t* input; /* The first pixel's codes of the group. */
  tfmpq_taps taps;
  uint8_t* output;
  uint32_t num_channels;
  uint32_t output_quad_bytes;
  int8_t zero_points[kTfmpqGroupChannels]; /* Of the weights. */
  const tfmpq_channel* channels;
  tfmpq_channel shifted_channels[kTfmpqGroupChannels];
} Group;

/* Up to this pre_shift, weights less their zero points (-255 to 255), shifted,
 * are halfwords. */
enum { kMaxTapShift = 7 };

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Returns the bytes of the group's codes in a pixel. */
static uint32_t quad_bytes(uint32_t num_channels, uint32_t bits) {
  return (num_channels * bits + 7) / 8;
}

/* Computes the codes of one channel of an output row. */
TFMPQ_INLINE void compute_channel(const Layer* layer,
                                  const tfmpq_group_row* row, uint32_t height,
                                  uint32_t width) {
  const tfmpq_conv_params* params = layer->params;
  const uint32_t num_pairs = width / 2 + 1;
  const uint32_t num_rows = 2 * height - 1;
  uint8_t* codes = row->codes;
  uint32_t column = 0;
  for (uint32_t x = params->output_width; x > 0; --x) {
    const uint32_t* elements = row->pairs + column / 2 * height;
    const uint32_t* taps = row->taps + column % 2 * num_pairs * num_rows;
    int32_t sum = row->channels->bias;
    for (uint32_t pair = 0; pair < num_pairs; ++pair) {
      for (uint32_t slot = 0; slot < height; ++slot) {
        sum = tfmpq_smlad(*elements++, taps[slot], sum);
      }
      taps += num_rows;
    }
    *codes = (uint8_t)tfmpq_requantize(sum, row->channels->multiplier,
                                       &layer->rescale, layer->parts->o_bits);
    codes += sizeof(*layer->codes);
    column += params->stride_width;
  }
}

/* Any kernel; constants help the compiler with the usual one. */
static void compute_any_row(const Layer* layer, tfmpq_group_row* row) {
  const tfmpq_conv_params* params = layer->params;
  for (; row->num_channels > 0; --row->num_channels) {
    if (params->kernel_height == 5 && params->kernel_width == 5) {
      compute_channel(layer, row, 5, 5);
    } else {
      compute_channel(layer, row, params->kernel_height, params->kernel_width);
    }
    row->pairs += row->pairs_bytes / sizeof(*row->pairs);
    row->taps += row->taps_bytes / sizeof(*row->taps);
    ++row->channels;
    ++row->codes;
  }
}

/* Computes an output row of the group. `rotation` is the row of the kernel for
 * slot 0. */
static void compute_row(const Layer* layer, const Group* group, uint8_t* output,
                        uint32_t rotation) {
  const uint32_t width = layer->params->output_width;
  tfmpq_group_row row = {
      layer->ring,
      layer->taps + rotation * layer->tap_row_words,
      group->channels,
      (uint8_t*)layer->codes,
      layer->shape.num_pairs * layer->shape.pair_stride * sizeof(*layer->ring),
      layer->tap_channel_words * sizeof(*layer->taps),
      group->num_channels,
      ((width + 1) / 2 - 1) << 8 | (uint32_t)layer->rescale.shift,
      layer->rescale.offset,
  };
  if (layer->compute_row != NULL) {
    layer->compute_row(&row);
  } else {
    compute_any_row(layer, &row);
  }
  layer->parts->write_row(layer->codes, width, output, layer->pixel_bytes,
                          group->output_quad_bytes);
}

/* Reads a row of the padded input into a slot of the ring. */
static void read_row(const Layer* layer, const Group* group, uint32_t row,
                     uint32_t slot) {
  const tfmpq_conv_params* params = layer->params;
  const uint32_t y = row - params->pad_top; /* Wraps above the image. */
  if (y < params->input_height) {
    const uint32_t row_bytes = params->input_width * layer->shape.pixel_bytes;
    layer->parts->read_row(&layer->shape, group->input + y * row_bytes,
                           layer->ring + slot);
  } else {
    tfmpq_pad_row(&layer->shape, layer->ring + slot);
  }
}

static void compute_group(const Layer* layer, const Group* group) {
  const tfmpq_conv_params* params = layer->params;
  const uint32_t height = params->kernel_height;
  uint8_t* output = group->output;
  uint32_t next = 0; /* Row of the padded input, and its slot. */
  uint32_t slot = 0;
  for (uint32_t y = 0; y < params->output_height; ++y) {
    const uint32_t first = y * params->stride_height;
    if (next < first) {
      next = first;
      slot = first % height;
    }
    for (; next < first + height; ++next) {
      read_row(layer, group, next, slot);
      if (++slot == height) slot = 0;
    }
    /* Now `slot` is that of row `first`. */
    compute_row(layer, group, output, slot == 0 ? 0 : height - slot);
    output += params->output_width * layer->pixel_bytes;
  }
}

/* Applies pre_shift to the biases of 3x3, as read_taps_3x3 does to the taps, so
 * that it is in every sum: compute_row does nothing about it. */
static void shift_biases(Group* group, int shift) {
  for (uint32_t c = 0; c < group->num_channels; ++c) {
    group->shifted_channels[c].bias =
        (int32_t)((uint32_t)group->channels[c].bias << shift);
    group->shifted_channels[c].multiplier = group->channels[c].multiplier;
  }
  group->channels = group->shifted_channels;
}

/* Sets a group up whose first channel is number `first`. */
static void start_group(Layer* layer, const Arguments* arguments,
                        uint32_t first, Group* group) {
  const Parts* parts = layer->parts;
  const tfmpq_conv_params* params = layer->params;
  const uint32_t count =
      least(params->input_channels - first, kTfmpqGroupChannels);
  group->input = arguments->input + first * parts->a_bits / 8;
  group->output = arguments->output + first * parts->o_bits / 8;
  group->channels = arguments->channels + first;
  group->num_channels = count;
  layer->shape.quad_bytes = quad_bytes(count, parts->a_bits);
  group->taps.codes = arguments->weight + first * parts->w_bits / 8;
  group->taps.zero_points = group->zero_points;
  group->taps.height = params->kernel_height;
  group->taps.width = params->kernel_width;
  group->taps.num_rows = 2u * params->kernel_height - 1;
  group->taps.tap_bytes =
      tfmpq_run_bytes(params->input_channels, parts->w_bits);
  group->taps.quad_bytes = quad_bytes(count, parts->w_bits);
  group->output_quad_bytes = quad_bytes(count, parts->o_bits);
  if (count < kTfmpqGroupChannels) {
    memset(layer->codes, 0, params->output_width * sizeof(*layer->codes));
  }
  memset(group->zero_points, params->weight_zero_point,
         sizeof(group->zero_points));
  group->taps.shift = params->pre_shift;
  if (layer->compute_row != NULL && params->pre_shift != 0) {
    shift_biases(group, params->pre_shift);
  }
  if (arguments->weight_zero_points != NULL) {
    memcpy(group->zero_points, arguments->weight_zero_points + first, count);
  }
}

/* Returns what computes a row, or NULL if compute_any_row has to. */
static tfmpq_compute_row choose_row(const Parts* parts,
                                    const tfmpq_conv_params* params) {
  if (params->kernel_height != 3 || params->kernel_width != 3 ||
      params->pre_shift > kMaxTapShift) {
    return NULL;
  }
  if (params->stride_width == 1) return parts->compute_row_3x3;
  if (params->stride_width == 2) return parts->compute_row_3x3_s2;
  return NULL;
}

static Layer make_layer(const Parts* parts, const Arguments* arguments) {
  const tfmpq_conv_params* params = arguments->params;
  const uint32_t num_channels = params->input_channels;
  const uint32_t num_pairs =
      (uint32_t)tfmpq_depthwise_conv2d_pairs__dsp(params);
  const uint32_t even_width = (params->output_width + 1u) / 2 * 2;
  /* Columns that no window reaches are not read. */
  const uint32_t pad_left = least(params->pad_left, 2 * num_pairs);
  const uint32_t width = least(params->input_width, 2 * num_pairs - pad_left);
  Layer layer = {
      .parts = parts,
      .params = params,
      .shape = {.num_pairs = num_pairs,
                .pair_stride = params->kernel_height,
                .pad_left = pad_left,
                .width = width,
                .pixel_bytes = tfmpq_run_bytes(num_channels, parts->a_bits),
                .zero_point = params->input_zero_point},
      .rescale = tfmpq_make_rescale(params->output_zero_point, params->shift,
                                    params->pre_shift),
      .compute_row = choose_row(parts, params),
      .pixel_bytes = tfmpq_run_bytes(num_channels, parts->o_bits),
      .ring = arguments->scratch,
  };
  layer.codes =
      layer.ring + kTfmpqGroupChannels * params->kernel_height * num_pairs;
  layer.taps = layer.codes + even_width;
  if (layer.compute_row != NULL) {
    layer.tap_row_words = 2;
    layer.tap_channel_words = kTfmpqTapWords3x3;
  } else {
    layer.tap_row_words = 1;
    layer.tap_channel_words =
        2 * (params->kernel_width / 2u + 1) * (2u * params->kernel_height - 1);
  }
  /* In place every pixel stays where it was until all groups are computed. */
  if (arguments->input == arguments->output) {
    layer.pixel_bytes = layer.shape.pixel_bytes;
  }
  return layer;
}

/* Moves pixels that are `from_bytes` apart together. */
static void close_gaps(uint8_t* pixels, uint32_t num_pixels,
                       uint32_t from_bytes, uint32_t to_bytes) {
  const uint8_t* from = pixels;
  for (uint32_t i = 0; i < num_pixels; ++i) {
    for (uint32_t j = 0; j < to_bytes; ++j) pixels[j] = from[j];
    pixels += to_bytes;
    from += from_bytes;
  }
}

static __attribute__((noinline)) void depthwise_conv2d(
    const Parts* parts, const Arguments* arguments) {
  const tfmpq_conv_params* params = arguments->params;
  Layer layer = make_layer(parts, arguments);
  for (uint32_t i = 0; i < params->kernel_height; ++i) {
    tfmpq_pad_row(&layer.shape, layer.ring + i);
  }
  for (uint32_t first = 0; first < params->input_channels;
       first += kTfmpqGroupChannels) {
    Group group;
    start_group(&layer, arguments, first, &group);
    if (layer.compute_row != NULL) {
      parts->read_taps_3x3(&group.taps, layer.taps);
    } else {
      parts->read_taps(&group.taps, layer.taps);
    }
    compute_group(&layer, &group);
  }
  const uint32_t pixel_bytes =
      tfmpq_run_bytes(params->input_channels, parts->o_bits);
  if (layer.pixel_bytes != pixel_bytes) {
    close_gaps(arguments->output,
               (uint32_t)params->output_height * params->output_width,
               layer.pixel_bytes, pixel_bytes);
  }
}

#define TFMPQ_DEFINE_DEPTHWISE_CONV2D(a, w, o)                                 \
  void tfmpq_depthwise_conv2d_a##a##_w##w##_o##o##__dsp(                       \
      const tfmpq_conv_params* params, const void* input, const void* weight,  \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,         \
      void* output, void* scratch) {                                           \
    static const Parts kParts = {                                              \
        tfmpq_read_row_a##a,                                                   \
        tfmpq_read_taps_w##w,                                                  \
        tfmpq_read_taps_3x3_w##w,                                              \
        tfmpq_compute_row_3x3_o##o,                                            \
        tfmpq_compute_row_3x3_s2_o##o,                                         \
        tfmpq_write_row_o##o,                                                  \
        a,                                                                     \
        w,                                                                     \
        o,                                                                     \
    };                                                                         \
    const Arguments arguments = {                                              \
        params, input, weight, channels, weight_zero_points, output, scratch}; \
    depthwise_conv2d(&kParts, &arguments);                                     \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_DEPTHWISE_CONV2D)
