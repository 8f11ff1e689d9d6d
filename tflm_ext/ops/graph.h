// The graph of a model whose flatbuffer has been verified, for verify_model.cc.
#ifndef TFLM_EXT_OPS_GRAPH_H_
#define TFLM_EXT_OPS_GRAPH_H_

#include <cstdint>

#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_ext/ops/options.h"
#include "tflm_ext/ops/tflm.h"

namespace tfmpq {

// What its writer says of an activation.
struct Activation {
  int bits;
  int channels;
  int zero_point;
};

// Answers are found by search, so that no memory is needed. Tensor indices must
// be valid.
struct Graph {
  using Indices = flatbuffers::Vector<int32_t>;

  // Writers that are no operators.
  static constexpr int kNetworkInput = -1;
  static constexpr int kNone = -2;

  int NumTensors() const {
    return static_cast<int>(subgraph->tensors()->size());
  }
  int NumOperators() const {
    return static_cast<int>(subgraph->operators()->size());
  }
  const tflm::Tensor* GetTensor(int index) const {
    return subgraph->tensors()->Get(static_cast<uint32_t>(index));
  }
  const tflm::Operator* GetOperator(int index) const {
    return subgraph->operators()->Get(static_cast<uint32_t>(index));
  }

  // Returns the bytes of a tensor; 0 of a type that is not known.
  int64_t NumBytes(int tensor) const;

  // Whether the model holds the tensor's content.
  bool IsConstant(int tensor) const;

  // Returns the first operator that writes a tensor, or one of the above.
  int Writer(int tensor) const;
  // Returns how often a tensor is written, as an input of the network, too.
  int NumWriters(int tensor) const;
  // Returns the last operator that reads a tensor, NumOperators() of a network
  // output, its writer if nothing reads it.
  int LastReader(int tensor) const;

  // Sets `op` if the operator is one of ours.
  bool FindOp(int op_index, Op* op) const;
  bool GetOptions(int op_index, Op op, Options* options) const;

  // Returns whether it is known how an activation was written. Options must
  // have been checked.
  bool Describe(int tensor, Activation* activation) const;
  // Returns whether the tensor's quantization field has a zero point.
  bool QuantizedZeroPoint(int tensor, int* zero_point) const;

  const tflm::Model* model = nullptr;
  const tflm::SubGraph* subgraph = nullptr;
};

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_GRAPH_H_
