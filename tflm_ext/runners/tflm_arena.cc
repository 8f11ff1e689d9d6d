#include "tflm_ext/runners/tflm_arena.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "tensorflow/lite/micro/arena_allocator/single_arena_buffer_allocator.h"
#include "tensorflow/lite/micro/memory_planner/greedy_memory_planner.h"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tflm_ext/runners/memory_sections.h"

namespace tfmpq {
namespace {

constexpr size_t kGuardBytes = 64;

TFMPQ_ARENA uint8_t buffer[kGuardBytes + kMaxArenaBytes + kGuardBytes];

bool Holds(const uint8_t* bytes, uint8_t pattern) {
  return std::all_of(bytes, bytes + kGuardBytes,
                     [pattern](uint8_t byte) { return byte == pattern; });
}

}  // namespace

uint8_t* GetArena() { return buffer + kGuardBytes; }

void FillArena(size_t num_bytes, uint8_t pattern) {
  std::memset(buffer, pattern, num_bytes + 2 * kGuardBytes);
}

bool ArenaEndsAreIntact(size_t num_bytes, uint8_t pattern) {
  return Holds(buffer, pattern) && Holds(GetArena() + num_bytes, pattern);
}

ArenaSplit MeasureArenaSplit(const tflm::Model* model,
                             const OpResolver& resolver, size_t num_bytes) {
  auto* const memory =
      tflm::SingleArenaBufferAllocator::Create(GetArena(), num_bytes);
  auto* const planner = new (memory->AllocatePersistentBuffer(
      sizeof(tflm::GreedyMemoryPlanner), alignof(tflm::GreedyMemoryPlanner)))
      tflm::GreedyMemoryPlanner();
  auto* const allocator = tflm::MicroAllocator::Create(memory, planner);
  tflm::MicroInterpreter interpreter(model, resolver, allocator);
  if (interpreter.AllocateTensors() != kTfLiteOk) return {0, 0};
  return {memory->GetNonPersistentUsedBytes(),
          memory->GetPersistentUsedBytes()};
}

}  // namespace tfmpq
