// Sums and windows.
#ifndef TFLM_EXT_OPS_GEOMETRY_H_
#define TFLM_EXT_OPS_GEOMETRY_H_

#include <cstdint>

#include "tflm_ext/ops/options.h"
#include "tflm_ext/ops/report.h"
#include "tflm_ext/ops/tensors.h"

namespace tfmpq {

constexpr int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

constexpr int64_t Magnitude(int64_t value) {
  return value < 0 ? -value : value;
}

// Returns the largest magnitude of a code.
constexpr int64_t LargestCode(int bits) {
  return bits == 8 ? 128 : (1 << bits) - 1;
}

// Checks one axis: that the padding is smaller than the kernel (so that every
// window has a tap inside the image), and the size of the output.
inline bool CheckAxis(const char* op, const char* padding, const char* output,
                      int input_size, int kernel, int stride, int before,
                      int after, int output_size) {
  if (!ExpectRange(op, padding, 0, kernel - 1, before) ||
      !ExpectRange(op, padding, 0, kernel - 1, after)) {
    return false;
  }
  const int room = input_size + before + after - kernel;
  return ExpectRange(op, "input with padding, less the kernel", 0, INT32_MAX,
                     room) &&
         Expect(op, output, room / stride + 1, output_size);
}

// Checks the windows of an op against the sizes of input and output.
inline bool CheckWindow(const char* op, const Options& options, ImageSize input,
                        ImageSize output) {
  return CheckAxis(op, "vertical padding", "output height", input.height,
                   options.k_h, options.s_h, options.p_t, options.p_b,
                   output.height) &&
         CheckAxis(op, "horizontal padding", "output width", input.width,
                   options.k_w, options.s_w, options.p_l, options.p_r,
                   output.width);
}

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_GEOMETRY_H_
