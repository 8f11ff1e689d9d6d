#include "tflm_ext/kernels/kernels_test_case.h"

#include <stdio.h>
#include <string.h>

#include "tflm_ext/runners/memory_sections.h"

static const char kMagic[8] = {'T', 'F', 'M', 'P', 'Q', 'G', 'V', '1'};

enum { kAlignment = 16 };

TFMPQ_ARENA static uint8_t memory[kGoldenCaseBytes];

int golden_read_header(TfmpqFile* file, int32_t* seed, int32_t* num_cases) {
  char magic[sizeof(kMagic)];
  if (tfmpq_file_read(file, magic, sizeof(magic)) != 0 ||
      memcmp(magic, kMagic, sizeof(magic)) != 0 ||
      tfmpq_file_read(file, seed, sizeof(*seed)) != 0 ||
      tfmpq_file_read(file, num_cases, sizeof(*num_cases)) != 0) {
    printf("expected a file of golden vectors, which begins with TFMPQGV1\n");
    return -1;
  }
  return 0;
}

static int32_t activation_bytes(int32_t height, int32_t width, int32_t channels,
                                int32_t bits) {
  return height * width * ((channels * bits + 7) / 8);
}

/* Reads the next bytes of the file to where *used bytes of memory are taken. */
static int read_buffer(TfmpqFile* file, size_t* used, int32_t num_bytes,
                       Bytes* bytes) {
  bytes->data = memory + *used;
  bytes->num_bytes = (size_t)num_bytes;
  if (num_bytes < 0 || num_bytes > kGoldenBufferBytes ||
      bytes->num_bytes > kGoldenCaseBytes - *used) {
    printf(
        "a buffer has %ld bytes, this program holds %ld, and %ld of a case\n",
        (long)num_bytes, (long)kGoldenBufferBytes, (long)kGoldenCaseBytes);
    return -1;
  }
  if (num_bytes == 0) return 0;
  uint8_t* const destination = memory + *used;
  *used += (bytes->num_bytes + kAlignment - 1) / kAlignment * kAlignment;
  return tfmpq_file_read(file, destination, bytes->num_bytes);
}

int golden_read_case(TfmpqFile* file, GoldenCase* golden_case) {
  GoldenFields* fields = &golden_case->fields;
  size_t used = 0;
  if (tfmpq_file_read(file, fields, sizeof(*fields)) == 0 &&
      read_buffer(file, &used,
                  activation_bytes(fields->input_height, fields->input_width,
                                   fields->input_channels, fields->a_bits),
                  &golden_case->input) == 0 &&
      read_buffer(file, &used, fields->second_bytes, &golden_case->second) ==
          0 &&
      read_buffer(file, &used, fields->parameters_bytes,
                  &golden_case->parameters) == 0 &&
      read_buffer(file, &used,
                  activation_bytes(fields->output_height, fields->output_width,
                                   fields->output_channels, fields->o_bits),
                  &golden_case->output) == 0) {
    return 0;
  }
  printf("the file of golden vectors ends early or is damaged\n");
  return -1;
}
