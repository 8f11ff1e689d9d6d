/* What can be measured around an inference. On a device everything; on the
 * host nothing, where the functions just run what they are given and return 0
 * (there the address sanitizer watches the arena's ends).
 *
 * Memory is measured by filling it with a pattern and looking for what was
 * overwritten. A byte that is overwritten with the pattern itself is missed:
 * measure with two patterns and take the larger result. */
#ifndef TFLM_EXT_RUNNERS_MODEL_METER_H_
#define TFLM_EXT_RUNNERS_MODEL_METER_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*TfmpqFunction)(void* context);

typedef struct {
  int can_count;
  uint32_t overhead; /* Of TfmpqInstructionCounter. */
} TfmpqModelMeter;

void tfmpq_meter_start(TfmpqModelMeter* meter);

/* Calls the function and returns how many instructions it executed; 0 where
 * they cannot be counted: on the host, on the FVP, and beyond 1.3e9. */
uint32_t tfmpq_meter_instructions(const TfmpqModelMeter* meter,
                                  TfmpqFunction function, void* context);

/* The largest need of stack that can be measured. */
enum { kTfmpqMaxStackBytes = 32 * 1024 };

/* Calls the function and returns how many bytes of stack below the caller's it
 * wrote; kTfmpqMaxStackBytes if that many or more; 0 on the host. */
uint32_t tfmpq_meter_stack_bytes(TfmpqFunction function, void* context,
                                 uint8_t pattern);

/* Fills 64 bytes before and 64 bytes behind the object that is marked
 * TFMPQ_ARENA. */
void tfmpq_meter_fill_guards(uint8_t pattern);

/* Returns 0 if these bytes lie around the arena and hold the pattern still, 1
 * if they were written, 2 if they lie elsewhere. */
int tfmpq_meter_check_guards(const uint8_t* arena, uint32_t num_bytes,
                             uint8_t pattern);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_RUNNERS_MODEL_METER_H_ */
