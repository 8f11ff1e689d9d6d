// Runs every model of a file of cases under TFLM: logits must be the expected
// ones to the bit, and a malformed model must be refused with its message.
//
// usage: ops_test FILE
//
// tests/write_op_cases.py specifies the file.
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_ext/ops/captured_log.h"
#include "tflm_ext/ops/register_ops.h"
#include "tflm_ext/ops/verify_model.h"
#include "tflm_ext/runners/files.h"
#include "tflm_ext/runners/memory_sections.h"

namespace tfmpq {
namespace {

constexpr char kMagic[] = "TFMPQOP1";
constexpr size_t kMaxBytes = 32 * 1024;
constexpr size_t kMaxText = 256;
constexpr size_t kGuardBytes = 16;
constexpr uint8_t kGuard = 0xa5;
constexpr int kMaxFailures = 10;

enum RefusedBy : int32_t { kByNone, kByOp, kByVerifier };

struct CaseHeader {
  int32_t refused_by;
  int32_t num_images;
  int32_t name_bytes;
  int32_t message_bytes;
  int32_t model_bytes;
  int32_t images_bytes;
  int32_t outputs_bytes;
};

struct Case {
  CaseHeader header;
  char name[kMaxText + 1];
  char message[kMaxText + 1];
};

using Resolver = tflm::MicroMutableOpResolver<kNumOps>;

TFMPQ_ARENA uint8_t model[kMaxBytes];
TFMPQ_ARENA uint8_t images[kMaxBytes];
TFMPQ_ARENA uint8_t outputs[kMaxBytes];
TFMPQ_ARENA uint8_t arena[kMaxBytes + kGuardBytes];

bool ReadPart(TfmpqFile* file, int32_t num_bytes, void* buffer,
              size_t capacity) {
  return num_bytes >= 0 && static_cast<size_t>(num_bytes) <= capacity &&
         tfmpq_file_read(file, buffer, static_cast<size_t>(num_bytes)) == 0;
}

bool ReadCase(TfmpqFile* file, Case* test) {
  CaseHeader& header = test->header;
  *test = Case();
  return tfmpq_file_read(file, &header, sizeof(header)) == 0 &&
         ReadPart(file, header.name_bytes, test->name, kMaxText) &&
         ReadPart(file, header.message_bytes, test->message, kMaxText) &&
         ReadPart(file, header.model_bytes, model, kMaxBytes) &&
         ReadPart(file, header.images_bytes, images, kMaxBytes) &&
         ReadPart(file, header.outputs_bytes, outputs, kMaxBytes);
}

// Returns nullptr, or what is wrong with one inference.
const char* RunImage(tflm::MicroInterpreter* interpreter, const Case& test,
                     int32_t index) {
  TfLiteTensor* const input = interpreter->input(0);
  const TfLiteTensor* const output = interpreter->output(0);
  const size_t count = static_cast<size_t>(test.header.num_images);
  if (input->bytes * count != static_cast<size_t>(test.header.images_bytes) ||
      output->bytes * count != static_cast<size_t>(test.header.outputs_bytes)) {
    return "the network's input or output has another size";
  }
  std::memcpy(input->data.raw, images + index * input->bytes, input->bytes);
  if (interpreter->Invoke() != kTfLiteOk) return "Invoke failed";
  if (std::memcmp(output->data.raw, outputs + index * output->bytes,
                  output->bytes) != 0) {
    return "other logits than expected";
  }
  return nullptr;
}

// Returns nullptr, or what is wrong. `fill`: what the arena holds before.
const char* RunValid(const Case& test, const Resolver& resolver, int fill) {
  if (VerifyModel(model, static_cast<size_t>(test.header.model_bytes)) !=
      kTfLiteOk) {
    return "VerifyModel refuses it";
  }
  std::memset(arena, fill, kMaxBytes);
  std::memset(arena + kMaxBytes, kGuard, kGuardBytes);
  tflm::MicroInterpreter interpreter(tflm::GetModel(model), resolver, arena,
                                     kMaxBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk)
    return "AllocateTensors failed";
  for (int32_t i = 0; i < test.header.num_images; ++i) {
    const char* failure = RunImage(&interpreter, test, i);
    if (failure != nullptr) return failure;
  }
  for (size_t i = 0; i < kGuardBytes; ++i) {
    if (arena[kMaxBytes + i] != kGuard) return "wrote behind the arena";
  }
  return nullptr;
}

const char* RunRefused(const Case& test, const Resolver& resolver) {
  if (test.header.refused_by == kByVerifier) {
    if (VerifyModel(model, static_cast<size_t>(test.header.model_bytes)) ==
        kTfLiteOk) {
      return "VerifyModel accepts it";
    }
  } else {
    std::memset(arena, 0, kMaxBytes);
    tflm::MicroInterpreter interpreter(tflm::GetModel(model), resolver, arena,
                                       kMaxBytes);
    if (interpreter.AllocateTensors() == kTfLiteOk &&
        interpreter.Invoke() == kTfLiteOk) {
      return "it runs";
    }
  }
  if (std::strstr(CapturedLog(), test.message) == nullptr) {
    return "it is refused with another message";
  }
  return nullptr;
}

const char* RunCase(const Case& test, const Resolver& resolver) {
  if (test.header.refused_by != kByNone) return RunRefused(test, resolver);
  const char* failure = RunValid(test, resolver, 0x55);
  return failure != nullptr ? failure : RunValid(test, resolver, 0xaa);
}

// Runs all cases; returns the number of failures, -1 if they cannot be read.
int RunCases(TfmpqFile* file, int32_t num_cases) {
  Resolver resolver;
  if (RegisterAllOps(resolver) != kTfLiteOk) return -1;
  int num_failures = 0;
  int num_refused = 0;
  for (int32_t i = 0; i < num_cases; ++i) {
    static Case test;
    if (!ReadCase(file, &test)) return -1;
    ClearLog();
    num_refused += test.header.refused_by != kByNone;
    const char* failure = RunCase(test, resolver);
    if (failure == nullptr) continue;
    std::printf("%s: %s\n%s", test.name, failure, CapturedLog());
    if (test.message[0] != '\0') std::printf("expected: %s\n", test.message);
    if (++num_failures == kMaxFailures) break;
  }
  std::printf("%d cases, %d of them malformed; %d failed\n",
              static_cast<int>(num_cases), num_refused, num_failures);
  return num_failures;
}

int Main(int argc, char** argv) {
  TfmpqFile file;
  if (argc != 2 || tfmpq_file_open(argv[1], &file) != 0) {
    std::printf("usage: ops_test FILE\n");
    return 2;
  }
  char magic[8];
  int32_t counts[2];  // Seed, cases.
  if (tfmpq_file_read(&file, magic, sizeof(magic)) != 0 ||
      std::memcmp(magic, kMagic, sizeof(magic)) != 0 ||
      tfmpq_file_read(&file, counts, sizeof(counts)) != 0 || counts[1] < 1) {
    std::printf("%s is no file of cases\n", argv[1]);
    return 2;
  }
  std::printf("seed %d\n", static_cast<int>(counts[0]));
  const int num_failures = RunCases(&file, counts[1]);
  if (num_failures < 0) std::printf("%s cannot be read\n", argv[1]);
  tfmpq_file_close(&file);
  return num_failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tfmpq

int main(int argc, char** argv) { return tfmpq::Main(argc, argv); }
