/* What the files of depthwise_conv2d share: a call in progress, a group of its
 * channels, and the way that serves any kernel. */
#ifndef TFLM_EXT_KERNELS_DEPTHWISE_CALL_MVE_H_
#define TFLM_EXT_KERNELS_DEPTHWISE_CALL_MVE_H_

#include <stdint.h>

#include "tflm_ext/kernels/depthwise_rows_mve.h"
#include "tflm_ext/kernels/types.h"

/* What the widths of a kernel choose. */
typedef struct {
  tfmpq_expand_lanes expand_input;
  tfmpq_push_rows push_rows;
  tfmpq_push_rows push_some_rows;
  tfmpq_push_rows push_row;
  tfmpq_expand_lanes expand_weights;
  tfmpq_pack_lanes pack_output;
  uint8_t a_bits;
  uint8_t w_bits;
  uint8_t o_bits;
} tfmpq_depthwise_parts;

/* The arguments of a kernel. */
typedef struct {
  const tfmpq_conv_params* params;
  const uint8_t* input;
  const uint8_t* weight;
  const tfmpq_channel* channels;
  const int8_t* weight_zero_points;
  uint8_t* output;
  int8_t* scratch;
} tfmpq_depthwise_arguments;

/* A call in progress. */
typedef struct {
  const tfmpq_depthwise_parts* parts;
  const tfmpq_depthwise_arguments* arguments;
  tfmpq_vector_rescale rescale;
  int is_paired;
  int is_single;        /* The kernel is one patch. */
  uint32_t first_row;   /* Of the kernel in a patch, unless paired. */
  uint32_t num_columns; /* Quads, or rows of the ring: lanes of 16 bytes. */
  uint32_t num_patch_rows;
  uint32_t num_patch_columns;
  uint32_t input_width;         /* Columns of the input that are used. */
  uint32_t pixel_bytes;         /* Of the input. */
  uint32_t code_lanes;          /* Paired: bytes from a pixel to the next. */
  uint32_t code_row_bytes;      /* From a row of `codes` to the next. */
  uint8_t padding[kTfmpqLanes]; /* Codes of the zero point, as a run. */
  int8_t* ring;                 /* Unless single: kernel_height rows. */
  int8_t* quads;
  int8_t* weights; /* A quad column of zeros, then patches, then `mask`. */
  int8_t* mask;    /* 1 under the kernel, per patch. */
  int8_t* codes;   /* Of a step, 16 bytes per pixel. */
} tfmpq_depthwise_call;

/* A group of up to 16 channels. */
typedef struct {
  uint32_t first;
  uint32_t num_channels;
  /* What is left of the zero points of the weights after as much as fits has
   * been subtracted from the weights. */
  int8_t residual[kTfmpqLanes];
  int has_residual;
  int is_paired;
  uint32_t num_rows_taken; /* Rows of the padded input. */
  tfmpq_row_task task;
} tfmpq_depthwise_group;

/* Returns a row of the padded input, and in *step_bytes what lies from a pixel
 * to the next. */
const uint8_t* tfmpq_depthwise_row__mve(const tfmpq_depthwise_call* call,
                                        const tfmpq_depthwise_group* group,
                                        uint32_t row, uint32_t* step_bytes);

/* Makes quads of rows of a kernel of many patches, of which the first is row
 * `begin` of the padded input. */
void tfmpq_depthwise_take_ring__mve(const tfmpq_depthwise_call* call,
                                    tfmpq_depthwise_group* group,
                                    uint32_t begin);

/* Makes a row of codes: any kernel, any zero points of the weights. */
void tfmpq_depthwise_make_row__mve(const tfmpq_depthwise_call* call,
                                   const tfmpq_depthwise_group* group);

#endif /* TFLM_EXT_KERNELS_DEPTHWISE_CALL_MVE_H_ */
