#include "tflm_ext/ops/fuzz_mutation.h"

#include <cstdlib>
#include <cstring>
#include <vector>

#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_ext/ops/tflm.h"

namespace tfmpq {
namespace {

struct Region {
  const uint8_t* bytes;
  size_t size;
};

class Random {
 public:
  explicit Random(unsigned int seed) : state_(seed * 2654435761u + 1) {}

  size_t Below(size_t limit) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_ % limit;
  }

 private:
  uint32_t state_;
};

template <typename T>
void Append(const flatbuffers::Vector<T>* vector,
            std::vector<Region>* regions) {
  if (vector == nullptr || vector->size() == 0) return;
  regions->push_back({vector->Data(), vector->size() * sizeof(T)});
}

// Appends options more than once: there is most to find.
void AppendOperators(const tflm::SubGraph* subgraph,
                     std::vector<Region>* regions) {
  if (subgraph->operators() == nullptr) return;
  for (const auto* op : *subgraph->operators()) {
    for (int i = 0; i < 4; ++i) Append(op->custom_options(), regions);
    Append(op->inputs(), regions);
    Append(op->outputs(), regions);
  }
}

std::vector<Region> Regions(const tflm::Model* model) {
  std::vector<Region> regions;
  if (model->subgraphs() == nullptr) return regions;
  for (const auto* subgraph : *model->subgraphs()) {
    AppendOperators(subgraph, &regions);
    if (subgraph->tensors() == nullptr) continue;
    for (const auto* tensor : *subgraph->tensors()) {
      for (int i = 0; i < 2; ++i) Append(tensor->shape(), &regions);
    }
  }
  if (model->buffers() != nullptr) {
    for (const auto* buffer : *model->buffers()) {
      Append(buffer->data(), &regions);
    }
  }
  return regions;
}

void MutateByte(uint8_t* byte, Random* random) {
  constexpr uint8_t kValues[] = {0, 1, 2, 3, 4, 8, 16, 31, 127, 128, 255};
  switch (random->Below(4)) {
    case 0:
      *byte = kValues[random->Below(sizeof(kValues))];
      break;
    case 1:
      *byte = static_cast<uint8_t>(*byte + 1);
      break;
    case 2:
      *byte = static_cast<uint8_t>(*byte - 1);
      break;
    default:
      *byte = static_cast<uint8_t>(*byte ^ 1u << random->Below(8));
  }
}

}  // namespace

bool MutateModel(uint8_t* data, size_t size, unsigned int seed) {
  // FlatBuffers reads at aligned addresses only.
  void* copy = nullptr;
  if (size == 0 || posix_memalign(&copy, 16, size) != 0) return false;
  std::memcpy(copy, data, size);
  flatbuffers::Verifier verifier(static_cast<uint8_t*>(copy), size);
  bool is_mutated = false;
  if (tflm::VerifyModelBuffer(verifier)) {
    const std::vector<Region> regions = Regions(tflm::GetModel(copy));
    Random random(seed);
    const size_t count = random.Below(4) == 0 ? 2 : 1;
    for (size_t i = 0; !regions.empty() && i < count; ++i) {
      const Region& region = regions[random.Below(regions.size())];
      const size_t start =
          static_cast<size_t>(region.bytes - static_cast<const uint8_t*>(copy));
      MutateByte(data + start + random.Below(region.size), &random);
      is_mutated = true;
    }
  }
  std::free(copy);
  return is_mutated;
}

}  // namespace tfmpq
