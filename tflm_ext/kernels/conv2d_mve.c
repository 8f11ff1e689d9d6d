#include "tflm_ext/kernels/conv2d_mve.h"

#include <string.h>

#include "tflm_ext/kernels/product_kernel_mve.h"
#include "tflm_ext/kernels/products_mve.h"
#include "tflm_ext/kernels/windows_mve.h"

/* Channels after whole blocks of 4, as a block. */
typedef struct {
  uint32_t num_channels;
  tfmpq_channel channels[kTfmpqBlockChannels];
  int8_t zero_points[kTfmpqBlockChannels];
} LastBlock;

/* A call in progress. */
typedef struct {
  const tfmpq_product_parts* parts;
  const tfmpq_product_arguments* arguments;
  tfmpq_tiles tiles;
  LastBlock last_block;
  const uint8_t* last_weight;
  tfmpq_windows windows;
  tfmpq_position position; /* Of the next output pixel. */
  int is_pointwise;        /* Elements follow each other in the input. */
  const uint8_t* next;     /* Of these, pixels not taken yet. */
  uint32_t num_direct;     /* And how many may be taken where they lie. */
  int is_unpacked;
  int8_t* columns;
  int8_t* codes;
} Call;

static LastBlock make_last_block(const tfmpq_product_arguments* arguments) {
  const uint32_t num_channels = arguments->params->output_channels;
  const uint32_t first =
      num_channels / kTfmpqBlockChannels * kTfmpqBlockChannels;
  LastBlock last = {num_channels - first, {{0, 0}}, {0}};
  memcpy(last.channels, arguments->channels + first,
         last.num_channels * sizeof(tfmpq_channel));
  if (arguments->weight_zero_points != NULL) {
    memcpy(last.zero_points, arguments->weight_zero_points + first,
           last.num_channels);
  }
  return last;
}

/* Makes the codes of the channels of pixels, from the first one on. */
static void make_codes(Call* call, const int8_t* columns,
                       const int32_t* minus_sums, uint8_t* codes,
                       uint32_t num_pixels) {
  tfmpq_tiles* tiles = &call->tiles;
  tiles->columns = columns;
  tiles->minus_sums = minus_sums;
  tiles->codes = codes;
  tiles->num_pairs = (num_pixels + 1) / 2;
  call->parts->make_tiles(tiles);
}

/* Names the channels of whole blocks. */
static void name_whole_blocks(Call* call) {
  tfmpq_tiles* tiles = &call->tiles;
  tiles->weight = call->arguments->weight;
  tiles->weight_end = call->last_weight;
  tiles->channels = call->arguments->channels;
  tiles->zero_points = call->arguments->weight_zero_points;
}

/* Names the channels of the last block. */
static void name_last_block(Call* call) {
  tfmpq_tiles* tiles = &call->tiles;
  tiles->weight = call->last_weight;
  tiles->weight_end = call->last_weight + tiles->block_bytes;
  tiles->channels = call->last_block.channels;
  if (tiles->zero_points != NULL) {
    tiles->zero_points = call->last_block.zero_points;
  }
}

/* Makes the codes of all channels of pixels. */
static void make_all_codes(Call* call, const int8_t* columns,
                           const int32_t* minus_sums, uint8_t* codes,
                           uint32_t num_pixels) {
  const uint32_t num_whole =
      call->arguments->params->output_channels - call->last_block.num_channels;
  if (num_pixels == 1) { /* Is made twice. */
    call->tiles.column_bytes = 0;
    call->tiles.code_bytes = 0;
  }
  if (num_whole != 0) {
    make_codes(call, columns, minus_sums, codes, num_pixels);
  }
  if (call->last_block.num_channels == 0) return;
  name_last_block(call);
  make_codes(call, columns, minus_sums, codes + num_whole, num_pixels);
  name_whole_blocks(call);
}

/* Returns the elements of the next pixels. */
static const int8_t* take_pixels(Call* call, uint32_t num_pixels) {
  const tfmpq_windows* windows = &call->windows;
  if (!call->is_pointwise) {
    tfmpq_fill_columns__mve(windows, &call->position, num_pixels,
                            call->columns);
    return call->columns;
  }
  const uint8_t* pixels = call->next;
  call->next += num_pixels * windows->pixel_bytes;
  if (num_pixels <= call->num_direct) {
    call->num_direct -= num_pixels;
    return (const int8_t*)pixels;
  }
  windows->expand_pixels(pixels, num_pixels, windows->params->input_channels,
                         call->columns);
  return call->columns;
}

