/* Runs a .tflite under TensorFlow Lite Micro on test images, compares every
 * logit, and measures.
 *
 * usage: tflm_runner MODEL ARENA_BYTES [IMAGES EXPECTED]
 *
 * MODEL is as in tflm_model.h. TFLM gets an arena of ARENA_BYTES bytes; 0: of
 * as many as there are. IMAGES holds int8 codes of images one after the other,
 * EXPECTED the int8 codes that the model must give for each; neither has a
 * header. Without them nothing is computed, only allocated. Prints
 *
 *   result arena_bytes <n>                what TFLM got
 *   result allocated <0 or 1>             whether AllocateTensors succeeded
 *   result arena_used_bytes <n>           as TFLM reports it
 *   result arena_head_bytes <n>           of these, activations and scratch
 *   result arena_tail_bytes <n>           TFLM's structures and the ops' data
 *   result allocate_instructions <n>      of AllocateTensors
 *   result stack_bytes <n>                of one inference
 *   result images <n>
 *   result equal_images <n>               all logits equal, to the bit
 *   result instructions_min <n>           over all images
 *   result instructions_max <n>
 *
 * without the lines that cannot be measured here (model_meter.h), and returns 0
 * if all images are equal and nothing around the arena was written. */
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_ext/runners/files.h"
#include "tflm_ext/runners/model_meter.h"
#include "tflm_ext/runners/tflm_arena.h"
#include "tflm_ext/runners/tflm_model.h"

