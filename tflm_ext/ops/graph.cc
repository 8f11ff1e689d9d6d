#include "tflm_ext/ops/graph.h"

#include <cstring>

#include "tflm_ext/ops/report.h"
#include "tflm_ext/ops/tensors.h"

namespace tfmpq {
namespace {

// Returns the bits of an element; 0 of types that are not known.
int ElementBits(tflm::TensorType type) {
  switch (type) {
    case tflm::TensorType_INT4:
      return 4;
    case tflm::TensorType_BOOL:
    case tflm::TensorType_INT8:
    case tflm::TensorType_UINT8:
      return 8;
    case tflm::TensorType_INT16:
      return 16;
    case tflm::TensorType_FLOAT32:
    case tflm::TensorType_INT32:
    case tflm::TensorType_UINT32:
      return 32;
    case tflm::TensorType_INT64:
      return 64;
    default:
      return 0;
  }
}

bool Names(const Graph::Indices* list, int tensor) {
  if (list == nullptr) return false;
  for (const int32_t index : *list) {
    if (index == tensor) return true;
  }
  return false;
}

int CountIn(const Graph::Indices* list, int tensor) {
  int count = 0;
  if (list == nullptr) return count;
  for (const int32_t index : *list) count += index == tensor;
  return count;
}

}  // namespace

int64_t Graph::NumBytes(int tensor) const {
  int64_t count = 1;
  for (const int32_t size : *GetTensor(tensor)->shape()) count *= size;
  return RunBytes(count, ElementBits(GetTensor(tensor)->type()));
}

bool Graph::IsConstant(int tensor) const {
  const auto* data = model->buffers()->Get(GetTensor(tensor)->buffer())->data();
  return data != nullptr && data->size() > 0;
}

int Graph::Writer(int tensor) const {
  if (Names(subgraph->inputs(), tensor)) return kNetworkInput;
  for (int i = 0; i < NumOperators(); ++i) {
    if (GetOperator(i) != nullptr && Names(GetOperator(i)->outputs(), tensor)) {
      return i;
    }
  }
  return kNone;
}

int Graph::NumWriters(int tensor) const {
  int count = CountIn(subgraph->inputs(), tensor);
  for (int i = 0; i < NumOperators(); ++i) {
    if (GetOperator(i) != nullptr) {
      count += CountIn(GetOperator(i)->outputs(), tensor);
    }
  }
  return count;
}

int Graph::LastReader(int tensor) const {
  if (Names(subgraph->outputs(), tensor)) return NumOperators();
  for (int i = NumOperators() - 1; i >= 0; --i) {
    if (Names(GetOperator(i)->inputs(), tensor)) return i;
  }
  return Writer(tensor);
}

bool Graph::FindOp(int op_index, Op* op) const {
  const auto* code =
      model->operator_codes()->Get(GetOperator(op_index)->opcode_index());
  if (code->custom_code() == nullptr) return false;
  for (int i = 0; i < kNumOps; ++i) {
    *op = static_cast<Op>(i);
    if (std::strcmp(code->custom_code()->c_str(), OpName(*op)) == 0) {
      return true;
    }
  }
  return false;
}

bool Graph::GetOptions(int op_index, Op op, Options* options) const {
  const auto* bytes = GetOperator(op_index)->custom_options();
  if (bytes == nullptr) return Refuse(OpName(op), "options are missing");
  return ParseOptions(op, bytes->data(), bytes->size(), options);
}

bool Graph::QuantizedZeroPoint(int tensor, int* zero_point) const {
  const auto* field = GetTensor(tensor)->quantization();
  if (field == nullptr || field->zero_point() == nullptr ||
      field->zero_point()->size() != 1) {
    return false;
  }
  const int64_t value = field->zero_point()->Get(0);
  if (value < INT32_MIN || value > INT32_MAX) return false;
  *zero_point = static_cast<int>(value);
  return true;
}

bool Graph::Describe(int tensor, Activation* activation) const {
  // A max pool writes what it reads; each step leads to an earlier operator.
  for (int steps = NumOperators(); steps >= 0; --steps) {
    const int writer = Writer(tensor);
    if (writer == kNetworkInput) {
      const auto* shape = GetTensor(tensor)->shape();
      if (shape->size() == 0) return false;
      activation->bits = 8;
      activation->channels = shape->Get(shape->size() - 1);
      return QuantizedZeroPoint(tensor, &activation->zero_point);
    }
    Op op;
    Options options;
    if (writer < 0 || !FindOp(writer, &op)) return false;
    if (op != Op::kMaxPool2D) {
      if (!GetOptions(writer, op, &options)) return false;
      *activation = {options.o_bits, options.c_out, options.z_out};
      return true;
    }
    tensor = GetOperator(writer)->inputs()->Get(0);
    if (tensor < 0 || IsConstant(tensor)) return false;
  }
  return false;
}

}  // namespace tfmpq