/* Packs the codes of pixels. */
static void pack_pixels(const Call* call, uint32_t num_pixels,
                        uint8_t* output) {
  const uint32_t num_channels = call->arguments->params->output_channels;
  const int8_t* codes = call->codes;
  if (num_channels % 4 == 0) { /* One run. */
    call->parts->pack_run(codes, num_pixels * num_channels, output);
    return;
  }
  for (; num_pixels > 0; --num_pixels) {
    call->parts->pack_run(codes, num_channels, output);
    codes += call->tiles.code_bytes;
    output += tfmpq_run_bytes(num_channels, call->parts->o_bits);
  }
}

static void init_call(Call* call, const tfmpq_product_parts* parts,
                      const tfmpq_product_arguments* arguments) {
  const tfmpq_conv_params* params = arguments->params;
  const int is_direct = tfmpq_conv2d_is_direct__mve(params, parts->a_bits);
  const uint32_t num_channels = params->output_channels;
  const uint32_t num_blocks = num_channels / kTfmpqBlockChannels;
  const size_t num_pixels =
      tfmpq_conv2d_pixels__mve(params, parts->a_bits, parts->o_bits);
  const tfmpq_position position = {-params->pad_top, -params->pad_left, 0};
  call->parts = parts;
  call->arguments = arguments;
  call->last_block = make_last_block(arguments);
  call->position = position;
  tfmpq_init_windows__mve(&call->windows, params, arguments->input,
                          parts->expand_pixels, parts->a_bits);
  tfmpq_init_tiles__mve(&call->tiles, params, arguments->weight_zero_points,
                        call->windows.num_elements, parts->w_bits,
                        parts->o_bits);
  call->last_weight = arguments->weight + num_blocks * call->tiles.block_bytes;
  call->is_pointwise =
      params->kernel_height == 1 && params->kernel_width == 1 &&
      params->stride_height == 1 && params->stride_width == 1 &&
      params->pad_top == 0 && params->pad_left == 0 &&
      params->output_height <= params->input_height &&
      params->output_width == params->input_width;
  call->next = arguments->input;
  call->is_unpacked = tfmpq_conv2d_is_unpacked__mve(params, parts->o_bits);
  call->columns = arguments->scratch;
  call->codes =
      arguments->scratch +
      (is_direct ? 0 : num_pixels * call->windows.num_elements + kTfmpqLanes);
  call->tiles.column_bytes = call->windows.num_elements;
  call->tiles.code_bytes = (num_channels + 3) / 4 * 4;
  name_whole_blocks(call);
  /* Vectors must not reach beyond the input. */
  const uint32_t vector_bytes = call->tiles.num_groups * kTfmpqLanes;
  const uint32_t input_bytes = params->input_height * call->windows.row_bytes;
  call->num_direct = 0;
  if (call->is_pointwise && parts->a_bits == 8 && input_bytes >= vector_bytes) {
    call->num_direct =
        (input_bytes - vector_bytes) / params->input_channels + 1;
  }
}

static void conv2d(const tfmpq_product_parts* parts,
                   const tfmpq_product_arguments* arguments) {
  const tfmpq_conv_params* params = arguments->params;
  const uint32_t pixel_bytes =
      tfmpq_run_bytes(params->output_channels, parts->o_bits);
  const uint32_t most =
      (uint32_t)tfmpq_conv2d_pixels__mve(params, parts->a_bits, parts->o_bits);
  uint32_t left = (uint32_t)params->output_height * params->output_width;
  uint8_t* output = arguments->output;
  int32_t minus_sums[16 + 1];
  Call call;
  init_call(&call, parts, arguments);
  while (left > 0) {
    const uint32_t count = left > most ? most : left > 1 ? left / 2 * 2 : 1;
    const int8_t* columns = take_pixels(&call, count);
    if (parts->w_bits != 8) {
      tfmpq_minus_sums__mve(columns, call.windows.num_elements,
                            call.windows.num_elements, count, minus_sums);
      minus_sums[count] = minus_sums[count - 1];
    }
    make_all_codes(&call, columns, minus_sums,
                   call.is_unpacked ? output : (uint8_t*)call.codes, count);
    if (!call.is_unpacked) pack_pixels(&call, count, output);
    output += count * pixel_bytes;
    left -= count;
  }
}

#define TFMPQ_DEFINE_CONV2D(a, w, o) \
  TFMPQ_DEFINE_PRODUCT_KERNEL(conv2d, pixels, a, w, o)
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_CONV2D)
