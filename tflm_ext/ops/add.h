// The op TfmpqAdd.
#ifndef TFLM_EXT_OPS_ADD_H_
#define TFLM_EXT_OPS_ADD_H_

#include "tflm_ext/ops/op_data.h"
#include "tflm_ext/ops/target_kernels.h"

namespace tfmpq {

// A kernel that a firmware links.
struct AddKernel {
  AddFunction function;
  uint8_t a_bits;
  uint8_t b_bits;
  uint8_t o_bits;
};

// Rows of the table of kernels.
#define TFMPQ_ROW(a, b, o)                                        \
  constexpr AddKernel AddRow(Kernel<a, b, o>) {                   \
    return {TFMPQ_TARGET(tfmpq_add_a##a##_a##b##_o##o), a, b, o}; \
  }                                                               \
  constexpr AddKernel AddRow(PortableKernel<a, b, o>) {           \
    return {tfmpq_add_a##a##_a##b##_o##o, a, b, o};               \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_ROW)
#undef TFMPQ_ROW

TfLiteStatus PrepareAdd(TfLiteContext* context, TfLiteNode* node,
                        const AddKernel* kernels, int num_kernels);
TfLiteStatus EvalAdd(TfLiteContext* context, TfLiteNode* node);

// The op with some kernels: Kernel<a, b, o> and PortableKernel<a, b, o>.
template <typename... Kernels>
class Add {
 public:
  static void* Init(TfLiteContext* context, const char* buffer, size_t length) {
    return InitOp(context, Op::kAdd, buffer, length);
  }

  static TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
    return PrepareAdd(context, node, kKernels, sizeof...(Kernels));
  }

  static constexpr AddKernel kKernels[] = {AddRow(Kernels())...};
  static constexpr TFLMRegistration kRegistration = {
      Init, nullptr, Prepare, EvalAdd, nullptr, 0, nullptr};
};

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_ADD_H_
