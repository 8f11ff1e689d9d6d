#include "tflm_ext/kernels/depthwise_rows_dsp.h"

#include <stddef.h>

#include "tflm_ext/kernels/quads_dsp.h"

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
  const uint32_t zero = tfmpq_equal_quad(shape->zero_point, bits);
  const uint32_t pair_stride = shape->pair_stride;
  const uint32_t channel_stride = shape->num_pairs * pair_stride;
  const uint32_t pixel_bytes = shape->pixel_bytes;
  const uint8_t* const end = codes + shape->width * pixel_bytes;
  uint32_t* pairs = slot + shape->pad_left / 2 * pair_stride;
  if (shape->pad_left % 2 != 0) {
    tfmpq_split_quads(zero, tfmpq_load_quad(codes, bits), bits, pairs,
                      channel_stride);
    pairs += pair_stride;
    codes += pixel_bytes;
  }
  while (codes + pixel_bytes < end) {
    const uint32_t left = tfmpq_load_quad(codes, bits);
    codes += pixel_bytes;
    const uint32_t right = tfmpq_load_quad(codes, bits);
    codes += pixel_bytes;
    tfmpq_split_quads(left, right, bits, pairs, channel_stride);
    pairs += pair_stride;
  }
  if (codes < end) {
    tfmpq_split_quads(tfmpq_load_quad(codes, bits), zero, bits, pairs,
                      channel_stride);
  }
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
  const uint32_t element = (uint16_t)shape->zero_point;
  const uint32_t pair = element | element << 16;
  const uint32_t pair_stride = shape->pair_stride;
  const uint32_t channel_stride = shape->num_pairs * pair_stride;
  const uint32_t* const end = slot + channel_stride;
  do {
    for (uint32_t c = 0; c < kTfmpqGroupChannels; ++c) {
      slot[c * channel_stride] = pair;
    }
    slot += pair_stride;
  } while (slot < end);
}

TFMPQ_INLINE uint32_t load_tap(const tfmpq_taps* taps, const uint8_t* codes,
                               int bits) {
  return taps->quad_bytes < (uint32_t)bits / 2
             ? tfmpq_load_part_of_quad(codes, taps->quad_bytes)
             : tfmpq_load_quad(codes, bits);
}

/* Sets pairs of zero points. */
TFMPQ_INLINE void pair_zero_points(const tfmpq_taps* taps, uint32_t* pairs) {
  for (int c = 0; c < kTfmpqGroupChannels; ++c) {
    const uint32_t zero_point = (uint16_t)taps->zero_points[c];
    pairs[c] = zero_point | zero_point << 16;
  }
}

/* Splits the quads of two taps into pairs, less the zero points. `present` has
 * ones where there is a tap. */
TFMPQ_INLINE void split_taps(uint32_t left, uint32_t right,
                             const uint32_t* zero_points, uint32_t present,
                             uint32_t* pairs, int bits) {
  tfmpq_split_quads(left, right, bits, pairs, 1);
  if (bits == 8) return;
  for (int c = 0; c < kTfmpqGroupChannels; ++c) {
    pairs[c] = tfmpq_subtract_halfwords(pairs[c], zero_points[c] & present);
  }
}

/* Shifts both halfwords of the pairs of a group. */
TFMPQ_INLINE void shift_pairs(uint32_t* pairs, uint32_t shift) {
  const uint32_t mask = ~(((1u << shift) - 1) << 16);
  for (int c = 0; c < kTfmpqGroupChannels; ++c) {
    pairs[c] = (pairs[c] << shift) & mask;
  }
}

