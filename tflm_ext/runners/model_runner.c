/* Runs an exported model on test images, compares every logit, and measures.
 *
 * usage: model_runner IMAGES EXPECTED
 *
 * IMAGES holds int8 codes of images one after the other, EXPECTED the int8
 * codes that the model must give for each; neither has a header. Prints
 *
 *   result images <n>
 *   result equal_images <n>               all logits equal, to the bit
 *   result arena_high_water_bytes <n>     end of what is used of the arena
 *   result stack_bytes <n>                of one inference
 *   result instructions_min <n>           over all images
 *   result instructions_max <n>
 *
 * without the lines that cannot be measured here (model_meter.h), and returns 0
 * if all images are equal and nothing around the arena was written. */
#include <stdio.h>
#include <string.h>

#include "model.h"
#include "tflm_ext/runners/files.h"
#include "tflm_ext/runners/model_meter.h"

static const uint8_t kPatterns[] = {0x55, 0xaa};

static int8_t image[MODEL_INPUT_BYTES];
static int8_t expected[MODEL_OUTPUT_BYTES];

typedef struct {
  uint32_t num_images;
  uint32_t num_equal;
  uint32_t fewest_instructions;
  uint32_t most_instructions; /* 0: not counted. */
} Totals;

static void invoke(void* context) {
  (void)context;
  model_invoke();
}

static void print_result(const char* name, uint32_t value) {
  printf("result %s %lu\n", name, (unsigned long)value);
}

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* Returns whether the output is the expected one; prints the first difference
 * if not. */
static int output_is_expected(uint32_t index) {
  const int8_t* const output = model_output();
  for (int i = 0; i < MODEL_OUTPUT_BYTES; ++i) {
    if (output[i] != expected[i]) {
      printf("image %lu: logit %d is %d, expected %d\n", (unsigned long)index,
             i, output[i], expected[i]);
      return 0;
    }
  }
  return 1;
}

/* Returns the length of `bytes` without what still holds `pattern` at its
 * end. */
static uint32_t high_water(const uint8_t* bytes, uint32_t num_bytes,
                           uint8_t pattern) {
  while (num_bytes > 0 && bytes[num_bytes - 1] == pattern) --num_bytes;
  return num_bytes;
}

static int check_guards(uint8_t pattern) {
  static const char* const messages[] = {
      "", "bytes around the arena were written\n",
      "the guards do not lie around the arena\n"};
  const int status =
      tfmpq_meter_check_guards(model_arena, MODEL_ARENA_BYTES, pattern);
  printf("%s", messages[status]);
  return status != 0;
}

/* Runs the current image, number 0, once for each pattern. */
static int measure_memory(void) {
  uint32_t arena_bytes = 0;
  uint32_t stack_bytes = 0;
  int failures = 0;
  for (size_t i = 0; i < sizeof(kPatterns); ++i) {
    const uint8_t pattern = kPatterns[i];
    memset(model_arena, pattern, MODEL_ARENA_BYTES);
    tfmpq_meter_fill_guards(pattern);
    memcpy(model_input(), image, sizeof(image));
    stack_bytes =
        larger(stack_bytes, tfmpq_meter_stack_bytes(invoke, NULL, pattern));
    arena_bytes = larger(arena_bytes,
                         high_water(model_arena, MODEL_ARENA_BYTES, pattern));
    failures += check_guards(pattern) + !output_is_expected(0);
  }
  if (stack_bytes >= kTfmpqMaxStackBytes) {
    printf("the model needs more stack than can be measured\n");
    ++failures;
  }
  print_result("arena_high_water_bytes", arena_bytes);
  if (stack_bytes != 0) print_result("stack_bytes", stack_bytes);
  return failures;
}

/* Runs all images. Returns how many failures there were apart from logits. */
static int run_images(TfmpqFile* images, TfmpqFile* outputs, Totals* totals) {
  TfmpqModelMeter meter;
  int failures = 0;
  tfmpq_meter_start(&meter);
  for (uint32_t i = 0; i < totals->num_images; ++i) {
    if (tfmpq_file_read(images, image, sizeof(image)) != 0 ||
        tfmpq_file_read(outputs, expected, sizeof(expected)) != 0) {
      printf("image %lu cannot be read\n", (unsigned long)i);
      return failures + 1;
    }
    if (i == 0) failures += measure_memory();
    memcpy(model_input(), image, sizeof(image));
    const uint32_t count = tfmpq_meter_instructions(&meter, invoke, NULL);
    totals->most_instructions = larger(totals->most_instructions, count);
    if (count < totals->fewest_instructions) {
      totals->fewest_instructions = count;
    }
    totals->num_equal += (uint32_t)output_is_expected(i);
  }
  return failures;
}

static int run(TfmpqFile* images, TfmpqFile* outputs) {
  const size_t num_images = images->num_bytes / MODEL_INPUT_BYTES;
  if (num_images == 0 || images->num_bytes % MODEL_INPUT_BYTES != 0 ||
      outputs->num_bytes != num_images * MODEL_OUTPUT_BYTES) {
    printf(
        "%lu bytes of images of %d bytes do not match %lu bytes of outputs of "
        "%d bytes\n",
        (unsigned long)images->num_bytes, MODEL_INPUT_BYTES,
        (unsigned long)outputs->num_bytes, MODEL_OUTPUT_BYTES);
    return 1;
  }
  Totals totals = {(uint32_t)num_images, 0, UINT32_MAX, 0};
  const int failures = run_images(images, outputs, &totals);
  print_result("images", totals.num_images);
  print_result("equal_images", totals.num_equal);
  if (totals.most_instructions != 0) {
    print_result("instructions_min", totals.fewest_instructions);
    print_result("instructions_max", totals.most_instructions);
  }
  return failures != 0 || totals.num_equal != totals.num_images;
}

int main(int argc, char** argv) {
  TfmpqFile images;
  TfmpqFile outputs;
  if (argc != 3) {
    printf("usage: model_runner IMAGES EXPECTED\n");
    return 2;
  }
  if (tfmpq_file_open(argv[1], &images) != 0) {
    printf("cannot open %s\n", argv[1]);
    return 1;
  }
  if (tfmpq_file_open(argv[2], &outputs) != 0) {
    printf("cannot open %s\n", argv[2]);
    tfmpq_file_close(&images);
    return 1;
  }
  const int status = run(&images, &outputs);
  tfmpq_file_close(&images);
  tfmpq_file_close(&outputs);
  return status;
}
