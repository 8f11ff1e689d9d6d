#include "tflm_ext/runners/model_meter.h"

void tfmpq_meter_start(TfmpqModelMeter* meter) { meter->can_count = 0; }

uint32_t tfmpq_meter_instructions(const TfmpqModelMeter* meter,
                                  TfmpqFunction function, void* context) {
  (void)meter;
  function(context);
  return 0;
}

uint32_t tfmpq_meter_stack_bytes(TfmpqFunction function, void* context,
                                 uint8_t pattern) {
  (void)pattern;
  function(context);
  return 0;
}

void tfmpq_meter_fill_guards(uint8_t pattern) { (void)pattern; }

int tfmpq_meter_check_guards(const uint8_t* arena, uint32_t num_bytes,
                             uint8_t pattern) {
  (void)arena;
  (void)num_bytes;
  (void)pattern;
  return 0;
}
