/* What TensorFlow Lite Micro asks of a platform: its log, on standard output.
 * The linker prefers these functions to those in TFLM's own library. */
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tensorflow/lite/micro/debug_log.h"

extern "C" void DebugLog(const char* format, va_list args) {
  std::vprintf(format, args);
  /* A failed assertion of TFLM logs this word; where TFLM has been built for
   * microcontrollers it goes on to loop for ever. */
  if (std::strcmp(format, "HALTED") == 0) std::abort();
}

extern "C" int DebugVsnprintf(char* buffer, size_t num_bytes,
                              const char* format, va_list args) {
  return std::vsnprintf(buffer, num_bytes, format, args);
}
