#include "tflm_ext/ops/add.h"

#include "tflm_ext/ops/geometry.h"
#include "tflm_ext/ops/report.h"
#include "tflm_ext/ops/tensors.h"

namespace tfmpq {
namespace {

enum { kInputA, kInputB, kParameters, kNumInputs };

// Returns the largest |code - zero_point|.
int64_t Span(int bits, int zero_point) {
  const int lowest = bits == 8 ? -128 : 0;
  const int highest = bits == 8 ? 127 : (1 << bits) - 1;
  const int below = zero_point - lowest;
  const int above = highest - zero_point;
  return below > above ? below : above;
}

bool CheckTensors(TfLiteContext* context, const TfLiteNode* node,
                  const Options& options, ImageSize* size) {
  const char* name = OpName(Op::kAdd);
  ImageSize second, output;
  return CheckActivation(name, "first input",
                         GetTensor(context, node->inputs, kInputA),
                         options.a_bits, options.c_in, size) &&
         CheckActivation(name, "second input",
                         GetTensor(context, node->inputs, kInputB),
                         options.b_bits, options.c_in, &second) &&
         CheckActivation(name, "output", GetTensor(context, node->outputs, 0),
                         options.o_bits, options.c_in, &output) &&
         CheckSize(name, "second input pixels", *size, second) &&
         CheckSize(name, "output pixels", *size, output) &&
         CheckParameters(name, GetTensor(context, node->inputs, kParameters),
                         2);
}

// Checks zero points and multipliers: no sum may leave int32.
bool CheckNumbers(const Options& options, const int32_t* multipliers) {
  const char* name = OpName(Op::kAdd);
  if (!CheckZeroPoint(name, "z_in", options.a_bits, options.z_in) ||
      !CheckZeroPoint(name, "z_b", options.b_bits, options.z_b) ||
      !CheckZeroPoint(name, "z_out", options.o_bits, options.z_out) ||
      !ExpectRange(name, "first multiplier", 0, INT32_MAX, multipliers[0]) ||
      !ExpectRange(name, "second multiplier", 0, INT32_MAX, multipliers[1])) {
    return false;
  }
  const int64_t largest = multipliers[0] * Span(options.a_bits, options.z_in) +
                          multipliers[1] * Span(options.b_bits, options.z_b) +
                          (int64_t{1} << (options.shift - 1));
  return ExpectRange(name, "largest sum", 0, INT32_MAX, largest);
}

AddFunction FindKernel(const Options& options, const AddKernel* kernels,
                       int num_kernels) {
  for (int i = 0; i < num_kernels; ++i) {
    if (kernels[i].a_bits == options.a_bits &&
        kernels[i].b_bits == options.b_bits &&
        kernels[i].o_bits == options.o_bits) {
      return kernels[i].function;
    }
  }
  using namespace tflm;  // NOLINT(build/namespaces): MicroPrintf
  MicroPrintf("%s: kernel a%d_a%d_o%d is not registered", OpName(Op::kAdd),
              options.a_bits, options.b_bits, options.o_bits);
  return nullptr;
}

bool Prepare(TfLiteContext* context, TfLiteNode* node, const AddKernel* kernels,
             int num_kernels) {
  Options options;
  ImageSize size;
  if (!GetOptions(Op::kAdd, node, &options)) return false;
  if (!CheckCounts(OpName(Op::kAdd), node, kNumInputs)) return false;
  if (!CheckTensors(context, node, options, &size)) return false;
  const auto* multipliers = InputData<int32_t>(context, node, kParameters);
  if (!CheckNumbers(options, multipliers)) return false;
  const AddFunction kernel = FindKernel(options, kernels, num_kernels);
  if (kernel == nullptr) return false;
  const int64_t output_bytes = RunBytes(options.c_in, options.o_bits);
  AddData& data = static_cast<OpData*>(node->user_data)->add;
  data = AddData();
  data.kernel = kernel;
  data.params.num_pixels = uint32_t{size.height} * size.width;
  data.params.multiplier_a = multipliers[0];
  data.params.multiplier_b = multipliers[1];
  data.params.channels = options.c_in;
  data.params.zero_point_a = options.z_in;
  data.params.zero_point_b = options.z_b;
  data.params.output_zero_point = options.z_out;
  data.params.shift = options.shift;
  data.in_place_a = output_bytes <= RunBytes(options.c_in, options.a_bits);
  data.in_place_b = output_bytes <= RunBytes(options.c_in, options.b_bits);
  return true;
}

bool CheckInput(TfLiteContext* context, const TfLiteNode* node, int index,
                bool in_place) {
  return CheckMemory(context, node, index,
                     in_place ? Sharing::kSameAddress : Sharing::kNever,
                     OpName(Op::kAdd));
}

}  // namespace

TfLiteStatus PrepareAdd(TfLiteContext* context, TfLiteNode* node,
                        const AddKernel* kernels, int num_kernels) {
  return Prepare(context, node, kernels, num_kernels) ? kTfLiteOk
                                                      : kTfLiteError;
}

TfLiteStatus EvalAdd(TfLiteContext* context, TfLiteNode* node) {
  const AddData& data = static_cast<const OpData*>(node->user_data)->add;
  if (!CheckInput(context, node, kInputA, data.in_place_a) ||
      !CheckInput(context, node, kInputB, data.in_place_b)) {
    return kTfLiteError;
  }
  data.kernel(&data.params, InputData<void>(context, node, kInputA),
              InputData<void>(context, node, kInputB),
              OutputData(context, node));
  return kTfLiteOk;
}

}  // namespace tfmpq
