#include "tflm_ext/kernels/conv2d_mve.h"

#include <string.h>

#include "tflm_ext/kernels/products_mve.h"
#include "tflm_ext/kernels/windows_mve.h"

/* What the widths of a kernel choose. */
typedef struct {
  tfmpq_fill_column fill_column;
  tfmpq_make_tiles make_tiles;
  tfmpq_pack_run pack_run;
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
  tfmpq_tiles tiles;
  int32x4_t start_factors;
  int is_direct;
  int is_unpacked;
  int8_t* columns; /* Of the pixels of a tile. */
  uint32_t column_bytes;
  int8_t* codes[kTfmpqTilePixels]; /* Where they wait for being packed. */
  int32_t y;                       /* The next output pixel. */
  int32_t x;
  uint8_t* output;
  uint32_t pixel_bytes;      /* Of the output. */
  uint32_t num_whole_blocks; /* Of 4 channels. */
  /* Channels after these, as a block. */
  tfmpq_channel last_channels[kTfmpqBlockChannels];
  int8_t last_zero_points[kTfmpqBlockChannels];
} Call;

/* Points the tiles at the elements of an output pixel. */
TFMPQ_INLINE void take_pixel(Call* call, int index, int32_t y, int32_t x) {
  const tfmpq_conv_params* params = call->arguments->params;
  const uint8_t* input = call->arguments->input;
  const int32_t first_y = y * params->stride_height - params->pad_top;
  const int32_t first_x = x * params->stride_width - params->pad_left;
  tfmpq_tiles* tiles = &call->tiles;
  int32_t sum = 0;
  if (call->is_direct) {
    const uint32_t pixel = (uint32_t)(first_y * params->input_width + first_x);
    const uint32_t num_channels = params->input_channels;
    tiles->columns[index] = (const int8_t*)input + pixel * num_channels;
    if (call->parts->w_bits != 8) {
      sum = tfmpq_sum_of_bytes__mve(tiles->columns[index], num_channels);
    }
  } else {
    int8_t* column = call->columns + (uint32_t)index * call->column_bytes;
    sum = call->parts->fill_column(params, input, first_y, first_x, column);
    tiles->columns[index] = column;
  }
  vstrwq_s32(tiles->start + index * kTfmpqBlockChannels,
             vmulq_n_s32(call->start_factors, sum));
  tiles->minus_sums[index] = -sum;
}

/* Makes the codes of all channels of the pixels taken. */
TFMPQ_INLINE void make_codes(Call* call) {
  const Arguments* arguments = call->arguments;
  const uint32_t num_blocks = call->num_whole_blocks;
  tfmpq_tiles* tiles = &call->tiles;
  const uint32_t block_bytes =
      tfmpq_block_bytes(tiles->num_groups, call->parts->w_bits);
  const uint8_t* rest = arguments->weight + num_blocks * block_bytes;
  tiles->zero_points = arguments->weight_zero_points;
  if (num_blocks > 0) {
    tiles->weight_end = rest;
    call->parts->make_tiles(tiles, arguments->weight, arguments->channels);
  }
  if (arguments->params->output_channels % kTfmpqBlockChannels == 0) return;
  if (tiles->zero_points != NULL) tiles->zero_points = call->last_zero_points;
  tiles->weight_end = rest + block_bytes;
  call->parts->make_tiles(tiles, rest, call->last_channels);
}

static void init_last_block(Call* call, const Arguments* arguments) {
  const uint32_t num_channels = arguments->params->output_channels;
  const uint32_t num_last = num_channels % kTfmpqBlockChannels;
  const uint32_t first = num_channels - num_last;
  call->num_whole_blocks = num_channels / kTfmpqBlockChannels;
  memset(call->last_channels, 0, sizeof(call->last_channels));
  memcpy(call->last_channels, arguments->channels + first,
         num_last * sizeof(tfmpq_channel));
  if (arguments->weight_zero_points == NULL) return;
  memset(call->last_zero_points, 0, sizeof(call->last_zero_points));
  memcpy(call->last_zero_points, arguments->weight_zero_points + first,
         num_last);
}