namespace tfmpq {
namespace {

constexpr size_t kMaxInputBytes = 256 * 1024;
constexpr size_t kMaxOutputBytes = 4096;
constexpr uint8_t kPatterns[] = {0x55, 0xaa};

int8_t image[kMaxInputBytes];
int8_t expected[kMaxOutputBytes];

/* What is run, the same for every measurement. */
struct Program {
  const tflm::Model* model;
  const OpResolver* resolver;
  size_t arena_bytes;
  TfmpqModelMeter meter;
  TfmpqFile images;
  TfmpqFile outputs;
};

void PrintResult(const char* name, size_t value) {
  std::printf("result %s %lu\n", name, static_cast<unsigned long>(value));
}

/* Calls that the meter can time: functions of one pointer. */
struct Call {
  tflm::MicroInterpreter* interpreter;
  TfLiteStatus status;
};

void Allocate(void* context) {
  Call* const call = static_cast<Call*>(context);
  call->status = call->interpreter->AllocateTensors();
}

void Invoke(void* context) {
  Call* const call = static_cast<Call*>(context);
  call->status = call->interpreter->Invoke();
}

void SetInput(tflm::MicroInterpreter& interpreter) {
  TfLiteTensor* const input = interpreter.input(0);
  std::memcpy(input->data.raw, image, input->bytes);
}

/* Returns whether the output is the expected one; prints the first difference
 * if not. */
bool OutputIsExpected(tflm::MicroInterpreter& interpreter, size_t index) {
  const TfLiteTensor* const output = interpreter.output(0);
  for (size_t i = 0; i < output->bytes; ++i) {
    if (output->data.int8[i] != expected[i]) {
      std::printf("image %lu: logit %lu is %d, expected %d\n",
                  static_cast<unsigned long>(index),
                  static_cast<unsigned long>(i), output->data.int8[i],
                  expected[i]);
      return false;
    }
  }
  return true;
}

/* Returns how many images there are; 0, and a message, if the files do not
 * suit the model. */
size_t CountImages(const Program& program,
                   tflm::MicroInterpreter& interpreter) {
  const size_t input_bytes = interpreter.input(0)->bytes;
  const size_t output_bytes = interpreter.output(0)->bytes;
  const size_t num_images = program.images.num_bytes / input_bytes;
  if (input_bytes > kMaxInputBytes || output_bytes > kMaxOutputBytes ||
      num_images == 0 || program.images.num_bytes % input_bytes != 0 ||
      program.outputs.num_bytes != num_images * output_bytes) {
    std::printf(
        "%lu bytes of images of %lu bytes do not match %lu bytes of outputs of "
        "%lu bytes\n",
        static_cast<unsigned long>(program.images.num_bytes),
        static_cast<unsigned long>(input_bytes),
        static_cast<unsigned long>(program.outputs.num_bytes),
        static_cast<unsigned long>(output_bytes));
    return 0;
  }
  return num_images;
}

bool ReadImage(Program& program, tflm::MicroInterpreter& interpreter) {
  return tfmpq_file_read(&program.images, image, interpreter.input(0)->bytes) ==
             0 &&
         tfmpq_file_read(&program.outputs, expected,
                         interpreter.output(0)->bytes) == 0;
}

/* Runs the current image, number 0, and prints its need of stack. */
int MeasureStack(Call& call, uint8_t pattern) {
  SetInput(*call.interpreter);
  const uint32_t num_bytes = tfmpq_meter_stack_bytes(Invoke, &call, pattern);
  if (num_bytes >= kTfmpqMaxStackBytes) {
    std::printf("the model needs more stack than can be measured\n");
    return 1;
  }
  if (num_bytes != 0) PrintResult("stack_bytes", num_bytes);
  return call.status != kTfLiteOk || !OutputIsExpected(*call.interpreter, 0);
}

/* Runs all images. Returns how many failures there were. */
int RunImages(Program& program, Call& call, uint8_t pattern) {
  const size_t num_images = CountImages(program, *call.interpreter);
  if (num_images == 0) return 1;
  int failures = 0;
  size_t num_equal = 0;
  uint32_t fewest = UINT32_MAX;
  uint32_t most = 0;
  for (size_t i = 0; i < num_images; ++i) {
    if (!ReadImage(program, *call.interpreter)) {
      std::printf("image %lu cannot be read\n", static_cast<unsigned long>(i));
      return failures + 1;
    }
    if (i == 0) failures += MeasureStack(call, pattern);
    SetInput(*call.interpreter);
    const uint32_t count =
        tfmpq_meter_instructions(&program.meter, Invoke, &call);
    fewest = std::min(fewest, count);
    most = std::max(most, count);
    num_equal +=
        call.status == kTfLiteOk && OutputIsExpected(*call.interpreter, i);
  }
  PrintResult("images", num_images);
  PrintResult("equal_images", num_equal);
  if (most != 0) {
    PrintResult("instructions_min", fewest);
    PrintResult("instructions_max", most);
  }
  return failures + (num_equal != num_images);
}

/* Allocates as a user would, and runs the images if there are any. The first
 * pattern only watches the arena's ends. */
int RunWithPattern(Program& program, uint8_t pattern, bool is_last) {
  FillArena(program.arena_bytes, pattern);
  tflm::MicroInterpreter interpreter(program.model, *program.resolver,
                                     GetArena(), program.arena_bytes);
  Call call = {&interpreter, kTfLiteError};
  const uint32_t count =
      tfmpq_meter_instructions(&program.meter, Allocate, &call);
  int failures = call.status != kTfLiteOk;
  if (is_last) {
    PrintResult("allocated", failures == 0);
    if (failures == 0) {
      PrintResult("arena_used_bytes", interpreter.arena_used_bytes());
      if (count != 0) PrintResult("allocate_instructions", count);
    }
  }
  if (failures == 0 && is_last && program.images.num_bytes != 0) {
    failures += RunImages(program, call, pattern);
  }
  if (!ArenaEndsAreIntact(program.arena_bytes, pattern)) {
    std::printf("bytes around the arena were written\n");
    ++failures;
  }
  return failures;
}

int Run(Program& program) {
  PrintResult("arena_bytes", program.arena_bytes);
  int failures = 0;
  for (uint8_t pattern : kPatterns) {
    const bool is_last = pattern == kPatterns[sizeof(kPatterns) - 1];
    failures += RunWithPattern(program, pattern, is_last);
  }
  if (failures != 0) return 1;
  const ArenaSplit split =
      MeasureArenaSplit(program.model, *program.resolver, program.arena_bytes);
  PrintResult("arena_head_bytes", split.head_bytes);
  PrintResult("arena_tail_bytes", split.tail_bytes);
  return 0;
}

/* Opens what the command line names. Returns an exit status. */
int RunFiles(int argc, char** argv, Program& program) {
  for (int i = 3; i < argc; ++i) {
    TfmpqFile* const file = i == 3 ? &program.images : &program.outputs;
    if (tfmpq_file_open(argv[i], file) != 0) {
      std::printf("cannot open %s\n", argv[i]);
      return 1;
    }
  }
  return Run(program);
}

}  // namespace
}  // namespace tfmpq

int main(int argc, char** argv) {
  if (argc != 3 && argc != 5) {
    std::printf("usage: tflm_runner MODEL ARENA_BYTES [IMAGES EXPECTED]\n");
    return 2;
  }
  const tfmpq::ModelBytes bytes = tfmpq::LoadModel(argv[1]);
  if (bytes.data == nullptr) {
    std::printf("%s cannot be read, or is too large\n", argv[1]);
    return 1;
  }
  tfmpq::Program program = {};
  tfmpq::OpResolver resolver;
  program.arena_bytes = std::strtoul(argv[2], nullptr, 10);
  if (program.arena_bytes == 0) program.arena_bytes = tfmpq::kMaxArenaBytes;
  if (program.arena_bytes > tfmpq::kMaxArenaBytes) {
    std::printf("ARENA_BYTES is at most %lu\n",
                static_cast<unsigned long>(tfmpq::kMaxArenaBytes));
    return 2;
  }
  program.model = tfmpq::tflm::GetModel(bytes.data);
  program.resolver = &resolver;
  if (tfmpq::RegisterModelOps(resolver) != kTfLiteOk) return 1;
  tfmpq_meter_start(&program.meter);
  return tfmpq::RunFiles(argc, argv, program);
}
