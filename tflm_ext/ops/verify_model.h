// A check of a .tflite of which nothing is known yet.
#ifndef TFLM_EXT_OPS_VERIFY_MODEL_H_
#define TFLM_EXT_OPS_VERIFY_MODEL_H_

#include <cstddef>

#include "tflm_ext/ops/tflm.h"

namespace tfmpq {

// Checks that a model may be handed to TFLM, which takes a file as it is: its
// offsets, the indices of tensors and buffers, the sizes of constants. Checks
// in addition what no operator can see by itself: that tensors are written
// before they are read, that widths, channels and zero points are those with
// which an activation was written, and that the memory plan keeps alive what is
// read later.
//
// A model that is part of the firmware needs no check. One that comes from
// elsewhere is to be checked before a MicroInterpreter is made of it.
//
// Args:
//   data: the content of the file, at a multiple of 16 bytes.
//   num_bytes: its length.
//
// Returns kTfLiteOk, or kTfLiteError, having said why through MicroPrintf.
TfLiteStatus VerifyModel(const void* data, size_t num_bytes);

// The same without the comparison of each operator with those that write what
// it reads: after it nothing can go wrong but results.
TfLiteStatus VerifyStructure(const void* data, size_t num_bytes);

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_VERIFY_MODEL_H_
