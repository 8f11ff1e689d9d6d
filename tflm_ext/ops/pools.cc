#include "tflm_ext/ops/pools.h"

#include "tflm_ext/ops/geometry.h"
#include "tflm_ext/ops/report.h"
#include "tflm_ext/ops/tensors.h"

namespace tfmpq {
namespace {

enum { kInput, kMultipliers };

// Checks everything but numbers. Sets the parameters that follow from it.
bool CheckPool(TfLiteContext* context, const TfLiteNode* node, Op op,
               const Options& options, int o_bits, tfmpq_pool_params* params) {
  const char* name = OpName(op);
  ImageSize input, output;
  if (!CheckActivation(name, "input", GetTensor(context, node->inputs, kInput),
                       options.a_bits, options.c_in, &input) ||
      !CheckActivation(name, "output", GetTensor(context, node->outputs, 0),
                       o_bits, options.c_in, &output) ||
      !CheckWindow(name, options, input, output)) {
    return false;
  }
  *params = tfmpq_pool_params();
  params->input_height = input.height;
  params->input_width = input.width;
  params->output_height = output.height;
  params->output_width = output.width;
  params->channels = options.c_in;
  params->kernel_height = options.k_h;
  params->kernel_width = options.k_w;
  params->stride_height = options.s_h;
  params->stride_width = options.s_w;
  params->pad_top = options.p_t;
  params->pad_left = options.p_l;
  params->input_zero_point = options.z_in;
  params->output_zero_point = options.z_out;
  params->shift = options.shift;
  params->pre_shift = options.pre_shift;
  return true;
}

// Checks zero points and multipliers, of which there is one for each number of
// taps inside the image. Sets their number.
bool CheckAverage(TfLiteContext* context, const TfLiteNode* node,
                  const Options& options, tfmpq_pool_params* params) {
  const char* name = OpName(Op::kAveragePool2D);
  const int num_taps = options.k_h * options.k_w;
  const bool is_padded =
      (options.p_t | options.p_l | options.p_b | options.p_r) != 0;
  params->num_multipliers = static_cast<uint16_t>(is_padded ? num_taps : 1);
  if (!CheckZeroPoint(name, "z_in", options.a_bits, options.z_in) ||
      !CheckZeroPoint(name, "z_out", options.o_bits, options.z_out) ||
      !CheckParameters(name, GetTensor(context, node->inputs, kMultipliers),
                       params->num_multipliers)) {
    return false;
  }
  const auto* multipliers = InputData<int32_t>(context, node, kMultipliers);
  for (int i = 0; i < params->num_multipliers; ++i) {
    if (!ExpectRange(name, "multiplier", 0, INT32_MAX, multipliers[i])) {
      return false;
    }
  }
  return CheckRescale(name, int64_t{num_taps} * 255, options.z_out,
                      options.shift, options.pre_shift);
}

bool PrepareAverage(TfLiteContext* context, TfLiteNode* node,
                    const AveragePoolKernel* kernels, int num_kernels) {
  const char* name = OpName(Op::kAveragePool2D);
  Options options;
  tfmpq_pool_params params;
  if (!GetOptions(Op::kAveragePool2D, node, &options)) return false;
  if (!CheckCounts(name, node, 2) ||
      !CheckPool(context, node, Op::kAveragePool2D, options, options.o_bits,
                 &params) ||
      !CheckAverage(context, node, options, &params)) {
    return false;
  }
  for (int i = 0; i < num_kernels; ++i) {
    if (kernels[i].a_bits == options.a_bits &&
        kernels[i].o_bits == options.o_bits) {
      static_cast<OpData*>(node->user_data)->average_pool = {
          kernels[i].function, params};
      return true;
    }
  }
  using namespace tflm;  // NOLINT(build/namespaces): MicroPrintf
  MicroPrintf("%s: kernel a%d_o%d is not registered", name, options.a_bits,
              options.o_bits);
  return false;
}

bool PrepareMax(TfLiteContext* context, TfLiteNode* node,
                const MaxPoolKernel* kernels, int num_kernels) {
  const char* name = OpName(Op::kMaxPool2D);
  Options options;
  tfmpq_pool_params params;
  if (!GetOptions(Op::kMaxPool2D, node, &options)) return false;
  if (!CheckCounts(name, node, 1) ||
      !CheckPool(context, node, Op::kMaxPool2D, options, options.a_bits,
                 &params)) {
    return false;
  }
  for (int i = 0; i < num_kernels; ++i) {
    if (kernels[i].a_bits == options.a_bits) {
      static_cast<OpData*>(node->user_data)->max_pool = {kernels[i].function,
                                                         params};
      return true;
    }
  }
  using namespace tflm;  // NOLINT(build/namespaces): MicroPrintf
  MicroPrintf("%s: kernel a%d is not registered", name, options.a_bits);
  return false;
}

}  // namespace

TfLiteStatus PrepareAveragePool2D(TfLiteContext* context, TfLiteNode* node,
                                  const AveragePoolKernel* kernels,
                                  int num_kernels) {
  return PrepareAverage(context, node, kernels, num_kernels) ? kTfLiteOk
                                                             : kTfLiteError;
}

TfLiteStatus EvalAveragePool2D(TfLiteContext* context, TfLiteNode* node) {
  const AveragePoolData& data =
      static_cast<const OpData*>(node->user_data)->average_pool;
  if (!CheckMemory(context, node, kInput, Sharing::kNever,
                   OpName(Op::kAveragePool2D))) {
    return kTfLiteError;
  }
  data.kernel(&data.params, InputData<void>(context, node, kInput),
              InputData<int32_t>(context, node, kMultipliers),
              OutputData(context, node));
  return kTfLiteOk;
}

TfLiteStatus PrepareMaxPool2D(TfLiteContext* context, TfLiteNode* node,
                              const MaxPoolKernel* kernels, int num_kernels) {
  return PrepareMax(context, node, kernels, num_kernels) ? kTfLiteOk
                                                         : kTfLiteError;
}

TfLiteStatus EvalMaxPool2D(TfLiteContext* context, TfLiteNode* node) {
  const MaxPoolData& data =
      static_cast<const OpData*>(node->user_data)->max_pool;
  if (!CheckMemory(context, node, kInput, Sharing::kNever,
                   OpName(Op::kMaxPool2D))) {
    return kTfLiteError;
  }
  data.kernel(&data.params, InputData<void>(context, node, kInput),
              OutputData(context, node));
  return kTfLiteOk;
}

}  // namespace tfmpq
