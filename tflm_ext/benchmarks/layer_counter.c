/* Counts the instructions of layers of which only shapes and widths are known.
 *
 * usage: layer_counter FILE
 *
 * The file has the header of golden vectors and then the fields of each case
 * (kernels_test_case.h), without buffers: every operand is zero. The kernels of
 * the cores have no branch that depends on what their operands hold, which
 * tests/latency_measuring_test.py checks on whole networks. Prints per case,
 * numbered from 0,
 *
 *   result case_<i>_instructions <n>
 *
 * of the call of the kernel as an exported model makes it: a depthwise_conv2d
 * that may write over its input does so, and takes longer for it where its
 * output is narrower. */
#include <stdio.h>
#include <string.h>

#include "tflm_ext/kernels/kernels_test_case.h"
#include "tflm_ext/kernels/kernels_test_target.h"
#include "tflm_ext/runners/instruction_counter.h"
#include "tflm_ext/runners/memory_sections.h"

/* The boards have 2 MiB and more for an arena. */
enum { kMemoryBytes = 0x1ff000, kAlignment = 16 };

TFMPQ_ARENA static uint8_t memory[kMemoryBytes];

/* A kernel and its arguments. */
typedef struct {
  union {
    ConvKernel conv;
    AddKernel add;
    AveragePoolKernel average_pool;
    MaxPoolKernel max_pool;
  } kernel;
  union {
    tfmpq_conv_params conv;
    tfmpq_add_params add;
    tfmpq_pool_params pool;
  } params;
  const void* input;
  const void* second;
  const void* parameters;
  const int8_t* zero_points;
  void* output;
  void* scratch;
} Call;

static void call_conv(void* context) {
  const Call* call = context;
  call->kernel.conv(&call->params.conv, call->input, call->second,
                    call->parameters, call->zero_points, call->output,
                    call->scratch);
}

static void call_add(void* context) {
  const Call* call = context;
  call->kernel.add(&call->params.add, call->input, call->second, call->output);
}

static void call_average_pool(void* context) {
  const Call* call = context;
  call->kernel.average_pool(&call->params.pool, call->input, call->parameters,
                            call->output);
}

static void call_max_pool(void* context) {
  const Call* call = context;
  call->kernel.max_pool(&call->params.pool, call->input, call->output);
}

/* Returns the next num_bytes bytes of the memory, or NULL if it is full. */
static uint8_t* take(size_t* used, size_t num_bytes) {
  uint8_t* const begin = memory + *used;
  const size_t size = (num_bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (size > kMemoryBytes - *used) return NULL;
  *used += size;
  return begin;
}

static size_t activation_bytes(int32_t height, int32_t width, int32_t channels,
                               int32_t bits) {
  return (size_t)height * (size_t)width * (size_t)((channels * bits + 7) / 8);
}

static int runs_in_place(const GoldenFields* fields) {
  if (fields->op != kDepthwiseConv2D || fields->o_bits > fields->a_bits) {
    return 0;
  }
  const tfmpq_conv_params params = tested_conv_params(fields);
  return tested_in_place(fields->op, &params, fields->a_bits, fields->o_bits);
}

/* Places the operands. Returns 0, or -1 if they do not fit. */
static int place(const GoldenFields* fields, size_t scratch_bytes, Call* call) {
  size_t used = 0;
  uint8_t* const parameters = take(&used, (size_t)fields->parameters_bytes);
  const size_t output_bytes =
      activation_bytes(fields->output_height, fields->output_width,
                       fields->output_channels, fields->o_bits);
  call->parameters = parameters;
  call->zero_points = NULL;
  if (fields->per_channel_zero_points) {
    call->zero_points = (const int8_t*)parameters +
                        (size_t)fields->output_channels * sizeof(tfmpq_channel);
  }
  call->second = take(&used, (size_t)fields->second_bytes);
  call->scratch = take(&used, scratch_bytes);
  uint8_t* const input =
      take(&used, activation_bytes(fields->input_height, fields->input_width,
                                   fields->input_channels, fields->a_bits));
  call->input = input;
  call->output = runs_in_place(fields) ? input : take(&used, output_bytes);
  if (parameters == NULL || call->second == NULL || call->scratch == NULL ||
      call->input == NULL || call->output == NULL) {
    return -1;
  }
  memset(memory, 0, used);
  return 0;
}

static size_t scratch_bytes(const GoldenFields* fields) {
  if (fields->op >= kAdd) return 0;
  const tfmpq_conv_params params = tested_conv_params(fields);
  return tested_scratch_bytes(fields->op, &params, fields->a_bits,
                              fields->w_bits, fields->o_bits);
}

static tfmpq_add_params add_params(const GoldenFields* fields) {
  const tfmpq_add_params params = {
      .num_pixels = (uint32_t)(fields->input_height * fields->input_width),
      .multiplier_a = 1,
      .multiplier_b = 1,
      .channels = (uint16_t)fields->input_channels,
      .shift = (uint8_t)fields->shift,
  };
  return params;
}

static tfmpq_pool_params pool_params(const GoldenFields* fields) {
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
      .shift = (uint8_t)fields->shift,
  };
  return params;
}

