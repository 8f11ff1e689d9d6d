#include "tflm_ext/ops/captured_log.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tensorflow/lite/micro/debug_log.h"

namespace {

constexpr size_t kMaxLogBytes = 4096;

char log_text[kMaxLogBytes];
size_t log_length = 0;

}  // namespace

namespace tfmpq {

void ClearLog() {
  log_length = 0;
  log_text[0] = '\0';
}

const char* CapturedLog() { return log_text; }

}  // namespace tfmpq

// What TFLM asks of a platform.
extern "C" void DebugLog(const char* format, va_list args) {
  const size_t space = kMaxLogBytes - log_length;
  const int length = std::vsnprintf(log_text + log_length, space, format, args);
  if (length > 0) {
    log_length += static_cast<size_t>(length) < space
                      ? static_cast<size_t>(length)
                      : space - 1;
  }
  // A failed assertion of TFLM ends with this word.
  if (std::strcmp(format, "HALTED") == 0) {
    std::printf("%s\n", log_text);
    std::abort();
  }
}

extern "C" int DebugVsnprintf(char* buffer, size_t num_bytes,
                              const char* format, va_list args) {
  return std::vsnprintf(buffer, num_bytes, format, args);
}
