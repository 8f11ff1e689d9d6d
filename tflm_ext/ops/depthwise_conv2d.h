// The op TfmpqDepthwiseConv2D.
#ifndef TFLM_EXT_OPS_DEPTHWISE_CONV2D_H_
#define TFLM_EXT_OPS_DEPTHWISE_CONV2D_H_

#include "tflm_ext/ops/weighted.h"

namespace tfmpq {

// Rows of the table of kernels.
#define TFMPQ_ROW(a, w, o)                                                    \
  constexpr WeightedKernel DepthwiseConv2DRow(Kernel<a, w, o>) {              \
    return {TFMPQ_TARGET(tfmpq_depthwise_conv2d_a##a##_w##w##_o##o), a, w, o, \
            kTargetIsPortable};                                               \
  }                                                                           \
  constexpr WeightedKernel DepthwiseConv2DRow(PortableKernel<a, w, o>) {      \
    return {tfmpq_depthwise_conv2d_a##a##_w##w##_o##o, a, w, o, true};        \
  }
TFMPQ_FOR_EACH_TRIPLE(TFMPQ_ROW)
#undef TFMPQ_ROW

// The op with some kernels: Kernel<a, w, o> and PortableKernel<a, w, o>.
template <typename... Kernels>
class DepthwiseConv2D {
 public:
  static void* Init(TfLiteContext* context, const char* buffer, size_t length) {
    return InitOp(context, Op::kDepthwiseConv2D, buffer, length);
  }

  static TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
    return PrepareWeighted(
        context, node,
        {Op::kDepthwiseConv2D, kTargetDepthwiseConv2D, kPortableDepthwiseConv2D,
         kKernels, sizeof...(Kernels)});
  }

  static constexpr WeightedKernel kKernels[] = {
      DepthwiseConv2DRow(Kernels())...};
  static constexpr TFLMRegistration kRegistration = {
      Init, nullptr, Prepare, EvalDepthwiseConv2D, nullptr, 0, nullptr};
};

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_DEPTHWISE_CONV2D_H_