TFMPQ_INLINE void read_taps_3x3(const tfmpq_taps* taps, uint32_t* to,
                                int bits) {
  const uint8_t* codes = taps->codes;
  uint32_t zero_points[kTfmpqGroupChannels];
  pair_zero_points(taps, zero_points);
#pragma GCC unroll 1
  for (int row = 0; row < 3; ++row) {
    uint32_t quads[3];
    for (int i = 0; i < 3; ++i) {
      quads[i] = load_tap(taps, codes, bits);
      codes += taps->tap_bytes;
    }
    uint32_t first[kTfmpqGroupChannels];
    uint32_t second[kTfmpqGroupChannels];
    split_taps(quads[0], quads[1], zero_points, ~0u, first, bits);
    split_taps(quads[1], quads[2], zero_points, ~0u, second, bits);
    if (taps->shift != 0) {
      shift_pairs(first, taps->shift);
      shift_pairs(second, taps->shift);
    }
    for (int c = 0; c < kTfmpqGroupChannels; ++c) {
      uint32_t* pairs = to + c * kTfmpqTapWords3x3;
      pairs[0] = first[c];
      pairs[1] = second[c];
      if (row == 2) continue; /* The others come again behind the last row. */
      pairs[6] = first[c];
      pairs[7] = second[c];
    }
    to += 2;
  }
}

TFMPQ_INLINE void read_tap_row(const tfmpq_taps* taps, const uint8_t* codes,
                               uint32_t* to, int bits) {
  const uint32_t num_pairs = taps->width / 2 + 1;
  const uint32_t set_stride = num_pairs * taps->num_rows;
  uint32_t zero_points[kTfmpqGroupChannels];
  pair_zero_points(taps, zero_points);
  for (uint32_t i = 0; i < 2 * num_pairs; ++i) {
    /* Taps i - 1 and i: sets 1 and 0 in turn. */
    uint32_t quads[2] = {0, 0};
    uint32_t present = 0;
    for (uint32_t side = 0; side < 2; ++side) {
      const uint32_t tap = i - 1 + side; /* Wraps before the first one. */
      if (tap >= taps->width) continue;
      quads[side] = load_tap(taps, codes + tap * taps->tap_bytes, bits);
      present |= 0xffffu << (16 * side);
    }
    uint32_t pairs[kTfmpqGroupChannels];
    split_taps(quads[0], quads[1], zero_points, present, pairs, bits);
    uint32_t* pair = to + (i % 2 == 0 ? set_stride : 0);
    for (int c = 0; c < kTfmpqGroupChannels; ++c) {
      pair[(uint32_t)c * 2 * set_stride] = pairs[c];
    }
    if (i % 2 != 0) to += taps->num_rows;
  }
}

TFMPQ_INLINE void read_taps(const tfmpq_taps* taps, uint32_t* to, int bits) {
  const uint32_t row_bytes = taps->width * taps->tap_bytes;
  for (uint32_t row = 0; row < taps->num_rows; ++row) {
    const uint32_t kernel_row = row < taps->height ? row : row - taps->height;
    read_tap_row(taps, taps->codes + kernel_row * row_bytes, to + row, bits);
  }
}

#define DEFINE_READ_TAPS(w)                                             \
  void tfmpq_read_taps_3x3_w##w(const tfmpq_taps* taps, uint32_t* to) { \
    read_taps_3x3(taps, to, w);                                         \
  }                                                                     \
  void tfmpq_read_taps_w##w(const tfmpq_taps* taps, uint32_t* to) {     \
    read_taps(taps, to, w);                                             \
  }
DEFINE_READ_TAPS(8)
DEFINE_READ_TAPS(4)
DEFINE_READ_TAPS(2)

TFMPQ_INLINE void write_row(const uint32_t* codes, uint32_t width,
                            uint8_t* output, uint32_t pixel_bytes,
                            uint32_t quad_bytes, int bits) {
  if (quad_bytes < (uint32_t)bits / 2) {
    for (uint32_t x = 0; x < width; ++x) {
      const uint32_t quad = tfmpq_pack_quad(codes[x], bits);
      for (uint32_t i = 0; i < quad_bytes; ++i) {
        output[i] = (uint8_t)(quad >> (8 * i));
      }
      output += pixel_bytes;
    }
    return;
  }
  const uint32_t* const end = codes + width;
  if (width % 2 != 0) {
    tfmpq_store_quad(output, tfmpq_pack_quad(*codes++, bits), bits);
    output += pixel_bytes;
  }
  while (codes != end) {
    const uint32_t first = tfmpq_pack_quad(codes[0], bits);
    const uint32_t second = tfmpq_pack_quad(codes[1], bits);
    codes += 2;
    tfmpq_store_quad(output, first, bits);
    tfmpq_store_quad(output + pixel_bytes, second, bits);
    output += 2 * pixel_bytes;
  }
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
