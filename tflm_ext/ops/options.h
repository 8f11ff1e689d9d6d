// Options of the custom ops: the FlexBuffer map of tflm_ext/README.md.
#ifndef TFLM_EXT_OPS_OPTIONS_H_
#define TFLM_EXT_OPS_OPTIONS_H_

#include <cstddef>
#include <cstdint>

namespace tfmpq {

enum class Op {
  kConv2D,
  kDepthwiseConv2D,
  kFullyConnected,
  kAdd,
  kAveragePool2D,
  kMaxPool2D,
};
constexpr int kNumOps = 6;

// The custom code of an op, as it stands in a .tflite.
const char* OpName(Op op);

// The values of one operator; those that its op has not are 0. The names are
// those of the keys.
struct Options {
  uint16_t c_in;
  uint16_t c_out;  // Of every op: c_in where the op has no such key.
  uint8_t a_bits;
  uint8_t b_bits;
  uint8_t w_bits;
  uint8_t o_bits;
  uint8_t k_h;
  uint8_t k_w;
  uint8_t s_h;
  uint8_t s_w;
  uint8_t p_t;
  uint8_t p_l;
  uint8_t p_b;
  uint8_t p_r;
  int8_t z_in;
  int8_t z_b;
  int8_t z_out;
  int8_t z_w;
  uint8_t shift;
  uint8_t pre_shift;
  uint8_t layout;
  bool has_z_w;
};

// Reads options, of which nothing is trusted. Returns false, having said why,
// if they are no map of integers, if a key is missing, unknown or there twice,
// or if a value is outside of what the contract allows for its key.
bool ParseOptions(Op op, const uint8_t* bytes, size_t num_bytes,
                  Options* options);

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_OPTIONS_H_
