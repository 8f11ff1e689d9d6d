// What TFLM and the ops log, kept instead of printed, for tests.
#ifndef TFLM_EXT_OPS_CAPTURED_LOG_H_
#define TFLM_EXT_OPS_CAPTURED_LOG_H_

namespace tfmpq {

// Forgets what was logged.
void ClearLog();

// Returns what was logged since, cut after some KiB.
const char* CapturedLog();

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_CAPTURED_LOG_H_
