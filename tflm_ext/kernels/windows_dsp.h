/* Windows: from the input under the kernel to columns, for conv2d with DSP
 * instructions. */
#ifndef TFLM_EXT_KERNELS_WINDOWS_DSP_H_
#define TFLM_EXT_KERNELS_WINDOWS_DSP_H_

#include <stdint.h>

#include "tflm_ext/kernels/columns_dsp.h"
#include "tflm_ext/kernels/types.h"

struct tfmpq_windows;

/* Expands the window of one output pixel, whose first tap is at input pixel
 * (y, x), outside of the image if negative: every second word from `columns`
 * on. Returns the sum of its elements. */
typedef int32_t (*tfmpq_expand_window)(const struct tfmpq_windows* windows,
                                       int32_t y, int32_t x, uint32_t* columns);

/* The input of a layer, and how its windows are expanded. */
typedef struct tfmpq_windows {
  tfmpq_expand_window expand;
  const tfmpq_conv_params* params;
  const tfmpq_input_part* part;
  const uint8_t* codes;
  uint32_t pixel_bytes;
  uint32_t row_bytes;
  uint32_t num_elements; /* Of a window. */
  uint32_t num_quads;    /* Of a window, the last one filled up. */
  uint32_t row_codes;    /* Of the taps of a row. */
  /* The last first taps of windows inside the image; -1 if there are none. */
  int32_t last_y;
  int32_t last_x;
  /* Where elements are gathered, a byte each, if they have to be. */
  uint8_t* run;
  /* Windows whose first tap is not behind this pixel may be read a word at a
   * time: no word ends behind the input. */
  const uint8_t* last_in_words;
} tfmpq_windows;

/* Returns the windows of an input. `scratch` is where elements may be gathered:
 * as many bytes as a window has elements, in whole groups, and 4. */
tfmpq_windows tfmpq_make_windows(const tfmpq_conv_params* params,
                                 const tfmpq_input_part* part,
                                 const uint8_t* codes, uint8_t* scratch);

#endif /* TFLM_EXT_KERNELS_WINDOWS_DSP_H_ */
