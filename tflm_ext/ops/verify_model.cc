#include "tflm_ext/ops/verify_model.h"

#include <cstdint>

#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_ext/ops/graph.h"
#include "tflm_ext/ops/memory_plan.h"
#include "tflm_ext/ops/options.h"
#include "tflm_ext/ops/report.h"
#include "tflm_ext/ops/tensors.h"

namespace tfmpq {
namespace {

constexpr char kName[] = "model";
constexpr int kMaxDimensions = 8;
constexpr int kSchemaVersion = 3;

// Checks what is known of a tensor by itself.
bool CheckTensor(const Graph& graph, int index) {
  const tflm::Tensor* tensor = graph.GetTensor(index);
  if (tensor == nullptr || tensor->shape() == nullptr) {
    return Refuse(kName, "a tensor has no shape");
  }
  if (tensor->is_variable()) {
    return Refuse(kName, "variable tensors are not supported");
  }
  const auto* shape = tensor->shape();
  if (!ExpectRange(kName, "dimensions of a tensor", 0, kMaxDimensions,
                   shape->size())) {
    return false;
  }
  int64_t count = 1;
  for (const int32_t size : *shape) {
    if (!ExpectRange(kName, "dimension of a tensor", 1, INT32_MAX, size)) {
      return false;
    }
    count *= size;
    if (!ExpectRange(kName, "elements of a tensor", 1, kMaxTensorBytes,
                     count)) {
      return false;
    }
  }
  const int64_t num_bytes = graph.NumBytes(index);
  if (num_bytes == 0) return Refuse(kName, "a tensor has an unknown type");
  return ExpectRange(kName, "bytes of a tensor", 1, kMaxTensorBytes, num_bytes);
}

// Checks that constants are as long as their shapes say.
bool CheckTensors(const Graph& graph) {
  const auto* buffers = graph.model->buffers();
  for (int i = 0; i < graph.NumTensors(); ++i) {
    if (!CheckTensor(graph, i)) return false;
    const tflm::Tensor* tensor = graph.GetTensor(i);
    if (!ExpectRange(kName, "buffer of a tensor", 0,
                     int64_t{buffers->size()} - 1, tensor->buffer()) ||
        buffers->Get(tensor->buffer()) == nullptr) {
      return Refuse(kName, "a tensor has no buffer");
    }
    if (graph.IsConstant(i)) {
      if (!Expect(kName, "bytes of a constant", graph.NumBytes(i),
                  buffers->Get(tensor->buffer())->data()->size())) {
        return false;
      }
    } else if (tensor->type() == tflm::TensorType_INT4) {
      return Refuse(kName, "an activation of type INT4 is not supported");
    }
  }
  return true;
}

// Checks tensors that a list names; `may_be_absent`: -1 is allowed.
bool CheckIndices(const Graph& graph, const Graph::Indices* indices,
                  bool may_be_absent) {
  if (indices == nullptr || indices->size() == 0) {
    return Refuse(kName, "a list of tensors is missing");
  }
  for (const int32_t index : *indices) {
    if (!ExpectRange(kName, "index of a tensor", may_be_absent ? -1 : 0,
                     graph.NumTensors() - 1, index)) {
      return false;
    }
  }
  return true;
}

// Checks the operators' lists, and that tensors are written once, before they
// are read.
bool CheckOperators(const Graph& graph) {
  const auto* codes = graph.model->operator_codes();
  for (int i = 0; i < graph.NumOperators(); ++i) {
    const tflm::Operator* op = graph.GetOperator(i);
    if (op == nullptr) return Refuse(kName, "an operator is missing");
    if (!ExpectRange(kName, "op code of an operator", 0,
                     int64_t{codes->size()} - 1, op->opcode_index()) ||
        codes->Get(op->opcode_index()) == nullptr) {
      return Refuse(kName, "an operator has no op code");
    }
    if (!CheckIndices(graph, op->inputs(), true) ||
        !CheckIndices(graph, op->outputs(), false)) {
      return false;
    }
    for (const int32_t index : *op->inputs()) {
      if (index < 0 || graph.IsConstant(index)) continue;
      const int writer = graph.Writer(index);
      if (!ExpectRange(kName, "operator that writes an input",
                       Graph::kNetworkInput, i - 1, writer)) {
        return false;
      }
    }
    for (const int32_t index : *op->outputs()) {
      if (graph.IsConstant(index)) {
        return Refuse(kName, "an operator writes a constant");
      }
      if (!Expect(kName, "times that a tensor is written", 1,
                  graph.NumWriters(index))) {
        return false;
      }
    }
  }
  return true;
}

// Checks the network's inputs and outputs.
bool CheckEnds(const Graph& graph) {
  for (const auto* list :
       {graph.subgraph->inputs(), graph.subgraph->outputs()}) {
    if (!CheckIndices(graph, list, false)) return false;
    for (const int32_t index : *list) {
      if (graph.IsConstant(index)) {
        return Refuse(kName, "the network's input or output is a constant");
      }
    }
  }
  for (const int32_t index : *graph.subgraph->outputs()) {
    if (graph.Writer(index) == Graph::kNone) {
      return Refuse(kName, "nothing writes the network's output");
    }
  }
  return true;
}

// Checks that an operator reads an activation as it was written.
bool CheckReading(const Graph& graph, int tensor, int bits, int channels,
                  int zero_point, bool has_zero_point) {
  Activation written;
  if (!graph.Describe(tensor, &written)) return true;  // By a builtin op.
  return Expect(kName, "bits of an input", written.bits, bits) &&
         Expect(kName, "channels of an input", written.channels, channels) &&
         (!has_zero_point || Expect(kName, "zero point of an input",
                                    written.zero_point, zero_point));
}

// Checks our operators against those that write what they read.
bool CheckActivations(const Graph& graph) {
  for (int i = 0; i < graph.NumOperators(); ++i) {
    Op op;
    Options options;
    if (!graph.FindOp(i, &op)) continue;
    if (!graph.GetOptions(i, op, &options)) return false;
    const auto* inputs = graph.GetOperator(i)->inputs();
    if (inputs->Get(0) < 0 || (op == Op::kAdd && inputs->size() < 2)) {
      return Refuse(OpName(op), "an input is missing");
    }
    if (!CheckReading(graph, inputs->Get(0), options.a_bits, options.c_in,
                      options.z_in, op != Op::kMaxPool2D)) {
      return false;
    }
    if (op == Op::kAdd) {
      if (inputs->Get(1) < 0) return Refuse(OpName(op), "an input is missing");
      if (!CheckReading(graph, inputs->Get(1), options.b_bits, options.c_in,
                        options.z_b, true)) {
        return false;
      }
    }
  }
  for (const int32_t index : *graph.subgraph->outputs()) {
    Activation output;
    if (!graph.Describe(index, &output)) continue;
    if (!Expect(kName, "bits of the network's output", 8, output.bits)) {
      return false;
    }
    int zero_point;
    if (graph.QuantizedZeroPoint(index, &zero_point) &&
        !Expect(kName, "zero point of the network's output", output.zero_point,
                zero_point)) {
      return false;
    }
  }
  return true;
}

bool CheckGraph(const tflm::Model* model, Graph* graph) {
  if (!Expect(kName, "version of the schema", kSchemaVersion,
              model->version())) {
    return false;
  }
  if (model->operator_codes() == nullptr || model->buffers() == nullptr ||
      model->subgraphs() == nullptr || model->subgraphs()->size() != 1 ||
      model->subgraphs()->Get(0) == nullptr) {
    return Refuse(kName, "expected op codes, buffers and one subgraph");
  }
  graph->model = model;
  graph->subgraph = model->subgraphs()->Get(0);
  if (graph->subgraph->tensors() == nullptr ||
      graph->subgraph->operators() == nullptr) {
    return Refuse(kName, "the subgraph has no tensors or no operators");
  }
  return CheckTensors(*graph) && CheckEnds(*graph) && CheckOperators(*graph) &&
         CheckPlans(*graph);
}

// Checks a file up to what its operators mean. Sets `graph`.
bool CheckFile(const void* data, size_t num_bytes, Graph* graph) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(data);
  if (!Expect(kName, "remainder of the address divided by 16", 0,
              static_cast<int64_t>(address % 16)) ||
      !ExpectRange(kName, "bytes", 8, INT32_MAX,
                   static_cast<int64_t>(num_bytes))) {
    return false;
  }
  flatbuffers::Verifier verifier(static_cast<const uint8_t*>(data), num_bytes);
  if (!tflm::VerifyModelBuffer(verifier)) {
    return Refuse(kName, "no .tflite, or a damaged one");
  }
  return CheckGraph(tflm::GetModel(data), graph);
}

}  // namespace

TfLiteStatus VerifyModel(const void* data, size_t num_bytes) {
  Graph graph;
  const bool is_valid =
      CheckFile(data, num_bytes, &graph) && CheckActivations(graph);
  return is_valid ? kTfLiteOk : kTfLiteError;
}

TfLiteStatus VerifyStructure(const void* data, size_t num_bytes) {
  Graph graph;
  return CheckFile(data, num_bytes, &graph) ? kTfLiteOk : kTfLiteError;
}

}  // namespace tfmpq
