#include "tflm_ext/runners/files.h"
#include "tflm_ext/runners/memory_sections.h"
#include "tflm_ext/runners/tflm_model.h"

namespace tfmpq {
namespace {

constexpr size_t kMaxModelBytes = 960 * 1024;

TFMPQ_MODEL_COPY uint8_t model[kMaxModelBytes];

}  // namespace

ModelBytes LoadModel(const char* path) {
  const long num_bytes = tfmpq_read_file(path, model, sizeof(model));
  if (num_bytes < 0) return {nullptr, 0};
  return {model, static_cast<size_t>(num_bytes)};
}

}  // namespace tfmpq
