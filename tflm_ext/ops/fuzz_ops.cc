// libFuzzer target: a model of which nothing is known is verified, prepared and
// run. Whatever it is, nothing may be read or written outside of its memory
// (the sanitizers watch), a refusal must be logged, and a result must depend on
// nothing but the model and its input.
//
// TFLM takes a flatbuffer as it is, so VerifyStructure stands before it. Models
// that VerifyModel refuses in addition are run, too: their results mean
// nothing, but they must be harmless.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_ext/ops/captured_log.h"
#include "tflm_ext/ops/fuzz_mutation.h"
#include "tflm_ext/ops/register_ops.h"
#include "tflm_ext/ops/verify_model.h"

namespace tfmpq {
namespace {

constexpr size_t kArenaBytes = 16 * 1024;
constexpr size_t kMaxOutputBytes = kArenaBytes;

using Resolver = tflm::MicroMutableOpResolver<kNumOps>;

// Models that ran, to mutate: a fuzzer by itself goes on from refused ones,
// each of which takes another path, and rarely finds one that runs again.
// Kept by the op that has been evaluated least.
constexpr size_t kPoolSize = 16;
std::vector<uint8_t> pool[kNumOps][kPoolSize];

// How often each op has been evaluated.
unsigned long num_evals[kNumOps];

struct Result {
  TfLiteStatus status;
  size_t num_bytes;
  uint8_t output[kMaxOutputBytes];
};

void PrintEvals() {
  for (int i = 0; i < kNumOps; ++i) {
    std::printf("evaluated %s %lu\n", OpName(static_cast<Op>(i)), num_evals[i]);
  }
}

[[noreturn]] void Fail(const char* what) {
  std::fprintf(stderr, "fuzz_ops: %s\n%s", what, CapturedLog());
  std::abort();
}

// Returns the op of the model that has been evaluated least.
int CountEvals(const tflm::Model* model) {
  int rarest = 0;
  unsigned long least = ~0ul;
  for (const auto* op : *model->subgraphs()->Get(0)->operators()) {
    const auto* code = model->operator_codes()->Get(op->opcode_index());
    for (int i = 0; i < kNumOps; ++i) {
      const char* name = OpName(static_cast<Op>(i));
      if (code->custom_code() != nullptr &&
          std::strcmp(code->custom_code()->c_str(), name) == 0) {
        ++num_evals[i];
        if (num_evals[i] < least) {
          least = num_evals[i];
          rarest = i;
        }
      }
    }
  }
  return rarest;
}

// Runs a model once, in an arena of its own that is filled with `fill` before.
void Run(const void* model, const Resolver& resolver, int fill,
         Result* result) {
  static_assert(kArenaBytes % 16 == 0, "aligned_alloc wants multiples");
  auto* arena = static_cast<uint8_t*>(std::aligned_alloc(16, kArenaBytes));
  std::memset(arena, fill, kArenaBytes);
  {
    tflm::MicroInterpreter interpreter(tflm::GetModel(model), resolver, arena,
                                       kArenaBytes);
    result->num_bytes = 0;
    result->status = interpreter.AllocateTensors();
    if (result->status == kTfLiteOk) {
      for (size_t i = 0; i < interpreter.inputs_size(); ++i) {
        TfLiteTensor* const input = interpreter.input(i);
        for (size_t k = 0; k < input->bytes; ++k) {
          input->data.uint8[k] = static_cast<uint8_t>(37 * k + 11);
        }
      }
      result->status = interpreter.Invoke();
    }
    if (result->status == kTfLiteOk) {
      const TfLiteTensor* const output = interpreter.output(0);
      result->num_bytes = output->bytes;
      std::memcpy(result->output, output->data.raw, output->bytes);
    }
  }
  std::free(arena);
}

// Returns the op under which a model that runs is to be kept, else -1.
int Check(const void* model, const Resolver& resolver, bool is_valid) {
  static Result first, second;
  Run(model, resolver, 0x00, &first);
  if (first.status != kTfLiteOk) {
    if (CapturedLog()[0] == '\0') Fail("refused without a message");
    return -1;
  }
  const int rarest = CountEvals(tflm::GetModel(model));
  Run(model, resolver, 0xff, &second);
  if (second.status != kTfLiteOk) Fail("refused the second time");
  if (is_valid &&
      (first.num_bytes != second.num_bytes ||
       std::memcmp(first.output, second.output, first.num_bytes) != 0)) {
    Fail("the result depends on what the arena held before");
  }
  return rarest;
}

}  // namespace
}  // namespace tfmpq

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  return std::atexit(tfmpq::PrintEvals);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static tfmpq::Resolver* resolver = nullptr;
  if (resolver == nullptr) {
    resolver = new tfmpq::Resolver();
    if (tfmpq::RegisterAllOps(*resolver) != kTfLiteOk) tfmpq::Fail("no ops");
  }
  // A copy that ends where the allocation ends.
  void* copy = nullptr;
  if (posix_memalign(&copy, 16, size + (size == 0)) != 0) return 0;
  if (size > 0) std::memcpy(copy, data, size);
  tfmpq::ClearLog();
  const bool is_valid = tfmpq::VerifyModel(copy, size) == kTfLiteOk;
  if (!is_valid && tfmpq::CapturedLog()[0] == '\0') {
    tfmpq::Fail("not verified, without a message");
  }
  if (is_valid || tfmpq::VerifyStructure(copy, size) == kTfLiteOk) {
    tfmpq::ClearLog();
    const int op = tfmpq::Check(copy, *resolver, is_valid);
    if (op >= 0) {
      const size_t slot = tfmpq::num_evals[op] % tfmpq::kPoolSize;
      tfmpq::pool[op][slot].assign(data, data + size);
    }
  }
  std::free(copy);
  return 0;
}

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  const unsigned int choice = seed / 64;
  const auto& model = tfmpq::pool[choice % tfmpq::kNumOps]
                                 [choice / tfmpq::kNumOps % tfmpq::kPoolSize];
  if (seed % 2 == 0 && !model.empty() && model.size() <= max_size) {
    size = model.size();
    std::memcpy(data, model.data(), size);
  }
  // Other changes rarely get past the verifier.
  if (seed % 64 > 1 && tfmpq::MutateModel(data, size, seed)) return size;
  return LLVMFuzzerMutate(data, size, max_size);
}
