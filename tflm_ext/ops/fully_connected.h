// The op TfmpqFullyConnected.
#ifndef TFLM_EXT_OPS_FULLY_CONNECTED_H_
#define TFLM_EXT_OPS_FULLY_CONNECTED_H_

#include "tflm_ext/ops/weighted.h"

namespace tfmpq {

// Rows of the table of kernels.
#define TFMPQ_ROW(a, w, o)                                                   \
  constexpr WeightedKernel FullyConnectedRow(Kernel<a, w, o>) {              \
    return {TFMPQ_TARGET(tfmpq_fully_connected_a##a##_w##w##_o##o), a, w, o, \
            kTargetIsPortable};                                              \
  }                                                                          \
  constexpr WeightedKernel FullyConnectedRow(PortableKernel<a, w, o>) {      \
    return {tfmpq_fully_connected_a##a##_w##w##_o##o, a, w, o, true};        \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_ROW)
#undef TFMPQ_ROW

// The op with some kernels: Kernel<a, w, o> and PortableKernel<a, w, o>.
template <typename... Kernels>
class FullyConnected {
 public:
  static void* Init(TfLiteContext* context, const char* buffer, size_t length) {
    return InitOp(context, Op::kFullyConnected, buffer, length);
  }

  static TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
    return PrepareWeighted(
        context, node,
        {Op::kFullyConnected, kTargetFullyConnected, kPortableFullyConnected,
         kKernels, sizeof...(Kernels)});
  }

  static constexpr WeightedKernel kKernels[] = {
      FullyConnectedRow(Kernels())...};
  static constexpr TFLMRegistration kRegistration = {
      Init, nullptr, Prepare, EvalFullyConnected, nullptr, 0, nullptr};
};

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_FULLY_CONNECTED_H_
