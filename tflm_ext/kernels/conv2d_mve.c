#include "tflm_ext/kernels/conv2d_mve.h"

#include <string.h>

#include "tflm_ext/kernels/products_mve.h"
#include "tflm_ext/kernels/windows_mve.h"

/* What the widths of a kernel choose. */
typedef struct {
  tfmpq_expand_pixels expand_pixels;
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

/* Channels after whole blocks of 4, as a block. */
typedef struct {
  uint32_t num_channels;
  tfmpq_channel channels[kTfmpqBlockChannels];
  int8_t zero_points[kTfmpqBlockChannels];
} LastBlock;

/* The window of the next output pixel. */
typedef struct {
  int32_t y;
  int32_t x;
  uint32_t column; /* Of the output. */
} Position;

/* How pixels are taken. */
typedef struct {
  const tfmpq_windows* windows;
  int is_direct; /* The input is taken where it lies. */
  int32x4_t start_factors;
  int8_t* columns[kTfmpqTilePixels];
  int has_sums; /* Direct: whether sums of elements are needed. */
} Taking;

static LastBlock make_last_block(const Arguments* arguments) {
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

/* Points the tiles at the elements of the next output pixel. */
TFMPQ_INLINE void take_pixel(tfmpq_tiles* tiles, const Taking* taking,
                             Position* position, uint32_t index) {
  const tfmpq_windows* windows = taking->windows;
  const tfmpq_conv_params* params = windows->params;
  int32_t sum = 0;
  if (!taking->is_direct) {
    sum = tfmpq_fill_column__mve(windows, position->y, position->x,
                                 taking->columns[index]);
  } else {
    const int8_t* pixel = (const int8_t*)windows->input +
                          (uint32_t)position->y * windows->row_bytes +
                          (uint32_t)position->x * windows->pixel_bytes;
    if (index == 0) {
      tiles->column_0 = pixel;
    } else {
      tiles->column_1 = pixel;
    }
    if (taking->has_sums) {
      sum = tfmpq_sum_of_bytes__mve(pixel, params->input_channels);
    }
  }
  tfmpq_set_start(tiles, index, vmulq_n_s32(taking->start_factors, sum));
  tiles->minus_sums[index] = -sum;
  position->x += params->stride_width;
  if (++position->column < params->output_width) return;
  position->column = 0;
  position->x = -params->pad_left;
  position->y += params->stride_height;
}

/* Makes the second pixel of the tiles the first one once more. */
static void repeat_pixel(tfmpq_tiles* tiles) {
  tiles->column_1 = tiles->column_0;
  tiles->codes[1] = tiles->codes[0];
  tiles->minus_sums[1] = tiles->minus_sums[0];
  tiles->start_4 = tiles->start_0;
  tiles->start_5 = tiles->start_1;
  tiles->start_6 = tiles->start_2;
  tiles->start_7 = tiles->start_3;
}

/* Makes the codes of all channels of the pixels taken. */
TFMPQ_INLINE void make_codes(tfmpq_tiles* tiles, tfmpq_make_tiles make_tiles,
                             const Arguments* arguments,
                             const LastBlock* last_block,
                             const uint8_t* last_weight, uint32_t block_bytes) {
  tiles->zero_points = arguments->weight_zero_points;
  tiles->weight_end = last_weight;
  if (last_weight != arguments->weight) {
    make_tiles(tiles, arguments->weight, arguments->channels);
  }
  if (last_block->num_channels == 0) return;
  if (tiles->zero_points != NULL) tiles->zero_points = last_block->zero_points;
  tiles->weight_end = last_weight + block_bytes;
  make_tiles(tiles, last_weight, last_block->channels);
}

/* Packs the codes of one or two pixels. */
TFMPQ_INLINE void pack_pixels(tfmpq_pack_run pack_run, uint32_t num_channels,
                              int are_two, const int8_t* codes,
                              const int8_t* more_codes, uint8_t* output,
                              uint8_t* second) {
  if (are_two && num_channels % 4 == 0) { /* One run. */
    pack_run(codes, 2 * num_channels, output);
    return;
  }
  pack_run(codes, num_channels, output);
  if (are_two) pack_run(more_codes, num_channels, second);
}

/* Scratch: columns of two pixels and a vector, unless direct; codes of two
 * pixels, unless unpacked. */
static void conv2d(const Parts* parts, const Arguments* arguments) {
  const tfmpq_conv_params* params = arguments->params;
  const uint32_t num_channels = params->output_channels;
  const uint32_t pixel_bytes = tfmpq_run_bytes(num_channels, parts->o_bits);
  const int is_direct = tfmpq_conv2d_is_direct__mve(params, parts->a_bits);
  const int is_unpacked = tfmpq_conv2d_is_unpacked__mve(params, parts->o_bits);
  tfmpq_windows windows;
  tfmpq_init_windows__mve(&windows, params, arguments->input,
                          parts->expand_pixels, parts->a_bits);
  const LastBlock last_block = make_last_block(arguments);
  tfmpq_tiles tiles;
  tfmpq_init_tiles__mve(&tiles, params,
                        (uint32_t)params->kernel_height * windows.num_row_codes,
                        parts->o_bits);
  const uint32_t column_bytes = tiles.num_groups * kTfmpqLanes;
  const Taking taking = {
      &windows,
      is_direct,
      tfmpq_start_factors__mve(
          arguments->weight_zero_points != NULL ? 0 : params->weight_zero_point,
          parts->w_bits),
      {arguments->scratch, arguments->scratch + column_bytes},
      parts->w_bits != 8};
  tiles.column_0 = taking.columns[0];
  tiles.column_1 = taking.columns[1];
  const uint32_t block_bytes =
      tfmpq_block_bytes(tiles.num_groups, parts->w_bits);
  const uint8_t* last_weight =
      arguments->weight + num_channels / kTfmpqBlockChannels * block_bytes;
  int8_t* codes =
      arguments->scratch +
      (is_direct ? 0 : kTfmpqTilePixels * column_bytes + kTfmpqLanes);
  int8_t* more_codes = codes + (num_channels + 3) / 4 * 4;
  uint8_t* output = arguments->output;
  uint32_t num_pixels = (uint32_t)params->output_height * params->output_width;
  Position position = {-params->pad_top, -params->pad_left, 0};
  for (; num_pixels > 0; num_pixels -= num_pixels > 1 ? 2 : 1) {
    uint8_t* second = output + pixel_bytes;
    tiles.codes[0] = is_unpacked ? output : (uint8_t*)codes;
    tiles.codes[1] = is_unpacked ? second : (uint8_t*)more_codes;
    take_pixel(&tiles, &taking, &position, 0);
    if (num_pixels > 1) {
      take_pixel(&tiles, &taking, &position, 1);
    } else {
      repeat_pixel(&tiles);
    }
    make_codes(&tiles, parts->make_tiles, arguments, &last_block, last_weight,
               block_bytes);
    if (!is_unpacked) {
      pack_pixels(parts->pack_run, num_channels, num_pixels > 1, codes,
                  more_codes, output, second);
    }
    output = second + pixel_bytes;
  }
}

#define TFMPQ_DEFINE_CONV2D(a, w, o)                                           \
  void tfmpq_conv2d_a##a##_w##w##_o##o##__mve(                                 \
      const tfmpq_conv_params* params, const void* input, const void* weight,  \
      const tfmpq_channel* channels, const int8_t* weight_zero_points,         \
      void* output, void* scratch) {                                           \
    static const Parts parts = {tfmpq_expand_pixels_a##a##__mve,               \
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
