#include "tflm_ext/ops/memory_plan.h"

#include <cstring>

#include "tflm_ext/ops/report.h"
#include "tflm_ext/ops/tensors.h"

namespace tfmpq {
namespace {

constexpr char kName[] = "memory plan";
constexpr char kPlan[] = "OfflineMemoryAllocation";
constexpr int kHeaderWords = 3;
constexpr int kOnline = -1;  // TFLM chooses the place.

// The offsets of a graph's tensors, after the plan's header.
struct Plan {
  const uint8_t* bytes;

  int32_t Word(int index) const {
    int32_t word;
    std::memcpy(&word, bytes + 4 * index, sizeof(word));
    return word;
  }
  int32_t Offset(int tensor) const { return Word(kHeaderWords + tensor); }
};

bool Overlap(const Graph& graph, const Plan& plan, int a, int b) {
  const int64_t a_begin = plan.Offset(a);
  const int64_t b_begin = plan.Offset(b);
  return a_begin < b_begin + graph.NumBytes(b) &&
         b_begin < a_begin + graph.NumBytes(a);
}

// Returns whether `output` may lie over `input`: it is written by the last
// operator that reads it. That the kernel can do so, Eval checks.
bool IsInPlace(const Graph& graph, int output, int input) {
  return graph.Writer(output) >= 0 &&
         graph.Writer(output) == graph.LastReader(input);
}

bool CheckPair(const Graph& graph, const Plan& plan, int a, int b) {
  if (graph.IsConstant(b) || plan.Offset(b) == kOnline) return true;
  if (graph.LastReader(a) < graph.Writer(b) ||
      graph.LastReader(b) < graph.Writer(a)) {
    return true;
  }
  if (!Overlap(graph, plan, a, b)) return true;
  if (IsInPlace(graph, a, b) || IsInPlace(graph, b, a)) return true;
  return Refuse(kName, "two activations overlap while both are needed");
}

bool CheckOffsets(const Graph& graph, const Plan& plan) {
  for (int i = 0; i < graph.NumTensors(); ++i) {
    const int32_t offset = plan.Offset(i);
    if (graph.IsConstant(i)) {
      if (!Expect(kName, "offset of a constant", kOnline, offset)) return false;
      continue;
    }
    if (offset == kOnline) continue;
    if (!ExpectRange(kName, "offset", 0, kMaxTensorBytes, offset) ||
        !Expect(kName, "remainder of an offset divided by 16", 0,
                offset % 16) ||
        !ExpectRange(kName, "end of an activation", 1, kMaxTensorBytes,
                     offset + graph.NumBytes(i))) {
      return false;
    }
    for (int j = 0; j < i; ++j) {
      if (!CheckPair(graph, plan, i, j)) return false;
    }
  }
  return true;
}

bool CheckPlan(const Graph& graph, const tflm::Metadata& metadata) {
  const auto* buffers = graph.model->buffers();
  if (metadata.buffer() >= buffers->size() ||
      buffers->Get(metadata.buffer()) == nullptr ||
      buffers->Get(metadata.buffer())->data() == nullptr) {
    return Refuse(kName, "its buffer is missing");
  }
  const auto* data = buffers->Get(metadata.buffer())->data();
  if (!Expect(kName, "bytes", 4 * (int64_t{kHeaderWords} + graph.NumTensors()),
              data->size())) {
    return false;
  }
  const Plan plan = {data->data()};
  return Expect(kName, "version", 1, plan.Word(0)) &&
         Expect(kName, "subgraph", 0, plan.Word(1)) &&
         Expect(kName, "number of tensors", graph.NumTensors(), plan.Word(2)) &&
         CheckOffsets(graph, plan);
}

}  // namespace

bool CheckPlans(const Graph& graph) {
  const auto* metadata = graph.model->metadata();
  if (metadata == nullptr) return true;
  for (const tflm::Metadata* entry : *metadata) {
    if (entry == nullptr || entry->name() == nullptr) continue;
    if (std::strcmp(entry->name()->c_str(), kPlan) != 0) continue;
    if (!CheckPlan(graph, *entry)) return false;
  }
  return true;
}

}  // namespace tfmpq
