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
/* How far below arena_used_bytes() a smaller arena is looked for. What fails
 * there is among the last steps of AllocateTensors, which check for it; some
 * ops do not. */
constexpr size_t kMarginBytes = 48;
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

  /* Returns the smallest arena, given what TFLM uses of the whole one. */
  size_t SmallestArena(size_t used_bytes) const {
    size_t too_small = (used_bytes - kMarginBytes) / kAlignment;
    size_t enough = kMaxArenaBytes / kAlignment;
    while (enough - too_small > 1) {
      const size_t middle = (too_small + enough) / 2;
      (UsedBytes(middle * kAlignment) != 0 ? enough : too_small) = middle;
    }
    /* Where the arena ends decides what alignment costs. */
    for (size_t margin = kMarginBytes; margin > 0; --margin) {
      const size_t arena_bytes = enough * kAlignment - margin;
      if (UsedBytes(arena_bytes) != 0) return arena_bytes;
    }
    return enough * kAlignment;
  }

 private:
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
