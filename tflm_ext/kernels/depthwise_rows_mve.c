#include "tflm_ext/kernels/depthwise_rows_mve.h"

TFMPQ_INLINE void expand_lanes(const uint8_t* run, uint32_t stride_bytes,
                               uint32_t count, uint32_t num_channels,
                               int8_t* lanes, int bits) {
  if (num_channels == kTfmpqLanes) {
    for (; count > 0; --count) {
      vstrbq_s8(lanes, tfmpq_load_codes(run, bits));
      run += stride_bytes;
      lanes += kTfmpqLanes;
    }
  } else {
    for (; count > 0; --count) {
      vstrbq_s8(lanes, tfmpq_load_some_codes(run, num_channels, bits));
      run += stride_bytes;
      lanes += kTfmpqLanes;
    }
  }
}

TFMPQ_INLINE void pack_lanes(const int8_t* lanes, uint32_t stride_bytes,
                             uint32_t count, uint32_t num_channels,
                             uint8_t* run, int bits) {
  if (num_channels == kTfmpqLanes) {
    for (; count > 0; --count) {
      tfmpq_store_codes(run, tfmpq_from_zero(vldrbq_s8(lanes), bits), bits);
      run += stride_bytes;
      lanes += kTfmpqLanes;
    }
  } else {
    for (; count > 0; --count) {
      tfmpq_store_some_codes(run, tfmpq_from_zero(vldrbq_s8(lanes), bits),
                             num_channels, bits);
      run += stride_bytes;
      lanes += kTfmpqLanes;
    }
  }
}

#define DEFINE(bits)                                                         \
  void tfmpq_expand_lanes_##bits##__mve(                                     \
      const uint8_t* run, uint32_t stride_bytes, uint32_t count,             \
      uint32_t num_channels, int8_t* lanes) {                                \
    expand_lanes(run, stride_bytes, count, num_channels, lanes, bits);       \
  }                                                                          \
  void tfmpq_pack_lanes_##bits##__mve(const int8_t* lanes,                   \
                                      uint32_t stride_bytes, uint32_t count, \
                                      uint32_t num_channels, uint8_t* run) { \
    pack_lanes(lanes, stride_bytes, count, num_channels, run, bits);         \
  }
DEFINE(8)
DEFINE(4)
DEFINE(2)

void tfmpq_make_quads__mve(const int8_t* const rows[kTfmpqQuadRows],
                           uint32_t count, int8_t* quads) {
  const int8_t* row_0 = rows[0];
  const int8_t* row_1 = rows[1];
  const int8_t* row_2 = rows[2];
  const int8_t* row_3 = rows[3];
  for (; count > 0; --count) {
    const int8x16x4_t columns = {{vldrbq_s8(row_0), vldrbq_s8(row_1),
                                  vldrbq_s8(row_2), vldrbq_s8(row_3)}};
    vst4q_s8(quads, columns);
    row_0 += kTfmpqLanes;
    row_1 += kTfmpqLanes;
    row_2 += kTfmpqLanes;
    row_3 += kTfmpqLanes;
    quads += kTfmpqQuadColumnBytes;
  }
}
