/* Runs every case of a file of golden vectors and compares bytes.
 *
 * usage: kernels_test FILE
 *
 * A case runs several times, with its buffers at other addresses: aligned, odd,
 * ending where their memory ends (which the address sanitizer watches), and in
 * place where the kernel may run so. Which kernels these are,
 * kernels_test_target says. */
#include <stdio.h>
#include <string.h>

#include "tflm_ext/kernels/kernels_test_case.h"
#include "tflm_ext/kernels/kernels_test_target.h"
#include "tflm_ext/runners/memory_sections.h"

enum { kGuardBytes = 16, kGuard = 0xa5, kUnwritten = 0x5a, kMaxFailures = 10 };

/* Where a run's buffers lie. */
typedef struct {
  uint8_t* input;
  uint8_t* second;
  uint8_t* parameters;
  uint8_t* output;
} Operands;

/* How a run places its buffers. */
typedef enum { kAligned, kOdd, kAtTheEnd, kNumPlacements } Placement;

static const char* const kPlacementNames[kNumPlacements] = {
    "aligned", "at odd addresses", "at the end of memory"};

enum {
  kRunBytes = kGoldenBufferBytes + 2 * kGuardBytes,
  kScratchBytes = 32 * 1024
};
TFMPQ_ARENA static uint8_t input_memory[kRunBytes];
TFMPQ_ARENA static uint8_t second_memory[kRunBytes];
TFMPQ_ARENA static uint8_t parameters_memory[kRunBytes];
TFMPQ_ARENA static uint8_t output_memory[kRunBytes];
TFMPQ_ARENA static uint8_t scratch_memory[kScratchBytes + kGuardBytes];

/* Returns 1 if kGuardBytes bytes are as they were before the run. */
static int is_guard(const uint8_t* bytes) {
  for (int i = 0; i < kGuardBytes; ++i) {
    if (bytes[i] != kGuard) return 0;
  }
  return 1;
}

/* Returns the number of a width in the lists of widths.h. */
static int width_index(int32_t bits) { return bits / 4; }

/* Returns NULL, or what is wrong with the use of scratch memory. */
static const char* run_conv(const GoldenFields* fields,
                            const Operands* operands) {
  const tfmpq_conv_params params = tested_conv_params(fields);
  const size_t scratch_bytes = tested_scratch_bytes(
      fields->op, &params, fields->a_bits, fields->w_bits, fields->o_bits);
  if (scratch_bytes > kScratchBytes) return "needs more scratch than there is";
  memset(scratch_memory, kGuard, scratch_bytes + kGuardBytes);
  tested_run_conv(fields, operands->input, operands->second,
                  operands->parameters, operands->output,
                  scratch_bytes == 0 ? NULL : scratch_memory);
  if (is_guard(scratch_memory + scratch_bytes)) return NULL;
  return "wrote after its scratch memory";
}

static void run_add(const GoldenFields* fields, const Operands* operands) {
  int32_t multipliers[2];
  memcpy(multipliers, operands->parameters, sizeof(multipliers));
  const tfmpq_add_params params = {
      .num_pixels = (uint32_t)(fields->input_height * fields->input_width),
      .multiplier_a = multipliers[0],
      .multiplier_b = multipliers[1],
      .channels = (uint16_t)fields->input_channels,
      .zero_point_a = (int8_t)fields->input_zero_point,
      .zero_point_b = (int8_t)fields->second_zero_point,
      .output_zero_point = (int8_t)fields->output_zero_point,
      .shift = (uint8_t)fields->shift,
  };
  tested_kernels.add[tested_triple_index(fields)](
      &params, operands->input, operands->second, operands->output);
}

