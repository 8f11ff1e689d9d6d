#include "tflm_ext/ops/op_data.h"

#include "tflm_ext/ops/report.h"

namespace tfmpq {

void* InitOp(TfLiteContext* context, Op op, const char* buffer, size_t length) {
  void* memory = context->AllocatePersistentBuffer(context, sizeof(OpData));
  if (memory == nullptr) {
    Refuse(OpName(op), "no memory for persistent data");
    return nullptr;
  }
  OpData* data = static_cast<OpData*>(memory);
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(buffer);
  return ParseOptions(op, bytes, length, &data->options) ? data : nullptr;
}

bool GetOptions(Op op, const TfLiteNode* node, Options* options) {
  if (node->user_data == nullptr) {
    return Refuse(OpName(op), "its options were refused");
  }
  *options = static_cast<const OpData*>(node->user_data)->options;
  return true;
}

}  // namespace tfmpq
