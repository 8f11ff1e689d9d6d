// Checks that say through MicroPrintf what was expected and what was received.
#ifndef TFLM_EXT_OPS_REPORT_H_
#define TFLM_EXT_OPS_REPORT_H_

#include <cstdint>

namespace tfmpq {

// Each returns whether the check holds, and prints a line if not:
//   TfmpqConv2D: weight, dimension 1: expected 9, received 8
// `op` is the custom code, `what` names what is checked.
bool Expect(const char* op, const char* what, int64_t expected,
            int64_t received);
bool ExpectRange(const char* op, const char* what, int64_t lowest,
                 int64_t highest, int64_t received);

// Prints "<op>: <message>" and returns false.
bool Refuse(const char* op, const char* message);

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_REPORT_H_
