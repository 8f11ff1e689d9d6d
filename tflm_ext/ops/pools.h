// The ops TfmpqAveragePool2D and TfmpqMaxPool2D.
#ifndef TFLM_EXT_OPS_POOLS_H_
#define TFLM_EXT_OPS_POOLS_H_

#include "tflm_ext/ops/op_data.h"
#include "tflm_ext/ops/target_kernels.h"

namespace tfmpq {

// Kernels that a firmware links.
struct AveragePoolKernel {
  AveragePoolFunction function;
  uint8_t a_bits;
  uint8_t o_bits;
};
struct MaxPoolKernel {
  MaxPoolFunction function;
  uint8_t a_bits;
};

// Rows of the tables of kernels.
#define TFMPQ_ROW(a, o)                                              \
  constexpr AveragePoolKernel AveragePoolRow(Kernel<a, o>) {         \
    return {TFMPQ_TARGET(tfmpq_average_pool_a##a##_o##o), a, o};     \
  }                                                                  \
  constexpr AveragePoolKernel AveragePoolRow(PortableKernel<a, o>) { \
    return {tfmpq_average_pool_a##a##_o##o, a, o};                   \
  }
TFMPQ_FOR_EACH_PAIR(TFMPQ_ROW)
#undef TFMPQ_ROW
#define TFMPQ_ROW(a)                                      \
  constexpr MaxPoolKernel MaxPoolRow(Kernel<a>) {         \
    return {TFMPQ_TARGET(tfmpq_max_pool_a##a), a};        \
  }                                                       \
  constexpr MaxPoolKernel MaxPoolRow(PortableKernel<a>) { \
    return {tfmpq_max_pool_a##a, a};                      \
  }
TFMPQ_FOR_EACH_WIDTH(TFMPQ_ROW)
#undef TFMPQ_ROW

TfLiteStatus PrepareAveragePool2D(TfLiteContext* context, TfLiteNode* node,
                                  const AveragePoolKernel* kernels,
                                  int num_kernels);
TfLiteStatus EvalAveragePool2D(TfLiteContext* context, TfLiteNode* node);
TfLiteStatus PrepareMaxPool2D(TfLiteContext* context, TfLiteNode* node,
                              const MaxPoolKernel* kernels, int num_kernels);
TfLiteStatus EvalMaxPool2D(TfLiteContext* context, TfLiteNode* node);

// The op with some kernels: Kernel<a, o> and PortableKernel<a, o>.
template <typename... Kernels>
class AveragePool2D {
 public:
  static void* Init(TfLiteContext* context, const char* buffer, size_t length) {
    return InitOp(context, Op::kAveragePool2D, buffer, length);
  }

  static TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
    return PrepareAveragePool2D(context, node, kKernels, sizeof...(Kernels));
  }

  static constexpr AveragePoolKernel kKernels[] = {
      AveragePoolRow(Kernels())...};
  static constexpr TFLMRegistration kRegistration = {
      Init, nullptr, Prepare, EvalAveragePool2D, nullptr, 0, nullptr};
};

// The op with some kernels: Kernel<a> and PortableKernel<a>.
template <typename... Kernels>
class MaxPool2D {
 public:
  static void* Init(TfLiteContext* context, const char* buffer, size_t length) {
    return InitOp(context, Op::kMaxPool2D, buffer, length);
  }

  static TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
    return PrepareMaxPool2D(context, node, kKernels, sizeof...(Kernels));
  }

  static constexpr MaxPoolKernel kKernels[] = {MaxPoolRow(Kernels())...};
  static constexpr TFLMRegistration kRegistration = {
      Init, nullptr, Prepare, EvalMaxPool2D, nullptr, 0, nullptr};
};

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_POOLS_H_
