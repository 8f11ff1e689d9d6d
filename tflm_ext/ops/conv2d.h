// The op TfmpqConv2D.
#ifndef TFLM_EXT_OPS_CONV2D_H_
#define TFLM_EXT_OPS_CONV2D_H_

#include "tflm_ext/ops/weighted.h"

namespace tfmpq {

// Rows of the table of kernels.
#define TFMPQ_ROW(a, w, o)                                          \
  constexpr WeightedKernel Conv2DRow(Kernel<a, w, o>) {             \
    return {TFMPQ_TARGET(tfmpq_conv2d_a##a##_w##w##_o##o), a, w, o, \
            kTargetIsPortable};                                     \
  }                                                                 \
  constexpr WeightedKernel Conv2DRow(PortableKernel<a, w, o>) {     \
    return {tfmpq_conv2d_a##a##_w##w##_o##o, a, w, o, true};        \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_ROW)
#undef TFMPQ_ROW

// The op with some kernels: Kernel<a, w, o> and PortableKernel<a, w, o>.
template <typename... Kernels>
class Conv2D {
 public:
  static void* Init(TfLiteContext* context, const char* buffer, size_t length) {
    return InitOp(context, Op::kConv2D, buffer, length);
  }

  static TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
    return PrepareWeighted(context, node,
                           {Op::kConv2D, kTargetConv2D, kPortableConv2D,
                            kKernels, sizeof...(Kernels)});
  }

  static constexpr WeightedKernel kKernels[] = {Conv2DRow(Kernels())...};
  static constexpr TFLMRegistration kRegistration = {
      Init, nullptr, Prepare, EvalConv2D, nullptr, 0, nullptr};
};

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_CONV2D_H_
