#include "tflm_ext/kernels/widths.h"
#include "tflm_ext/ops/register_ops.h"

namespace tfmpq {
namespace {

// The lists of widths.h begin with a comma here: the first argument is for it.
template <template <typename...> class Op, typename, typename... Kernels>
using OpWith = Op<Kernels...>;

#define TFMPQ_TRIPLE(a, w, o) , Kernel<a, w, o>, PortableKernel<a, w, o>
#define TFMPQ_PAIR(a, o) , Kernel<a, o>, PortableKernel<a, o>
#define TFMPQ_WIDTH(a) , Kernel<a>, PortableKernel<a>

}  // namespace

const TFLMRegistration& FullConv2D() {
  return OpWith<Conv2D,
                void TFMPQ_FOR_EACH_TRIPLE(TFMPQ_TRIPLE)>::kRegistration;
}

const TFLMRegistration& FullDepthwiseConv2D() {
  return OpWith<DepthwiseConv2D,
                void TFMPQ_FOR_EACH_TRIPLE(TFMPQ_TRIPLE)>::kRegistration;
}

const TFLMRegistration& FullFullyConnected() {
  return OpWith<FullyConnected,
                void TFMPQ_FOR_EACH_TRIPLE(TFMPQ_TRIPLE)>::kRegistration;
}

const TFLMRegistration& FullAdd() {
  return OpWith<Add, void TFMPQ_FOR_EACH_TRIPLE(TFMPQ_TRIPLE)>::kRegistration;
}

const TFLMRegistration& FullAveragePool2D() {
  return OpWith<AveragePool2D,
                void TFMPQ_FOR_EACH_PAIR(TFMPQ_PAIR)>::kRegistration;
}

const TFLMRegistration& FullMaxPool2D() {
  return OpWith<MaxPool2D,
                void TFMPQ_FOR_EACH_WIDTH(TFMPQ_WIDTH)>::kRegistration;
}

}  // namespace tfmpq
