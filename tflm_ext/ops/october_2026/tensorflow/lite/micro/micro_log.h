// Stands in for TFLM from October 2026 on, in which everything is in
// tflite::micro: a few declarations, for a test that the ops compile with them.
#ifndef TFLM_EXT_OPS_OCTOBER_2026_MICRO_LOG_H_
#define TFLM_EXT_OPS_OCTOBER_2026_MICRO_LOG_H_

namespace tflite {
namespace micro {

void MicroPrintf(const char* format, ...);

}  // namespace micro
}  // namespace tflite

#endif  // TFLM_EXT_OPS_OCTOBER_2026_MICRO_LOG_H_
