/* Runs each case of a file of golden vectors once and counts instructions.
 *
 * usage: benchmark FILE
 *
 * The file holds conv2d, depthwise_conv2d and fully_connected cases, their
 * weights in the layout of the kernels (tests/golden_vectors.py). Prints per
 * case, numbered from 0,
 *
 *   result case_<i>_instructions <n>   of the call (instruction_counter.h)
 *   result case_<i>_equal <0 or 1>     whether the output is the expected one
 *
 * and calls benchmark_mark before and after each, and before and after an empty
 * function first, for an emulator that counts for itself (count_plugin.c). */
#include <stdio.h>
#include <string.h>

#include "tflm_ext/kernels/kernels_test_case.h"
#include "tflm_ext/kernels/kernels_test_target.h"
#include "tflm_ext/runners/instruction_counter.h"
#include "tflm_ext/runners/memory_sections.h"

enum { kOutputBytes = 128 * 1024, kScratchBytes = 32 * 1024 };

TFMPQ_ARENA static uint8_t output[kOutputBytes];
TFMPQ_ARENA static uint8_t scratch[kScratchBytes];

/* An instruction that does nothing and that no compiler emits, at the start of
 * a function: the start of a block for the emulator. */
__attribute__((naked, noinline)) static void benchmark_mark(void) {
  __asm__ volatile("mov r9, r9\nbx lr");
}

static void run_case(void* context) {
  const GoldenCase* golden_case = context;
  tested_run_conv(&golden_case->fields, golden_case->input.data,
                  golden_case->second.data, golden_case->parameters.data,
                  output, scratch);
}

static void run_nothing(void* context) { (void)context; }

/* Not specialised, so that the instructions around the call are the same. */
__attribute__((noipa)) static uint32_t count(
    const TfmpqInstructionCounter* counter, void (*function)(void*),
    GoldenCase* golden_case) {
  benchmark_mark();
  const uint32_t instructions =
      tfmpq_count_instructions(counter, function, golden_case);
  benchmark_mark();
  return instructions;
}

static int is_too_large(const GoldenCase* golden_case) {
  const GoldenFields* fields = &golden_case->fields;
  const tfmpq_conv_params params = tested_conv_params(fields);
  return golden_case->output.num_bytes > kOutputBytes ||
         tested_scratch_bytes(fields->op, &params, fields->a_bits,
                              fields->w_bits, fields->o_bits) > kScratchBytes;
}

static int run_file(TfmpqFile* file, const TfmpqInstructionCounter* counter) {
  int32_t seed = 0;
  int32_t num_cases = 0;
  int num_different = 0;
  GoldenCase golden_case;
  if (golden_read_header(file, &seed, &num_cases) != 0) return 1;
  for (int32_t i = 0; i < num_cases; ++i) {
    if (golden_read_case(file, &golden_case) != 0) return 1;
    if (golden_case.fields.op >= kAdd || is_too_large(&golden_case)) {
      printf("case %ld cannot be run here\n", (long)i);
      return 1;
    }
    memset(output, ~golden_case.output.data[0], golden_case.output.num_bytes);
    const uint32_t instructions = count(counter, run_case, &golden_case);
    const int is_equal = memcmp(output, golden_case.output.data,
                                golden_case.output.num_bytes) == 0;
    printf("result case_%ld_instructions %lu\n", (long)i,
           (unsigned long)instructions);
    printf("result case_%ld_equal %d\n", (long)i, is_equal);
    num_different += !is_equal;
  }
  return num_different != 0;
}

int main(int argc, char** argv) {
  TfmpqFile file;
  TfmpqInstructionCounter counter = {0};
  if (argc != 2 || tfmpq_file_open(argv[1], &file) != 0) {
    printf("usage: benchmark FILE, a file of golden vectors\n");
    return 1;
  }
  if (tfmpq_instruction_counter_calibrate(&counter) != 0) {
    printf("instructions cannot be counted here\n");
    return 1;
  }
  count(&counter, run_nothing, NULL);
  const int status = run_file(&file, &counter);
  tfmpq_file_close(&file);
  return status;
}
