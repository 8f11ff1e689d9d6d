/* What tflm_runner.cc is linked with: a model, and the ops that it needs.
 *
 * Either the model is read from a file and every op is there (tflm_file.cc,
 * tflm_all_ops.cc), or both are part of the program, as
 * tfmpq/tflm_sources.py writes them. */
#ifndef TFLM_EXT_RUNNERS_TFLM_MODEL_H_
#define TFLM_EXT_RUNNERS_TFLM_MODEL_H_

#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tflm_ext/ops/tflm.h"

namespace tfmpq {

inline constexpr unsigned int kMaxOps = 24;

using OpResolver = tflm::MicroMutableOpResolver<kMaxOps>;

struct ModelBytes {
  const uint8_t* data; /* 16-byte aligned; nullptr if there is none. */
  size_t num_bytes;
};

/* Returns the content of a .tflite. `path`: of the file; "embedded" for the one
 * that is part of the program. */
ModelBytes LoadModel(const char* path);

/* Registers the ops of the model. */
TfLiteStatus RegisterModelOps(OpResolver& resolver);

}  // namespace tfmpq

#endif  // TFLM_EXT_RUNNERS_TFLM_MODEL_H_