/* Returns the position of a width in the lists of widths.h. */
static int width_index(int32_t bits) { return bits / 4; }

/* Sets kernel and parameters. Returns the function that calls it. */
static void (*prepare(const GoldenFields* fields, Call* call))(void*) {
  const int a = width_index(fields->a_bits);
  switch (fields->op) {
    case kAdd:
      call->kernel.add = tested_kernels.add[tested_triple_index(fields)];
      call->params.add = add_params(fields);
      return call_add;
    case kAveragePool:
      call->kernel.average_pool =
          tested_kernels.average_pool[a * 3 + width_index(fields->o_bits)];
      call->params.pool = pool_params(fields);
      return call_average_pool;
    case kMaxPool:
      call->kernel.max_pool = tested_kernels.max_pool[a];
      call->params.pool = pool_params(fields);
      return call_max_pool;
    default:
      call->kernel.conv =
          tested_kernels.conv[fields->op][tested_triple_index(fields)];
      call->params.conv = tested_conv_params(fields);
      return call_conv;
  }
}

static int run_file(TfmpqFile* file, const TfmpqInstructionCounter* counter) {
  int32_t seed = 0;
  int32_t num_cases = 0;
  GoldenFields fields;
  if (golden_read_header(file, &seed, &num_cases) != 0) return 1;
  for (int32_t i = 0; i < num_cases; ++i) {
    Call call;
    if (tfmpq_file_read(file, &fields, sizeof(fields)) != 0) {
      printf("the file ends before case %ld\n", (long)i);
      return 1;
    }
    if (place(&fields, scratch_bytes(&fields), &call) != 0) {
      printf("case %ld needs more than the %ld bytes of this board\n", (long)i,
             (long)kMemoryBytes);
      return 1;
    }
    void (*const function)(void*) = prepare(&fields, &call);
    const uint32_t count = tfmpq_count_instructions(counter, function, &call);
    if (count == UINT32_MAX) {
      printf("case %ld takes more instructions than can be counted\n", (long)i);
      return 1;
    }
    printf("result case_%ld_instructions %lu\n", (long)i, (unsigned long)count);
  }
  return 0;
}

int main(int argc, char** argv) {
  TfmpqFile file;
  TfmpqInstructionCounter counter = {0};
  if (argc != 2 || tfmpq_file_open(argv[1], &file) != 0) {
    printf("usage: layer_counter FILE, a file of fields\n");
    return 1;
  }
  if (tfmpq_instruction_counter_calibrate(&counter) != 0) {
    printf("instructions cannot be counted here\n");
    return 1;
  }
  const int status = run_file(&file, &counter);
  tfmpq_file_close(&file);
  return status;
}
