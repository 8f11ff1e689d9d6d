/* The kernels that kernels_test.c runs: portable ones, or those for the
 * instruction set that TFMPQ_TEST_DSP names. Ops for which
 * there are no such kernels are tested with the portable ones. */
#ifndef TFLM_EXT_KERNELS_KERNELS_TEST_TARGET_H_
#define TFLM_EXT_KERNELS_KERNELS_TEST_TARGET_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/kernels_test_case.h"
#include "tflm_ext/kernels/types.h"

typedef void (*ConvKernel)(const tfmpq_conv_params*, const void*, const void*,
                           const tfmpq_channel*, const int8_t*, void*, void*);
typedef void (*AddKernel)(const tfmpq_add_params*, const void*, const void*,
                          void*);
typedef void (*AveragePoolKernel)(const tfmpq_pool_params*, const void*,
                                  const int32_t*, void*);
typedef void (*MaxPoolKernel)(const tfmpq_pool_params*, const void*, void*);

typedef struct {
  const char* name;
  ConvKernel conv[3][27]; /* By op (kernels_test_case.h) and widths a, w, o. */
  AddKernel add[27];
  AveragePoolKernel average_pool[9];
  MaxPoolKernel max_pool[3];
} TestedKernels;

extern const TestedKernels tested_kernels;

/* Returns the position of a case's widths in lists of triples. */
int tested_triple_index(const GoldenFields* fields);

/* Returns the parameters of a conv2d, depthwise_conv2d or fully_connected. */
tfmpq_conv_params tested_conv_params(const GoldenFields* fields);

/* Runs the kernel of such a case. */
void tested_run_conv(const GoldenFields* fields, const void* input,
                     const void* weight, const uint8_t* parameters,
                     void* output, void* scratch);

/* What the kernels' headers say of a conv2d, depthwise_conv2d or
 * fully_connected, op being kConv2D and so on. Of the portable kernels: layout
 * TFMPQ_TEST_LAYOUT where the op has it, no scratch, not in place. */
int tested_layout(int32_t op, const tfmpq_conv_params* params, int a_bits,
                  int w_bits);
size_t tested_scratch_bytes(int32_t op, const tfmpq_conv_params* params,
                            int a_bits, int w_bits, int o_bits);
int tested_in_place(int32_t op, const tfmpq_conv_params* params, int a_bits,
                    int o_bits);

#endif /* TFLM_EXT_KERNELS_KERNELS_TEST_TARGET_H_ */
