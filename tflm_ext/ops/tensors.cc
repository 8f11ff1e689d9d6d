#include "tflm_ext/ops/tensors.h"

#include "tflm_ext/ops/report.h"

namespace tfmpq {
namespace {

// Checks type, number of dimensions, and whether the model holds the content.
bool CheckKind(const char* op, const char* what, const TfLiteEvalTensor* tensor,
               TfLiteType type, int rank, bool is_constant) {
  using namespace tflm;  // NOLINT(build/namespaces): MicroPrintf
  if (tensor == nullptr || tensor->dims == nullptr) {
    MicroPrintf("%s: %s: the tensor does not exist", op, what);
    return false;
  }
  if ((tensor->data.data != nullptr) != is_constant) {
    MicroPrintf("%s: %s: expected %s, received %s", op, what,
                is_constant ? "a constant" : "an activation",
                is_constant ? "an activation" : "a constant");
    return false;
  }
  if (tensor->type != type) {
    MicroPrintf("%s: %s: expected type %s, received %s", op, what,
                TfLiteTypeGetName(type), TfLiteTypeGetName(tensor->type));
    return false;
  }
  if (tensor->dims->size != rank) {
    MicroPrintf("%s: %s: expected %d dimensions, received %d", op, what, rank,
                tensor->dims->size);
    return false;
  }
  return true;
}

bool CheckDimension(const char* op, const char* what,
                    const TfLiteEvalTensor* tensor, int index,
                    int64_t expected) {
  using namespace tflm;  // NOLINT(build/namespaces): MicroPrintf
  if (Expect(op, what, expected, tensor->dims->data[index])) return true;
  MicroPrintf("%s: this is dimension %d of the tensor", op, index);
  return false;
}

bool CheckAlignment(const char* op, const char* what,
                    const TfLiteEvalTensor* tensor, uintptr_t alignment) {
  using namespace tflm;  // NOLINT(build/namespaces): MicroPrintf
  const uintptr_t address = reinterpret_cast<uintptr_t>(tensor->data.data);
  if (address % alignment == 0) return true;
  MicroPrintf(
      "%s: %s: expected an address that is a multiple of %d, received %p; "
      "align the model to 16 bytes",
      op, what, static_cast<int>(alignment), tensor->data.data);
  return false;
}

uintptr_t NumBytes(const TfLiteEvalTensor* tensor) {
  uintptr_t bytes = 1;
  for (int i = 0; i < tensor->dims->size; ++i) {
    bytes *= static_cast<uintptr_t>(tensor->dims->data[i]);
  }
  return bytes;
}

}  // namespace

bool CheckCounts(const char* op, const TfLiteNode* node, int num_inputs) {
  return Expect(op, "number of inputs", num_inputs, node->inputs->size) &&
         Expect(op, "number of outputs", 1, node->outputs->size);
}

bool CheckActivation(const char* op, const char* what,
                     const TfLiteEvalTensor* tensor, int bits, int channels,
                     ImageSize* size) {
  if (!CheckKind(op, what, tensor, kTfLiteInt8, 4, false)) return false;
  const int* dims = tensor->dims->data;
  const int64_t pixel_bytes = RunBytes(channels, bits);
  if (!CheckDimension(op, what, tensor, 0, 1) ||
      !ExpectRange(op, what, 1, 65535, dims[1]) ||
      !ExpectRange(op, what, 1, 65535, dims[2]) ||
      !CheckDimension(op, what, tensor, 3, pixel_bytes)) {
    return false;
  }
  size->height = static_cast<uint16_t>(dims[1]);
  size->width = static_cast<uint16_t>(dims[2]);
  return ExpectRange(op, what, 1, kMaxTensorBytes,
                     pixel_bytes * dims[1] * dims[2]);
}

bool CheckSize(const char* op, const char* what, ImageSize expected,
               ImageSize received) {
  return Expect(op, what, expected.height, received.height) &&
         Expect(op, what, expected.width, received.width);
}

bool CheckWeight(const char* op, const TfLiteEvalTensor* tensor, int64_t rows,
                 int64_t bytes, uintptr_t alignment) {
  return CheckKind(op, "weight", tensor, kTfLiteInt8, 2, true) &&
         CheckDimension(op, "weight", tensor, 0, rows) &&
         CheckDimension(op, "weight", tensor, 1, bytes) &&
         ExpectRange(op, "weight", 1, kMaxTensorBytes, rows * bytes) &&
         CheckAlignment(op, "weight", tensor, alignment);
}

bool CheckParameters(const char* op, const TfLiteEvalTensor* tensor,
                     int64_t size) {
  return CheckKind(op, "parameters", tensor, kTfLiteInt32, 1, true) &&
         CheckDimension(op, "parameters", tensor, 0, size) &&
         CheckAlignment(op, "parameters", tensor, alignof(int32_t));
}

bool CheckZeroPoint(const char* op, const char* what, int bits,
                    int zero_point) {
  if (bits == 8) return ExpectRange(op, what, -128, 127, zero_point);
  return ExpectRange(op, what, 0, (1 << bits) - 1, zero_point);
}

bool CheckRescale(const char* op, int64_t bound, int output_zero_point,
                  int shift, int pre_shift) {
  constexpr int64_t kMaxOffset = int64_t{1} << 30;
  const int64_t scale = int64_t{1} << shift;
  return ExpectRange(op, "largest accumulator, shifted by pre_shift", 0,
                     INT32_MAX, bound << pre_shift) &&
         ExpectRange(op, "zero point and rounding constant, shifted",
                     -kMaxOffset, kMaxOffset,
                     output_zero_point * scale + scale / 2);
}

bool CheckMemory(TfLiteContext* context, const TfLiteNode* node, int index,
                 Sharing sharing, const char* op) {
  const TfLiteEvalTensor* input = GetTensor(context, node->inputs, index);
  const TfLiteEvalTensor* output = GetTensor(context, node->outputs, 0);
  const uintptr_t read = reinterpret_cast<uintptr_t>(input->data.data);
  const uintptr_t written = reinterpret_cast<uintptr_t>(output->data.data);
  if (read == written && sharing == Sharing::kSameAddress) return true;
  if (read + NumBytes(input) <= written || written + NumBytes(output) <= read) {
    return true;
  }
  return Refuse(op,
                "the memory plan lets the output overlap an input, which the "
                "kernel does not allow: export the model for this core");
}

}  // namespace tfmpq
