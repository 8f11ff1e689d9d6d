// What conv2d, depthwise_conv2d and fully_connected have in common, which is
// all but names.
#ifndef TFLM_EXT_OPS_WEIGHTED_H_
#define TFLM_EXT_OPS_WEIGHTED_H_

#include "tflm_ext/ops/op_data.h"
#include "tflm_ext/ops/target_kernels.h"

namespace tfmpq {

// A kernel that a firmware links.
struct WeightedKernel {
  WeightedFunction function;
  uint8_t a_bits;
  uint8_t w_bits;
  uint8_t o_bits;
  bool is_portable;
};

// Which op it is, and the kernels to choose from: earlier ones are preferred.
struct WeightedOp {
  Op op;
  KernelNeeds target;
  KernelNeeds portable;
  const WeightedKernel* kernels;
  int num_kernels;
};

TfLiteStatus PrepareWeighted(TfLiteContext* context, TfLiteNode* node,
                             const WeightedOp& weighted_op);
// One per op, so that a message can name it.
TfLiteStatus EvalConv2D(TfLiteContext* context, TfLiteNode* node);
TfLiteStatus EvalDepthwiseConv2D(TfLiteContext* context, TfLiteNode* node);
TfLiteStatus EvalFullyConnected(TfLiteContext* context, TfLiteNode* node);

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_WEIGHTED_H_
