/* Measures the arenas that models need under TensorFlow Lite Micro.
 *
 * usage: tflm_smallest_arena MODEL...
 *
 * For each model, which is as in tflm_model.h, prints
 *
 *   result model <number>
 *   result arena_used_bytes <n>      as TFLM reports it in the whole arena
 *   result smallest_arena_bytes <n>  with which AllocateTensors succeeds
 *   result smallest_used_bytes <n>   as TFLM reports it in that arena
 *
 * and returns 0 if all models could be allocated. The arena starts at a
 * multiple of 16 bytes. */
#include <cstdint>
#include <cstdio>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_ext/runners/tflm_arena.h"
#include "tflm_ext/runners/tflm_model.h"

namespace tfmpq {
namespace {

constexpr size_t kAlignment = 16;
/* How far below an arena that suffices smaller ones are tried. With much
 * smaller ones TFLM and some of its ops write where they must not. */
constexpr size_t kMarginBytes = 32;
/* More than the tables take with which TFLM plans the memory of a model. */
constexpr size_t kTableBytes = 512;
constexpr size_t kTableBytesPerItem = 96; /* Tensors and ops. */
constexpr uint8_t kPattern = 0x55;

void PrintResult(const char* name, size_t value) {
  std::printf("result %s %lu\n", name, static_cast<unsigned long>(value));
}

class Probe {
 public:
  Probe(const tflm::Model* model, const OpResolver& resolver)
      : model_(model), resolver_(resolver) {}

  /* Returns arena_used_bytes(), 0 if the model cannot be allocated. */
  size_t UsedBytes(size_t arena_bytes) const {
    FillArena(arena_bytes, kPattern);
    tflm::MicroInterpreter interpreter(model_, resolver_, GetArena(),
                                       arena_bytes);
    if (interpreter.AllocateTensors() != kTfLiteOk) return 0;
    return interpreter.arena_used_bytes();
  }

  /* Returns the smallest arena, given what TFLM uses of the whole one; 0 if
   * it cannot be found. */
  size_t SmallestArena(size_t used_bytes) const {
    size_t enough = EnoughBytes(used_bytes);
    if (UsedBytes(enough) == 0) return 0;
    while (UsedBytes(enough - kAlignment) != 0) enough -= kAlignment;
    /* Where the arena ends decides what alignment costs. */
    for (size_t margin = kMarginBytes; margin > 0; --margin) {
      if (UsedBytes(enough - margin) != 0) return enough - margin;
    }
    return enough;
  }

 private:
  /* Returns a multiple of kAlignment, not much more than is needed. */
  size_t EnoughBytes(size_t used_bytes) const {
    const auto* graph = model_->subgraphs()->Get(0);
    const size_t num_items =
        graph->tensors()->size() + graph->operators()->size();
    const size_t table_bytes = kTableBytes + kTableBytesPerItem * num_items;
    const ArenaSplit split =
        MeasureArenaSplit(model_, resolver_, kMaxArenaBytes);
    size_t bytes = used_bytes + 4 * kAlignment;
    if (split.head_bytes < table_bytes) bytes += table_bytes;
    return bytes / kAlignment * kAlignment;
  }

  const tflm::Model* model_;
  const OpResolver& resolver_;
};

bool Measure(const char* path, const OpResolver& resolver) {
  const ModelBytes bytes = LoadModel(path);
  if (bytes.data == nullptr) {
    std::printf("%s cannot be read, or is too large\n", path);
    return false;
  }
  const Probe probe(tflm::GetModel(bytes.data), resolver);
  const size_t used_bytes = probe.UsedBytes(kMaxArenaBytes);
  if (used_bytes == 0) return false;
  PrintResult("arena_used_bytes", used_bytes);
  const size_t smallest = probe.SmallestArena(used_bytes);
  if (smallest == 0) return false;
  PrintResult("smallest_arena_bytes", smallest);
  PrintResult("smallest_used_bytes", probe.UsedBytes(smallest));
  return true;
}

}  // namespace
}  // namespace tfmpq

int main(int argc, char** argv) {
  tfmpq::OpResolver resolver;
  if (argc < 2 || tfmpq::RegisterModelOps(resolver) != kTfLiteOk) return 2;
  for (int i = 1; i < argc; ++i) {
    tfmpq::PrintResult("model", i);
    if (!tfmpq::Measure(argv[i], resolver)) return 1;
  }
  return 0;
}