/* Scratch: two columns and a vector, then the codes of two pixels. */
static void init_call(Call* call, const Parts* parts,
                      const Arguments* arguments) {
  const tfmpq_conv_params* params = arguments->params;
  const uint32_t num_elements = (uint32_t)params->kernel_height *
                                params->kernel_width * params->input_channels;
  const uint32_t num_channels = params->output_channels;
  call->parts = parts;
  call->arguments = arguments;
  tfmpq_init_tiles__mve(&call->tiles, params, num_elements, parts->o_bits);
  call->start_factors = tfmpq_start_factors__mve(
      arguments->weight_zero_points != NULL ? 0 : params->weight_zero_point,
      parts->w_bits);
  call->is_direct = tfmpq_conv2d_is_direct__mve(params, parts->a_bits);
  call->is_unpacked = tfmpq_conv2d_is_unpacked__mve(params, parts->o_bits);
  call->columns = arguments->scratch;
  call->column_bytes = call->tiles.num_groups * kTfmpqLanes;
  call->codes[0] = arguments->scratch;
  if (!call->is_direct) {
    call->codes[0] += kTfmpqTilePixels * call->column_bytes + kTfmpqLanes;
  }
  call->codes[1] = call->codes[0] + (num_channels + 3) / 4 * 4;
  call->y = 0;
  call->x = 0;
  call->output = arguments->output;
  call->pixel_bytes = tfmpq_run_bytes(num_channels, parts->o_bits);
  init_last_block(call, arguments);
}

/* Takes the next output pixel and moves on to the one after it. */
TFMPQ_INLINE void take_next_pixel(Call* call, int index) {
  take_pixel(call, index, call->y, call->x);
  call->tiles.codes[index] =
      call->is_unpacked ? call->output : (uint8_t*)call->codes[index];
  call->output += call->pixel_bytes;
  if (++call->x < call->arguments->params->output_width) return;
  call->x = 0;
  ++call->y;
}

/* Makes the second pixel of the tiles the first one once more. */
static void repeat_pixel(tfmpq_tiles* tiles) {
  tiles->columns[1] = tiles->columns[0];
  tiles->codes[1] = tiles->codes[0];
  tiles->minus_sums[1] = tiles->minus_sums[0];
  vstrwq_s32(tiles->start + kTfmpqBlockChannels, vldrwq_s32(tiles->start));
}

static void conv2d(const Parts* parts, const Arguments* arguments) {
  const tfmpq_conv_params* params = arguments->params;
  const uint32_t num_channels = params->output_channels;
  uint32_t num_pixels = (uint32_t)params->output_height * params->output_width;
  Call call;
  init_call(&call, parts, arguments);
  while (num_pixels > 0) {
    const int is_last = num_pixels == 1;
    uint8_t* output = call.output;
    take_next_pixel(&call, 0);
    if (is_last) {
      repeat_pixel(&call.tiles);
    } else {
      take_next_pixel(&call, 1);
    }
    make_codes(&call);
    if (!call.is_unpacked) {
      parts->pack_run(call.codes[0], num_channels, output);
      if (!is_last) {
        parts->pack_run(call.codes[1], num_channels, output + call.pixel_bytes);
      }
    }
    num_pixels -= is_last ? 1 : kTfmpqTilePixels;
  }
}

#define TFMPQ_DEFINE_CONV2D(a, w, o)                                           \
  void tfmpq_conv2d_a##a##_w##w##_o##o##__mve(                                 \
      const tfmpq_conv_params* params, const void* input, const void* weight,  \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,         \
      void* output, void* scratch) {                                           \
    static const Parts parts = {tfmpq_fill_column_a##a##__mve,                 \
                                tfmpq_pixels_w##w##__mve,                      \
                                tfmpq_pack_run_o##o##__mve,                    \
                                a,                                             \
                                w,                                             \
                                o};                                            \
    const Arguments arguments = {                                              \
        params, input, weight, channels, weight_zero_points, output, scratch}; \
    conv2d(&parts, &arguments);                                                \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_CONV2D)
