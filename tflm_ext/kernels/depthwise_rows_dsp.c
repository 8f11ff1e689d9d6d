#include "tflm_ext/kernels/depthwise_rows_dsp.h"

#include <stddef.h>

#include "tflm_ext/kernels/quads_dsp.h"

/* Fills pairs of one slot, up to `end` of channel 0, with the zero point. */
static void write_padding(const tfmpq_row_shape* shape, uint32_t* pairs,
                          const uint32_t* end) {
  const uint32_t channel_stride = shape->num_pairs * shape->pair_stride;
  const uint32_t element = (uint16_t)shape->zero_point;
  for (; pairs < end; pairs += shape->pair_stride) {
    for (uint32_t c = 0; c < kTfmpqGroupChannels; ++c) {
      pairs[c * channel_stride] = element | element << 16;
    }
  }
}

/* The last channels, if they are no whole quad: code by code. */
static void read_part_of_row(const tfmpq_row_shape* shape, const uint8_t* codes,
                             uint32_t* slot, int bits) {
  const uint32_t num_channels = shape->quad_bytes * 8 / (uint32_t)bits;
  for (uint32_t c = 0; c < num_channels; ++c) {
    for (uint32_t pair = 0; pair < shape->num_pairs; ++pair) {
      uint32_t elements = 0;
      for (uint32_t side = 0; side < 2; ++side) {
        const uint32_t x = 2 * pair + side - shape->pad_left;
        const int32_t code =
            x < shape->width
                ? tfmpq_code(codes + x * shape->pixel_bytes, c, bits)
                : shape->zero_point;
        elements |= (uint32_t)(uint16_t)code << (16 * side);
      }
      *slot = elements;
      slot += shape->pair_stride;
    }
  }
}

TFMPQ_INLINE void read_row(const tfmpq_row_shape* shape, const uint8_t* codes,
                           uint32_t* slot, int bits) {
  if (shape->quad_bytes < (uint32_t)bits / 2) {
    read_part_of_row(shape, codes, slot, bits);
    return;
  }
  const uint32_t pair_stride = shape->pair_stride;
  const uint32_t channel_stride = shape->num_pairs * pair_stride;
  const uint32_t pixel_bytes = shape->pixel_bytes;
  const uint32_t zero = tfmpq_equal_quad(shape->zero_point, bits);
  uint32_t* pairs = slot + shape->pad_left / 2 * pair_stride;
  if (pairs != slot) write_padding(shape, slot, pairs);
  uint32_t num_left = shape->width;
  if (shape->pad_left % 2 != 0) {
    tfmpq_split_quads(zero, tfmpq_load_quad(codes, bits), bits, pairs,
                      channel_stride);
    pairs += pair_stride;
    codes += pixel_bytes;
    --num_left;
  }
  for (; num_left >= 2; num_left -= 2) {
    const uint32_t left = tfmpq_load_quad(codes, bits);
    const uint32_t right = tfmpq_load_quad(codes + pixel_bytes, bits);
    tfmpq_split_quads(left, right, bits, pairs, channel_stride);
    pairs += pair_stride;
    codes += 2 * pixel_bytes;
  }
  if (num_left != 0) {
    tfmpq_split_quads(tfmpq_load_quad(codes, bits), zero, bits, pairs,
                      channel_stride);
    pairs += pair_stride;
  }
  write_padding(shape, pairs, slot + channel_stride);
}

#define DEFINE_READ_ROW(a)                                                     \
  void tfmpq_read_row_a##a(const tfmpq_row_shape* shape, const uint8_t* codes, \
                           uint32_t* slot) {                                   \
    read_row(shape, codes, slot, a);                                           \
  }
DEFINE_READ_ROW(8)
DEFINE_READ_ROW(4)
DEFINE_READ_ROW(2)

void tfmpq_pad_row(const tfmpq_row_shape* shape, uint32_t* slot) {
  write_padding(shape, slot, slot + shape->num_pairs * shape->pair_stride);
}

TFMPQ_INLINE uint32_t load_tap(const uint8_t* tap, uint32_t quad_bytes,
                               int bits) {
  if (tap == NULL) return 0;
  return quad_bytes < (uint32_t)bits / 2
             ? tfmpq_load_part_of_quad(tap, quad_bytes)
             : tfmpq_load_quad(tap, bits);
}

TFMPQ_INLINE void read_taps(const uint8_t* left, const uint8_t* right,
                            uint32_t quad_bytes, const int8_t* zero_points,
                            uint32_t* pairs, int bits) {
  tfmpq_split_quads(load_tap(left, quad_bytes, bits),
                    load_tap(right, quad_bytes, bits), bits, pairs, 1);
  if (bits == 8) return;
  const uint32_t present =
      (left != NULL ? 0x0000ffffu : 0) | (right != NULL ? 0xffff0000u : 0);
  for (int c = 0; c < kTfmpqGroupChannels; ++c) {
    const uint32_t zero_point = (uint16_t)zero_points[c];
    pairs[c] = present & tfmpq_subtract_halfwords(
                             pairs[c], zero_point | zero_point << 16);
  }
}

#define DEFINE_READ_TAPS(w)                                                 \
  void tfmpq_read_taps_w##w(const uint8_t* left, const uint8_t* right,      \
                            uint32_t quad_bytes, const int8_t* zero_points, \
                            uint32_t* pairs) {                              \
    read_taps(left, right, quad_bytes, zero_points, pairs, w);              \
  }
DEFINE_READ_TAPS(8)
DEFINE_READ_TAPS(4)
DEFINE_READ_TAPS(2)

/* Packs one byte per channel into codes of `bits`. */
TFMPQ_INLINE uint32_t pack_quad(uint32_t bytes, int bits) {
  if (bits == 8) return bytes;
  if (bits == 4) {
    const uint32_t two = (bytes | bytes >> 4) & 0x00ff00ff;
    return (two | two >> 8) & 0xffff;
  }
  /* Byte i times 2^(24 - 6 i): bits 24 + 2 i. */
  return bytes * 0x01041040u >> 24;
}

TFMPQ_INLINE void write_row(const uint32_t* codes, uint32_t width,
                            uint8_t* output, uint32_t pixel_bytes,
                            uint32_t quad_bytes, int bits) {
  if (quad_bytes < (uint32_t)bits / 2) {
    for (uint32_t x = 0; x < width; ++x) {
      const uint32_t quad = pack_quad(codes[x], bits);
      for (uint32_t i = 0; i < quad_bytes; ++i) {
        output[i] = (uint8_t)(quad >> (8 * i));
      }
      output += pixel_bytes;
    }
    return;
  }
  const uint32_t* const end = codes + width;
  do {
    const uint32_t quad = pack_quad(*codes++, bits);
    if (bits == 8) tfmpq_store_word(output, quad);
    if (bits == 4) tfmpq_store_halfword(output, quad);
    if (bits == 2) *output = (uint8_t)quad;
    output += pixel_bytes;
  } while (codes != end);
}

#define DEFINE_WRITE_ROW(o)                                        \
  void tfmpq_write_row_o##o(const uint32_t* codes, uint32_t width, \
                            uint8_t* output, uint32_t pixel_bytes, \
                            uint32_t quad_bytes) {                 \
    write_row(codes, width, output, pixel_bytes, quad_bytes, o);   \
  }
DEFINE_WRITE_ROW(8)
DEFINE_WRITE_ROW(4)
DEFINE_WRITE_ROW(2)
