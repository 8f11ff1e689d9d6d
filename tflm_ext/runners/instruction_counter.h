/* Counts executed instructions, exactly, on the emulated boards.
 *
 * The boards have a 32-bit counter of 25 or 20 MHz (FPGAIO COUNTER). Under
 * `qemu-system-arm -icount shift=7` one instruction takes 128 ns of the
 * board's time, that is 3.2 or 2.56 ticks, so ticks / 3.2 rounded is the number
 * of instructions. The counter wraps at 2^32 ticks: 1.3e9 instructions. Longer
 * runs are told by a slower clock, and refused.
 *
 * These are instructions, not cycles: a load, a multiplication and a vector
 * operation of the M55 count 1 each.
 */
#ifndef TFLM_EXT_RUNNERS_INSTRUCTION_COUNTER_H_
#define TFLM_EXT_RUNNERS_INSTRUCTION_COUNTER_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint32_t overhead; /* Instructions that reading the counter and calling an
                      * empty function take. */
} TfmpqInstructionCounter;

/* Measures a loop of known length. Returns 0, or -1 if the counter does not
 * count instructions here (no -icount, another emulator): then there is no
 * count to report. */
int tfmpq_instruction_counter_calibrate(TfmpqInstructionCounter* counter);

/* Calls function(context) and returns how many instructions it executed, its
 * own return included; UINT32_MAX if they were more than can be counted. */
uint32_t tfmpq_count_instructions(const TfmpqInstructionCounter* counter,
                                  void (*function)(void* context),
                                  void* context);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_RUNNERS_INSTRUCTION_COUNTER_H_ */
