#include "tflm_ext/runners/instruction_counter.h"

/* TFMPQ_FPGAIO and TFMPQ_COUNTER_MHZ come from the BUILD file, per board. */
#define COUNTER (*(volatile uint32_t*)(TFMPQ_FPGAIO + 0x18))
#define HUNDREDTHS (*(volatile uint32_t*)(TFMPQ_FPGAIO + 0x14))

/* Hundredths of a second after which COUNTER may have wrapped. */
#define MAX_HUNDREDTHS (UINT32_MAX / (TFMPQ_COUNTER_MHZ * 10000u) - 1)

/* Nanoseconds of one instruction under -icount shift=7. */
enum { kInstructionNs = 1 << 7 };

enum { kSpinIterations = 1000000, kSpinInstructions = 2 * kSpinIterations };

/* Room for the call around the calibration loop. */
enum { kMaxCallInstructions = 32 };

static uint32_t to_instructions(uint32_t ticks) {
  /* ticks per instruction = ns per instruction * MHz / 1000. */
  const uint64_t per_thousand = kInstructionNs * TFMPQ_COUNTER_MHZ;
  return (uint32_t)(((uint64_t)ticks * 1000 + per_thousand / 2) / per_thousand);
}

__attribute__((noipa)) static void do_nothing(void* context) {
  __asm__ volatile("" : : "r"(context));
}

/* Two instructions per iteration. */
static void spin(void* context) {
  uint32_t iterations = *(const uint32_t*)context;
  __asm__ volatile(
      "1: subs %0, %0, #1\n"
      "bne 1b\n"
      : "+r"(iterations)
      :
      : "cc");
}

/* Neither inlined nor specialised for one function, so that the overhead is the
 * same for all. */
__attribute__((noipa)) static uint32_t measure(void (*function)(void*),
                                               void* context) {
  const uint32_t begin_hundredths = HUNDREDTHS;
  const uint32_t begin = COUNTER;
  function(context);
  const uint32_t ticks = COUNTER - begin;
  if (HUNDREDTHS - begin_hundredths > MAX_HUNDREDTHS) return UINT32_MAX;
  return to_instructions(ticks);
}

int tfmpq_instruction_counter_calibrate(TfmpqInstructionCounter* counter) {
  uint32_t iterations = kSpinIterations;
  const uint32_t count = measure(spin, &iterations);
  if (count < kSpinInstructions ||
      count > kSpinInstructions + kMaxCallInstructions) {
    return -1;
  }
  /* The empty function's return belongs to the function, not the overhead. */
  counter->overhead = measure(do_nothing, 0) - 1;
  return 0;
}

uint32_t tfmpq_count_instructions(const TfmpqInstructionCounter* counter,
                                  void (*function)(void* context),
                                  void* context) {
  const uint32_t count = measure(function, context);
  return count == UINT32_MAX ? count : count - counter->overhead;
}
