// The ops with a TFLM that has everything in tflite::micro (october_2026/):
// they register, and they log.
#include "tflm_ext/ops/tflm.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tflm_ext/ops/register_ops.h"
#include "tflm_ext/ops/report.h"

namespace {

char logged[256];

}  // namespace

namespace tflite {
namespace micro {

void MicroPrintf(const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::vsnprintf(logged, sizeof(logged), format, args);
  va_end(args);
}

}  // namespace micro
}  // namespace tflite

int main() {
  tfmpq::tflm::MicroMutableOpResolver<tfmpq::kNumOps> resolver;
  if (tfmpq::RegisterAllOps(resolver) != kTfLiteOk) return 1;
  for (unsigned int i = 0; i < tfmpq::kNumOps; ++i) {
    const char* name = tfmpq::OpName(static_cast<tfmpq::Op>(i));
    if (resolver.names[i] == nullptr || *resolver.names[i] == '\0' ||
        std::strcmp(resolver.names[i], name) != 0) {
      std::printf("op %u is not registered as %s\n", i, name);
      return 1;
    }
  }
  if (tfmpq::Expect("Op", "shift", 3, -1)) return 1;
  const char* expected = "Op: shift: expected 3, received -1";
  if (std::strcmp(logged, expected) != 0) {
    std::printf("logged '%s', expected '%s'\n", logged, expected);
    return 1;
  }
  return 0;
}
