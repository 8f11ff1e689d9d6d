#include "tflm_ext/ops/register_ops.h"
#include "tflm_ext/runners/tflm_model.h"

#define TFMPQ_RETURN_IF_ERROR(status)       \
  do {                                      \
    const TfLiteStatus result = (status);   \
    if (result != kTfLiteOk) return result; \
  } while (0)

namespace tfmpq {

/* The builtin ops that tfmpq exports, and what else stock classifiers use. */
static TfLiteStatus RegisterBuiltinOps(OpResolver& resolver) {
  TFMPQ_RETURN_IF_ERROR(resolver.AddAdd());
  TFMPQ_RETURN_IF_ERROR(resolver.AddAveragePool2D());
  TFMPQ_RETURN_IF_ERROR(resolver.AddConv2D());
  TFMPQ_RETURN_IF_ERROR(resolver.AddDepthwiseConv2D());
  TFMPQ_RETURN_IF_ERROR(resolver.AddFullyConnected());
  TFMPQ_RETURN_IF_ERROR(resolver.AddMaxPool2D());
  TFMPQ_RETURN_IF_ERROR(resolver.AddMean());
  TFMPQ_RETURN_IF_ERROR(resolver.AddPad());
  TFMPQ_RETURN_IF_ERROR(resolver.AddReshape());
  return resolver.AddSoftmax();
}

TfLiteStatus RegisterModelOps(OpResolver& resolver) {
  TFMPQ_RETURN_IF_ERROR(RegisterBuiltinOps(resolver));
  return RegisterAllOps(resolver);
}

}  // namespace tfmpq