static void run_pool(const GoldenFields* fields, const Operands* operands) {
  const tfmpq_pool_params params = {
      .input_height = (uint16_t)fields->input_height,
      .input_width = (uint16_t)fields->input_width,
      .output_height = (uint16_t)fields->output_height,
      .output_width = (uint16_t)fields->output_width,
      .channels = (uint16_t)fields->input_channels,
      .num_multipliers =
          (uint16_t)((size_t)fields->parameters_bytes / sizeof(int32_t)),
      .kernel_height = (uint8_t)fields->kernel_height,
      .kernel_width = (uint8_t)fields->kernel_width,
      .stride_height = (uint8_t)fields->stride_height,
      .stride_width = (uint8_t)fields->stride_width,
      .pad_top = (uint8_t)fields->pad_top,
      .pad_left = (uint8_t)fields->pad_left,
      .input_zero_point = (int8_t)fields->input_zero_point,
      .output_zero_point = (int8_t)fields->output_zero_point,
      .shift = (uint8_t)fields->shift,
      .pre_shift = (uint8_t)fields->pre_shift,
  };
  const int a = width_index(fields->a_bits);
  if (fields->op == kMaxPool) {
    tested_kernels.max_pool[a](&params, operands->input, operands->output);
  } else {
    const void* multipliers = operands->parameters;
    tested_kernels.average_pool[a * 3 + width_index(fields->o_bits)](
        &params, operands->input, multipliers, operands->output);
  }
}

/* Copies bytes into a memory of kRunBytes. Returns where they begin. */
static uint8_t* place(Bytes bytes, uint8_t* memory, Placement placement,
                      size_t odd_offset) {
  size_t offset = placement == kOdd ? odd_offset : 0;
  if (placement == kAtTheEnd) offset = kRunBytes - bytes.num_bytes;
  memcpy(memory + offset, bytes.data, bytes.num_bytes);
  return memory + offset;
}

static int is_unchanged(const uint8_t* copy, Bytes bytes) {
  return memcmp(copy, bytes.data, bytes.num_bytes) == 0;
}

/* Returns NULL, or what is wrong with an output. */
static const char* compare(Bytes expected, const uint8_t* output) {
  for (size_t i = 0; i < expected.num_bytes; ++i) {
    if (output[i] == expected.data[i]) continue;
    printf("output byte %lu: expected 0x%02x, received 0x%02x\n",
           (unsigned long)i, expected.data[i], output[i]);
    return "wrong output";
  }
  return NULL;
}

/* Returns the address at which a weight or second input is tested if not at an
 * aligned one. */
static size_t odd_offset_of_second(const GoldenFields* fields) {
  if (fields->op >= kAdd) return 1;
  const tfmpq_conv_params params = tested_conv_params(fields);
  return params.layout == TFMPQ_LAYOUT_PLAIN ? 1 : 4;
}

/* Runs the kernel of a case. Returns NULL, or what is wrong with it. */
static const char* run(const GoldenFields* fields, const Operands* operands) {
  if (fields->op < kAdd) return run_conv(fields, operands);
  if (fields->op == kAdd) {
    run_add(fields, operands);
  } else {
    run_pool(fields, operands);
  }
  return NULL;
}

/* Runs a case once. Returns NULL, or what is wrong with it. */
static const char* run_once(const GoldenCase* golden_case,
                            Placement placement) {
  const GoldenFields* fields = &golden_case->fields;
  const Bytes expected = golden_case->output;
  const Operands operands = {
      place(golden_case->input, input_memory, placement, 3),
      place(golden_case->second, second_memory, placement,
            odd_offset_of_second(fields)),
      place(golden_case->parameters, parameters_memory, placement, 4),
      output_memory + kGuardBytes + (placement == kOdd ? 1 : 0),
  };
  memset(output_memory, kGuard, kRunBytes);
  memset(operands.output, kUnwritten, expected.num_bytes);
  const char* problem = run(fields, &operands);
  if (problem != NULL) return problem;
  if (!is_unchanged(operands.input, golden_case->input) ||
      !is_unchanged(operands.second, golden_case->second) ||
      !is_unchanged(operands.parameters, golden_case->parameters)) {
    return "changed its input";
  }
  if (!is_guard(operands.output - kGuardBytes)) {
    return "wrote before the output";
  }
  if (!is_guard(operands.output + expected.num_bytes)) {
    return "wrote after the output";
  }
  return compare(expected, operands.output);
}

