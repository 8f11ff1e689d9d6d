#include <string.h>

#include "tflm_ext/runners/instruction_counter.h"
#include "tflm_ext/runners/memory_sections.h"
#include "tflm_ext/runners/model_meter.h"

enum { kGuardBytes = 64, kArenaAlignment = 16 };

TFMPQ_BEFORE_ARENA static uint8_t before[kGuardBytes];
TFMPQ_AFTER_ARENA static uint8_t after[kGuardBytes];

void tfmpq_meter_start(TfmpqModelMeter* meter) {
  TfmpqInstructionCounter counter = {0};
  meter->can_count = tfmpq_instruction_counter_calibrate(&counter) == 0;
  meter->overhead = counter.overhead;
}

uint32_t tfmpq_meter_instructions(const TfmpqModelMeter* meter,
                                  TfmpqFunction function, void* context) {
  if (meter->can_count) {
    const TfmpqInstructionCounter counter = {meter->overhead};
    const uint32_t count =
        tfmpq_count_instructions(&counter, function, context);
    return count == UINT32_MAX ? 0 : count;
  }
  function(context);
  return 0;
}

/* Not inlined: the stack pointer must not move between filling and counting.
 * volatile keeps the compiler from calling memset, which has a stack of its
 * own. */
__attribute__((noinline)) uint32_t tfmpq_meter_stack_bytes(
    TfmpqFunction function, void* context, uint8_t pattern) {
  volatile uint8_t* top;
  __asm__ volatile("mov %0, sp" : "=r"(top));
  volatile uint8_t* const bottom = top - kTfmpqMaxStackBytes;
  for (volatile uint8_t* at = bottom; at < top; ++at) *at = pattern;
  function(context);
  volatile uint8_t* lowest = bottom;
  while (lowest < top && *lowest == pattern) ++lowest;
  return (uint32_t)(top - lowest);
}

void tfmpq_meter_fill_guards(uint8_t pattern) {
  memset(before, pattern, sizeof(before));
  memset(after, pattern, sizeof(after));
}

int tfmpq_meter_check_guards(const uint8_t* arena, uint32_t num_bytes,
                             uint8_t pattern) {
  const uintptr_t begin = (uintptr_t)arena;
  const uintptr_t end = begin + num_bytes;
  /* Less than one alignment may lie between. */
  if (begin - (uintptr_t)(before + kGuardBytes) >= kArenaAlignment ||
      (uintptr_t)after - end >= kArenaAlignment) {
    return 2;
  }
  int written = 0;
  for (int i = 0; i < kGuardBytes; ++i) {
    written |= before[i] != pattern || after[i] != pattern;
  }
  return written;
}
