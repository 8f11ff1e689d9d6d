#include "tflm_ext/ops/report.h"

#include "tflm_ext/ops/tflm.h"

namespace tfmpq {
namespace {

// MicroPrintf need not know 64-bit numbers: what is outside of int32 prints as
// the nearest one inside.
int Printable(int64_t value) {
  if (value < INT32_MIN) return INT32_MIN;
  return static_cast<int>(value > INT32_MAX ? INT32_MAX : value);
}

}  // namespace

bool Expect(const char* op, const char* what, int64_t expected,
            int64_t received) {
  using namespace tflm;  // NOLINT(build/namespaces): MicroPrintf
  if (received == expected) return true;
  MicroPrintf("%s: %s: expected %d, received %d", op, what, Printable(expected),
              Printable(received));
  return false;
}

bool ExpectRange(const char* op, const char* what, int64_t lowest,
                 int64_t highest, int64_t received) {
  using namespace tflm;  // NOLINT(build/namespaces): MicroPrintf
  if (lowest <= received && received <= highest) return true;
  MicroPrintf("%s: %s: expected %d to %d, received %d", op, what,
              Printable(lowest), Printable(highest), Printable(received));
  return false;
}

bool Refuse(const char* op, const char* message) {
  using namespace tflm;  // NOLINT(build/namespaces): MicroPrintf
  MicroPrintf("%s: %s", op, message);
  return false;
}

}  // namespace tfmpq
