/* Golden cases for kernels_test.c: reading them from a file. The format is
 * described in tests/golden_vectors.py. */
#ifndef TFLM_EXT_KERNELS_KERNELS_TEST_CASE_H_
#define TFLM_EXT_KERNELS_KERNELS_TEST_CASE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/runners/files.h"

enum {
  kConv2D,
  kDepthwiseConv2D,
  kFullyConnected,
  kAdd,
  kAveragePool,
  kMaxPool
};

/* The fields of a case, in the order of the file. */
typedef struct {
  int32_t op;
  int32_t a_bits;
  int32_t w_bits; /* Of the weight or of the second input of an add. */
  int32_t o_bits;
  int32_t input_height;
  int32_t input_width;
  int32_t input_channels;
  int32_t output_height;
  int32_t output_width;
  int32_t output_channels;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_height;
  int32_t stride_width;
  int32_t pad_top;
  int32_t pad_left;
  int32_t input_zero_point;
  int32_t second_zero_point; /* Of all weights or of the second input. */
  int32_t output_zero_point;
  int32_t shift;
  int32_t pre_shift;
  int32_t second_bytes;
  int32_t parameters_bytes;
  int32_t per_channel_zero_points;
} GoldenFields;

typedef struct {
  const uint8_t* data;
  size_t num_bytes;
} Bytes;

/* The buffers of a case. They lie in memory that the next case overwrites. */
typedef struct {
  GoldenFields fields;
  Bytes input;
  Bytes second; /* The weight or the second input of an add. */
  Bytes parameters;
  Bytes output;
} GoldenCase;

/* Bytes that no buffer of a case exceeds, and that all four together do not
 * exceed. */
#ifndef TFMPQ_GOLDEN_BUFFER_BYTES
#define TFMPQ_GOLDEN_BUFFER_BYTES (32 * 1024)
#define TFMPQ_GOLDEN_CASE_BYTES (4 * TFMPQ_GOLDEN_BUFFER_BYTES)
#endif
enum {
  kGoldenBufferBytes = TFMPQ_GOLDEN_BUFFER_BYTES,
  kGoldenCaseBytes = TFMPQ_GOLDEN_CASE_BYTES
};

/* Reads the header of a file. Returns 0, or -1 with a message printed. */
int golden_read_header(TfmpqFile* file, int32_t* seed, int32_t* num_cases);

/* Reads the next case. Returns 0, or -1 with a message printed. */
int golden_read_case(TfmpqFile* file, GoldenCase* golden_case);

#endif /* TFLM_EXT_KERNELS_KERNELS_TEST_CASE_H_ */
