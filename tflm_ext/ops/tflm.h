// Names of TensorFlow Lite Micro, whatever their namespace is.
//
// In mid-2026 TFLM has its classes in tflite:: and helpers in tflite::micro::;
// from October 2026 on everything is in tflite::micro::. tfmpq::tflm::X is X of
// either version. C names (TfLiteContext, TFLMRegistration) are global in both.
#ifndef TFLM_EXT_OPS_TFLM_H_
#define TFLM_EXT_OPS_TFLM_H_

#include "tensorflow/lite/micro/micro_common.h"
#include "tensorflow/lite/micro/micro_log.h"

namespace tflite {
namespace micro {}
}  // namespace tflite

namespace tfmpq {
namespace tflm {

// A name is looked up in both. One that both declare would be ambiguous, which
// the compiler reports.
using namespace tflite;         // NOLINT(build/namespaces)
using namespace tflite::micro;  // NOLINT(build/namespaces)

}  // namespace tflm
}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_TFLM_H_
