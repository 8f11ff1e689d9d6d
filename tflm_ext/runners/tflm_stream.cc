/* Runs the model of a firmware package under TensorFlow Lite Micro on the
 * images of standard input, on the host, and writes the logits to standard
 * output: codes without a header, one image after the other, until the input
 * ends. */
#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "model_data.h"
#include "model_ops.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace tfmpq {
namespace {

/* No device has as much; pointers of a host take more than MODEL_ARENA_BYTES.
 */
alignas(16) uint8_t arena[32 * 1024 * 1024];

int Fail(const char* message) {
  std::fprintf(stderr, "tflm_stream: %s\n", message);
  return 1;
}

int Run() {
  tflm::InitializeTarget();
  ModelOpResolver resolver;
  if (RegisterModelOps(resolver) != kTfLiteOk) {
    return Fail("the ops cannot be registered");
  }
  tflm::MicroInterpreter interpreter(tflm::GetModel(model_data), resolver,
                                     arena, sizeof(arena));
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    return Fail("the model cannot be allocated");
  }
  const TfLiteTensor* const input = interpreter.input(0);
  const TfLiteTensor* const output = interpreter.output(0);
  for (;;) {
    const size_t num_bytes =
        std::fread(input->data.raw, 1, input->bytes, stdin);
    if (num_bytes == 0) {
      return std::fflush(stdout) == 0 ? 0 : Fail("no output");
    }
    if (num_bytes != input->bytes) return Fail("a part of an image is missing");
    if (interpreter.Invoke() != kTfLiteOk) return Fail("Invoke failed");
    if (std::fwrite(output->data.raw, 1, output->bytes, stdout) !=
        output->bytes) {
      return Fail("the logits cannot be written");
    }
  }
}

}  // namespace
}  // namespace tfmpq

int main() { return tfmpq::Run(); }
