// The tensors of an operator: access, and the checks of Prepare.
#ifndef TFLM_EXT_OPS_TENSORS_H_
#define TFLM_EXT_OPS_TENSORS_H_

#include <cstddef>
#include <cstdint>

#include "tflm_ext/ops/tflm.h"

namespace tfmpq {

// No tensor is larger: TFLM counts bytes in an int.
constexpr int64_t kMaxTensorBytes = INT32_MAX;

// Returns the tensor that a list of inputs or outputs names at `index`.
inline TfLiteEvalTensor* GetTensor(TfLiteContext* context,
                                   const TfLiteIntArray* list, int index) {
  return context->GetEvalTensor(context, list->data[index]);
}

template <typename T>
const T* InputData(TfLiteContext* context, const TfLiteNode* node, int index) {
  return static_cast<const T*>(
      GetTensor(context, node->inputs, index)->data.data);
}

inline void* OutputData(TfLiteContext* context, const TfLiteNode* node) {
  return GetTensor(context, node->outputs, 0)->data.data;
}

// Checks the number of inputs, and that there is one output; all must exist.
bool CheckCounts(const char* op, const TfLiteNode* node, int num_inputs);

// Pixels of an activation.
struct ImageSize {
  uint16_t height;
  uint16_t width;
};

// Checks that a tensor is an activation: int8 [1, height, width, bytes of
// `channels` codes], in the arena. Sets `size`. `what` names the tensor.
bool CheckActivation(const char* op, const char* what,
                     const TfLiteEvalTensor* tensor, int bits, int channels,
                     ImageSize* size);

// Checks the height and the width of an activation.
bool CheckSize(const char* op, const char* what, ImageSize expected,
               ImageSize received);

// Checks that a tensor is a constant int8 [rows, bytes] at a multiple of
// `alignment`.
bool CheckWeight(const char* op, const TfLiteEvalTensor* tensor, int64_t rows,
                 int64_t bytes, uintptr_t alignment);

// Checks that a tensor is a constant int32 [size], 4-byte aligned.
bool CheckParameters(const char* op, const TfLiteEvalTensor* tensor,
                     int64_t size);

// Returns the bytes of `count` codes in one run.
constexpr int64_t RunBytes(int64_t count, int bits) {
  return (count * bits + 7) / 8;
}

// Checks that a zero point is a code of that many bits.
bool CheckZeroPoint(const char* op, const char* what, int bits, int zero_point);

// Checks what keeps a rescaling inside int32: `bound`, the largest magnitude of
// an accumulator, and the zero point after their shifts. See
// tfmpq/quantization.py, check_rescale.
bool CheckRescale(const char* op, int64_t bound, int output_zero_point,
                  int shift, int pre_shift);

// How an output and an input may share memory.
enum class Sharing {
  kNever,
  kSameAddress,  // In place.
};

// Returns whether the output and input `index` of an operator lie where the
// kernel allows; prints a line if not. Only known once the arena is planned, so
// Eval asks.
bool CheckMemory(TfLiteContext* context, const TfLiteNode* node, int index,
                 Sharing sharing, const char* op);

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_TENSORS_H_