/* Runs a kernel that writes over one of its inputs, if it may. Returns NULL, or
 * what is wrong with it. */
static const char* run_in_place(const GoldenCase* golden_case,
                                int over_second) {
  const GoldenFields* fields = &golden_case->fields;
  const Bytes source = over_second ? golden_case->second : golden_case->input;
  const Bytes expected = golden_case->output;
  if (source.num_bytes < expected.num_bytes) return NULL;
  Operands operands = {
      place(golden_case->input, input_memory, kOdd, 3),
      place(golden_case->second, second_memory, kOdd,
            odd_offset_of_second(fields)),
      place(golden_case->parameters, parameters_memory, kAligned, 0),
      NULL,
  };
  operands.output = over_second ? operands.second : operands.input;
  memset(operands.output + source.num_bytes, kGuard, kGuardBytes);
  const char* problem = run(fields, &operands);
  if (problem != NULL) return problem;
  if (!is_guard(operands.output + source.num_bytes)) {
    return "wrote after the input";
  }
  return compare(expected, operands.output);
}

static void print_failure(const GoldenFields* fields, int32_t number,
                          const char* placement, const char* problem) {
  static const char* const kOpNames[] = {"conv2d",          "depthwise_conv2d",
                                         "fully_connected", "add",
                                         "average_pool",    "max_pool"};
  printf("FAILED: case %ld, %s a%ld w%ld o%ld, input [%ld, %ld, %ld], ",
         (long)number, kOpNames[fields->op], (long)fields->a_bits,
         (long)fields->w_bits, (long)fields->o_bits, (long)fields->input_height,
         (long)fields->input_width, (long)fields->input_channels);
  printf("kernel [%ld, %ld], buffers %s: %s\n", (long)fields->kernel_height,
         (long)fields->kernel_width, placement, problem);
}

/* Returns of how many inputs the output may take the place. */
static int num_places_to_write_over(const GoldenFields* fields) {
  if (fields->op == kAdd) return 2;
  if (fields->op > kAdd) return 0;
  const tfmpq_conv_params params = tested_conv_params(fields);
  return tested_in_place(fields->op, &params, fields->a_bits, fields->o_bits);
}

/* Runs a case in every placement. Returns the number of failures. */
static int run_case(const GoldenCase* golden_case, int32_t number) {
  int failures = 0;
  for (int placement = 0; placement < kNumPlacements; ++placement) {
    const char* problem = run_once(golden_case, (Placement)placement);
    if (problem == NULL) continue;
    print_failure(&golden_case->fields, number, kPlacementNames[placement],
                  problem);
    ++failures;
  }
  const int num_places = num_places_to_write_over(&golden_case->fields);
  for (int over_second = 0; over_second < num_places; ++over_second) {
    const char* problem = run_in_place(golden_case, over_second);
    if (problem == NULL) continue;
    print_failure(&golden_case->fields, number,
                  over_second ? "in place of b" : "in place of a", problem);
    ++failures;
  }
  return failures;
}

int main(int argc, char** argv) {
  TfmpqFile file;
  if (argc != 2 || tfmpq_file_open(argv[1], &file) != 0) {
    printf("usage: kernels_test FILE, a file of golden vectors\n");
    return 1;
  }
  int32_t seed = 0;
  int32_t num_cases = 0;
  if (golden_read_header(&file, &seed, &num_cases) != 0) return 1;
  int failures = num_cases < 1;
  GoldenCase golden_case;
  for (int32_t i = 0; i < num_cases && failures < kMaxFailures; ++i) {
    if (golden_read_case(&file, &golden_case) != 0) return 1;
    failures += run_case(&golden_case, i);
  }
  tfmpq_file_close(&file);
  printf("%s: %ld cases of seed %ld: %d failures\n", tested_kernels.name,
         (long)num_cases, (long)seed, failures);
  return failures != 0;
}
