// Registration of tfmpq's ops with a MicroMutableOpResolver.
//
// A firmware links what it registers. With all kernels of all ops:
//
//   tflite::MicroMutableOpResolver<tfmpq::kNumOps> resolver;
//   if (tfmpq::RegisterAllOps(resolver) != kTfLiteOk) ...
//
// with all kernels of one op, tfmpq::RegisterConv2D(resolver); with the kernels
// that a model uses (tfmpq's exporter writes these lines),
//
//   using tfmpq::Kernel;
//   tfmpq::RegisterConv2D<Kernel<8, 4, 4>, Kernel<4, 4, 4>>(resolver);
//   tfmpq::RegisterAveragePool2D<Kernel<4, 8>>(resolver);
//
// Kernel<a, w, o> has the widths of the kernel's name, in its order;
// PortableKernel<a, w, o> is the same in C99 on a core with kernels of its own.
// Each op may be added once.
#ifndef TFLM_EXT_OPS_REGISTER_OPS_H_
#define TFLM_EXT_OPS_REGISTER_OPS_H_

#include "tflm_ext/ops/add.h"
#include "tflm_ext/ops/conv2d.h"
#include "tflm_ext/ops/depthwise_conv2d.h"
#include "tflm_ext/ops/fully_connected.h"
#include "tflm_ext/ops/pools.h"
#include "tflm_ext/ops/tflm.h"

namespace tfmpq {

// The ops with all their kernels, portable ones included.
const TFLMRegistration& FullConv2D();
const TFLMRegistration& FullDepthwiseConv2D();
const TFLMRegistration& FullFullyConnected();
const TFLMRegistration& FullAdd();
const TFLMRegistration& FullAveragePool2D();
const TFLMRegistration& FullMaxPool2D();

// Register<Op>(resolver) and Register<Op><Kernels...>(resolver). Return what
// the resolver's AddCustom returns.
#define TFMPQ_DEFINE_REGISTER(op)                                           \
  template <typename Resolver>                                              \
  TfLiteStatus Register##op(Resolver& resolver) {                           \
    return resolver.AddCustom(OpName(Op::k##op), &Full##op());              \
  }                                                                         \
  template <typename FirstKernel, typename... Kernels, typename Resolver>   \
  TfLiteStatus Register##op(Resolver& resolver) {                           \
    return resolver.AddCustom(OpName(Op::k##op),                            \
                              &op<FirstKernel, Kernels...>::kRegistration); \
  }
TFMPQ_DEFINE_REGISTER(Conv2D)
TFMPQ_DEFINE_REGISTER(DepthwiseConv2D)
TFMPQ_DEFINE_REGISTER(FullyConnected)
TFMPQ_DEFINE_REGISTER(Add)
TFMPQ_DEFINE_REGISTER(AveragePool2D)
TFMPQ_DEFINE_REGISTER(MaxPool2D)
#undef TFMPQ_DEFINE_REGISTER

// Registers all ops; the resolver needs room for kNumOps.
template <typename Resolver>
TfLiteStatus RegisterAllOps(Resolver& resolver) {
  const TfLiteStatus statuses[] = {
      RegisterConv2D(resolver),         RegisterDepthwiseConv2D(resolver),
      RegisterFullyConnected(resolver), RegisterAdd(resolver),
      RegisterAveragePool2D(resolver),  RegisterMaxPool2D(resolver)};
  for (const TfLiteStatus status : statuses) {
    if (status != kTfLiteOk) return status;
  }
  return kTfLiteOk;
}

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_REGISTER_OPS_H_
