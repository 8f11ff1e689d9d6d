#include "tflm_ext/kernels/fully_connected_mve.h"

#include <string.h>

#include "tflm_ext/kernels/product_kernel_mve.h"
#include "tflm_ext/kernels/products_mve.h"
#include "tflm_ext/kernels/windows_mve.h"

/* Channels of a tile, and those whose codes wait for being packed. */
enum { kTileChannels = 2 * kTfmpqBlockChannels, kStagedChannels = 64 };

/* Points the tiles at the elements of the input. */
static void take_input(tfmpq_tiles* tiles, const tfmpq_product_parts* parts,
                       const tfmpq_product_arguments* arguments) {
  const uint32_t num_channels = arguments->params->input_channels;
  if (parts->a_bits == 8 && num_channels % kTfmpqLanes == 0) {
    tiles->column_0 = (const int8_t*)arguments->input;
  } else {
    tiles->column_0 = arguments->scratch;
    parts->expand_pixels(arguments->input, 1, num_channels, arguments->scratch);
  }
  if (parts->w_bits == 8) return;
  int32_t minus_sum;
  tfmpq_minus_sums__mve(tiles->column_0, 0, num_channels, 1, &minus_sum);
  tfmpq_set_starts__mve(tiles, minus_sum);
}

/* Makes the codes of whole tiles of channels, from channel `first` on. */
static void make_whole_tiles(tfmpq_tiles* tiles,
                             const tfmpq_product_parts* parts,
                             const tfmpq_product_arguments* arguments,
                             uint32_t first, uint32_t num_channels) {
  const uint32_t block = first / kTfmpqBlockChannels;
  const uint32_t num_blocks = num_channels / kTfmpqBlockChannels;
  const uint8_t* weight = arguments->weight + block * tiles->block_bytes;
  tiles->weight_end = weight + num_blocks * tiles->block_bytes;
  tiles->next_zero_points = NULL;
  if (arguments->weight_zero_points != NULL) {
    tiles->next_zero_points = arguments->weight_zero_points + first;
  }
  tiles->weight = weight;
  tiles->channels = arguments->channels + first;
  parts->make_tiles(tiles);
}

/* Makes the codes of the last channels, too few for a tile: takes parameters of
 * absent channels from copies, and an absent block twice. */
static void make_last_tile(tfmpq_tiles* tiles, const tfmpq_product_parts* parts,
                           const tfmpq_product_arguments* arguments,
                           uint32_t first, uint32_t num_channels) {
  tfmpq_channel channels[kTileChannels] = {{0, 0}};
  int8_t zero_points[kTileChannels] = {0};
  const uint32_t block = first / kTfmpqBlockChannels;
  const uint8_t* weight = arguments->weight + block * tiles->block_bytes;
  memcpy(channels, arguments->channels + first,
         num_channels * sizeof(tfmpq_channel));
  tiles->next_zero_points = NULL;
  if (arguments->weight_zero_points != NULL) {
    memcpy(zero_points, arguments->weight_zero_points + first, num_channels);
    tiles->next_zero_points = zero_points;
  }
  tiles->weight_end = weight + tiles->block_bytes;
  if (num_channels > kTfmpqBlockChannels) {
    tiles->weight_end += tiles->block_bytes;
  } else {
    tiles->block_bytes = 0;
  }
  tiles->weight = weight;
  tiles->channels = channels;
  parts->make_tiles(tiles);
}

static void fully_connected(const tfmpq_product_parts* parts,
                            const tfmpq_product_arguments* arguments) {
  const tfmpq_conv_params* params = arguments->params;
  const uint32_t num_channels = params->output_channels;
  int8_t staged[kStagedChannels];
  tfmpq_tiles tiles;
  tfmpq_init_tiles__mve(&tiles, params, arguments->weight_zero_points,
                        params->input_channels, parts->w_bits, parts->o_bits);
  take_input(&tiles, parts, arguments);
  uint8_t* output = arguments->output;
  for (uint32_t c = 0; c < num_channels; c += kStagedChannels) {
    const uint32_t left = num_channels - c;
    const uint32_t count = left < kStagedChannels ? left : kStagedChannels;
    const uint32_t num_rest = count % kTileChannels;
    const uint32_t num_whole = count - num_rest;
    const int is_unpacked = parts->o_bits == 8 && num_rest == 0;
    tiles.next_codes[0] = is_unpacked ? output : (uint8_t*)staged;
    if (num_whole > 0) {
      make_whole_tiles(&tiles, parts, arguments, c, num_whole);
    }
    if (num_rest > 0) {
      make_last_tile(&tiles, parts, arguments, c + num_whole, num_rest);
    }
    if (!is_unpacked) parts->pack_run(staged, count, output);
    output += tfmpq_run_bytes(count, parts->o_bits);
  }
}

#define TFMPQ_DEFINE_FULLY_CONNECTED(a, w, o) \
  TFMPQ_DEFINE_PRODUCT_KERNEL(fully_connected, vector, a, w, o)
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_DEFINE_FULLY_CONNECTED)
