/* Runs a .tflite under TensorFlow Lite Micro on the images of standard input,
 * on the host, and writes the logits to standard output: codes without a
 * header, one image after the other, until the input ends.
 *
 * usage: tflm_stream MODEL */
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_ext/ops/verify_model.h"
#include "tflm_ext/runners/tflm_model.h"

namespace tfmpq {
namespace {

constexpr size_t kAlignment = 16;
/* More than any device has: what TFLM keeps is larger on a 64-bit host. */
constexpr size_t kArenaBytes = 64 * 1024 * 1024;

int Fail(const char* message) {
  std::fprintf(stderr, "tflm_stream: %s\n", message);
  return 1;
}

/* Returns the content of a file, aligned; no data if it cannot be read. */
ModelBytes ReadModel(const char* path) {
  std::FILE* const file = std::fopen(path, "rb");
  if (file == nullptr) return {nullptr, 0};
  std::fseek(file, 0, SEEK_END);
  const long num_bytes = std::ftell(file);
  std::rewind(file);
  uint8_t* data = nullptr;
  const size_t size = num_bytes > 0 ? static_cast<size_t>(num_bytes) : 0;
  if (size > 0) {
    data = static_cast<uint8_t*>(
        std::aligned_alloc(kAlignment, (size / kAlignment + 1) * kAlignment));
    if (data != nullptr && std::fread(data, 1, size, file) != size) {
      std::free(data);
      data = nullptr;
    }
  }
  std::fclose(file);
  return {data, size};
}

int RunImages(tflm::MicroInterpreter& interpreter) {
  const TfLiteTensor* const input = interpreter.input(0);
  const TfLiteTensor* const output = interpreter.output(0);
  for (;;) {
    const size_t num_bytes =
        std::fread(input->data.raw, 1, input->bytes, stdin);
    if (num_bytes == 0) break;
    if (num_bytes != input->bytes) return Fail("a part of an image is missing");
    if (interpreter.Invoke() != kTfLiteOk) return Fail("Invoke failed");
    if (std::fwrite(output->data.raw, 1, output->bytes, stdout) !=
        output->bytes) {
      break;
    }
  }
  return std::fflush(stdout) == 0 ? 0 : Fail("the logits cannot be written");
}

int Run(const char* path) {
  const ModelBytes model = ReadModel(path);
  if (model.data == nullptr) return Fail("the model cannot be read");
  if (VerifyModel(model.data, model.num_bytes) != kTfLiteOk) {
    return Fail("the model is refused");
  }
  uint8_t* const arena =
      static_cast<uint8_t*>(std::aligned_alloc(kAlignment, kArenaBytes));
  if (arena == nullptr) return Fail("there is no memory for the arena");
  OpResolver resolver;
  if (RegisterModelOps(resolver) != kTfLiteOk) {
    return Fail("the ops cannot be registered");
  }
  tflm::MicroInterpreter interpreter(tflm::GetModel(model.data), resolver,
                                     arena, kArenaBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    return Fail("the model cannot be allocated");
  }
  return RunImages(interpreter);
}

}  // namespace
}  // namespace tfmpq

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: tflm_stream MODEL\n");
    return 2;
  }
  return tfmpq::Run(argv[1]);
}
