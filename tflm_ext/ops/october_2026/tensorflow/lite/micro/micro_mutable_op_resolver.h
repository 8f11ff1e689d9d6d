// See micro_log.h.
#ifndef TFLM_EXT_OPS_OCTOBER_2026_MICRO_MUTABLE_OP_RESOLVER_H_
#define TFLM_EXT_OPS_OCTOBER_2026_MICRO_MUTABLE_OP_RESOLVER_H_

#include "tensorflow/lite/micro/micro_common.h"

namespace tflite {
namespace micro {

template <unsigned int size>
class MicroMutableOpResolver {
 public:
  TfLiteStatus AddCustom(const char* name,
                         const TFLMRegistration* registration) {
    names[count++] = name;
    return registration->prepare == nullptr ? kTfLiteError : kTfLiteOk;
  }

  const char* names[size] = {};
  unsigned int count = 0;
};

}  // namespace micro
}  // namespace tflite

#endif  // TFLM_EXT_OPS_OCTOBER_2026_MICRO_MUTABLE_OP_RESOLVER_H_
