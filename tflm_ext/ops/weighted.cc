#include "tflm_ext/ops/weighted.h"

#include "tflm_ext/ops/geometry.h"
#include "tflm_ext/ops/report.h"
#include "tflm_ext/ops/tensors.h"

namespace tfmpq {
namespace {

enum { kInput, kWeight, kParameters, kNumInputs };

// Elements of the weight that one output sums up.
int64_t NumElements(Op op, const Options& options) {
  const int64_t taps = int64_t{options.k_h} * options.k_w;
  return op == Op::kDepthwiseConv2D ? taps : taps * options.c_in;
}

// Checks shape, layout and address of the weight.
bool CheckWeightTensor(Op op, const Options& options,
                       const TfLiteEvalTensor* weight) {
  const char* name = OpName(op);
  const int64_t num_elements = NumElements(op, options);
  if (op == Op::kDepthwiseConv2D) {
    return Expect(name, "layout", TFMPQ_LAYOUT_PLAIN, options.layout) &&
           CheckWeight(name, weight, num_elements,
                       RunBytes(options.c_in, options.w_bits), 1);
  }
  switch (options.layout) {
    case TFMPQ_LAYOUT_PLAIN:
      return CheckWeight(name, weight, options.c_out,
                         RunBytes(num_elements, options.w_bits), 1);
    case TFMPQ_LAYOUT_DSP: {
      const int64_t group = options.a_bits == 2 && options.w_bits == 2 ? 16 : 4;
      const int64_t rows = RoundUp(options.c_out, 4);
      return CheckWeight(
          name, weight, 1,
          RunBytes(rows * RoundUp(num_elements, group), options.w_bits), 4);
    }
    case TFMPQ_LAYOUT_MVE: {
      const int64_t rows = RoundUp(options.c_out, 4);
      return CheckWeight(
          name, weight, 1,
          RunBytes(rows * RoundUp(num_elements, 16), options.w_bits), 1);
    }
    default:
      return ExpectRange(name, "layout", TFMPQ_LAYOUT_PLAIN, TFMPQ_LAYOUT_MVE,
                         options.layout);
  }
}

// Checks the constants of every channel, and that no sum leaves int32: that of
// the terms of an accumulator, in whatever order and all of one sign.
bool CheckChannels(Op op, const Options& options,
                   const TfLiteEvalTensor* parameters) {
  const char* name = OpName(op);
  const bool has_zero_points = options.w_bits != 8 && !options.has_z_w;
  const int64_t size = int64_t{2} * options.c_out +
                       (has_zero_points ? (options.c_out + 3) / 4 : 0);
  if (!CheckParameters(name, parameters, size)) return false;
  const auto* channels =
      static_cast<const tfmpq_channel*>(parameters->data.data);
  const auto* zero_points =
      reinterpret_cast<const int8_t*>(channels + options.c_out);
  const int64_t largest_sum =
      NumElements(op, options) * LargestCode(options.a_bits);
  int64_t bound = 0;
  for (int c = 0; c < options.c_out; ++c) {
    if (!ExpectRange(name, "multiplier of a channel", 0, INT32_MAX,
                     channels[c].multiplier)) {
      return false;
    }
    const int zero_point = has_zero_points ? zero_points[c] : options.z_w;
    const int64_t channel_bound =
        Magnitude(channels[c].bias) +
        largest_sum * (LargestCode(options.w_bits) + Magnitude(zero_point));
    if (channel_bound > bound) bound = channel_bound;
  }
  return CheckRescale(name, bound, options.z_out, options.shift,
                      options.pre_shift);
}

bool CheckZeroPoints(Op op, const Options& options) {
  const char* name = OpName(op);
  if (options.w_bits == 8 && options.has_z_w) {
    return Refuse(name, "option 'z_w' does not belong to weights of 8 bits");
  }
  return CheckZeroPoint(name, "z_in", options.a_bits, options.z_in) &&
         CheckZeroPoint(name, "z_out", options.o_bits, options.z_out);
}

tfmpq_conv_params MakeParams(const Options& options, ImageSize input,
                             ImageSize output) {
  tfmpq_conv_params params = {};
  params.input_height = input.height;
  params.input_width = input.width;
  params.input_channels = options.c_in;
  params.output_height = output.height;
  params.output_width = output.width;
  params.output_channels = options.c_out;
  params.kernel_height = options.k_h;
  params.kernel_width = options.k_w;
  params.stride_height = options.s_h;
  params.stride_width = options.s_w;
  params.pad_top = options.p_t;
  params.pad_left = options.p_l;
  params.input_zero_point = options.z_in;
  params.output_zero_point = options.z_out;
  params.weight_zero_point = options.z_w;
  params.layout = options.layout;
  params.shift = options.shift;
  params.pre_shift = options.pre_shift;
  return params;
}

bool Reads(const WeightedOp& weighted_op, const WeightedKernel& kernel,
           const Options& options, const tfmpq_conv_params& params) {
  const KernelNeeds& needs =
      kernel.is_portable ? weighted_op.portable : weighted_op.target;
  if (needs.layout == nullptr) return true;
  const int layout = needs.layout(&params, options.a_bits, options.w_bits);
  if (layout != options.layout) return false;
  // An op with a layout of its own is not computed in the plain one.
  return layout != TFMPQ_LAYOUT_PLAIN || weighted_op.op == Op::kDepthwiseConv2D;
}

const WeightedKernel* FindKernel(const WeightedOp& weighted_op,
                                 const Options& options,
                                 const tfmpq_conv_params& params) {
  for (int i = 0; i < weighted_op.num_kernels; ++i) {
    const WeightedKernel& kernel = weighted_op.kernels[i];
    if (kernel.a_bits == options.a_bits && kernel.w_bits == options.w_bits &&
        kernel.o_bits == options.o_bits &&
        Reads(weighted_op, kernel, options, params)) {
      return &kernel;
    }
  }
  using namespace tflm;  // NOLINT(build/namespaces): MicroPrintf
  MicroPrintf(
      "%s: no registered kernel a%d_w%d_o%d reads weight layout %d: export the "
      "model for this core, or register that kernel",
      OpName(weighted_op.op), options.a_bits, options.w_bits, options.o_bits,
      options.layout);
  return nullptr;
}

// Chooses the kernel and asks for its scratch memory.
bool ChooseKernel(TfLiteContext* context, const WeightedOp& weighted_op,
                  const Options& options, const tfmpq_conv_params& params,
                  WeightedData* data) {
  const WeightedKernel* kernel = FindKernel(weighted_op, options, params);
  if (kernel == nullptr) return false;
  const KernelNeeds& needs =
      kernel->is_portable ? weighted_op.portable : weighted_op.target;
  const char* name = OpName(weighted_op.op);
  const size_t scratch_bytes = needs.scratch_bytes(
      &params, options.a_bits, options.w_bits, options.o_bits);
  int scratch_index = -1;
  if (scratch_bytes > 0) {
    if (!ExpectRange(name, "bytes of scratch", 1, kMaxTensorBytes,
                     static_cast<int64_t>(scratch_bytes))) {
      return false;
    }
    if (context->RequestScratchBufferInArena(context, scratch_bytes,
                                             &scratch_index) != kTfLiteOk ||
        !ExpectRange(name, "scratch buffers", 0, INT16_MAX, scratch_index)) {
      return Refuse(name, "no scratch memory");
    }
  }
  data->kernel = kernel->function;
  data->params = params;
  data->scratch_index = static_cast<int16_t>(scratch_index);
  data->in_place = needs.in_place != nullptr &&
                   needs.in_place(&params, options.a_bits, options.o_bits) != 0;
  data->has_zero_points = options.w_bits != 8 && !options.has_z_w;
  return true;
}

bool Prepare(TfLiteContext* context, TfLiteNode* node,
             const WeightedOp& weighted_op) {
  const Op op = weighted_op.op;
  const char* name = OpName(op);
  Options options;
  if (!GetOptions(op, node, &options)) return false;
  if (!CheckCounts(name, node, kNumInputs)) return false;
  ImageSize input, output;
  if (!CheckActivation(name, "input", GetTensor(context, node->inputs, kInput),
                       options.a_bits, options.c_in, &input) ||
      !CheckActivation(name, "output", GetTensor(context, node->outputs, 0),
                       options.o_bits, options.c_out, &output) ||
      !CheckWindow(name, options, input, output)) {
    return false;
  }
  if (op == Op::kFullyConnected &&
      !CheckSize(name, "input pixels", {1, 1}, input)) {
    return false;
  }
  if (!CheckZeroPoints(op, options) ||
      !CheckWeightTensor(op, options,
                         GetTensor(context, node->inputs, kWeight)) ||
      !CheckChannels(op, options,
                     GetTensor(context, node->inputs, kParameters))) {
    return false;
  }
  return ChooseKernel(context, weighted_op, options,
                      MakeParams(options, input, output),
                      &static_cast<OpData*>(node->user_data)->weighted);
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node, Op op) {
  const WeightedData& data =
      static_cast<const OpData*>(node->user_data)->weighted;
  if (!CheckMemory(context, node, kInput,
                   data.in_place ? Sharing::kSameAddress : Sharing::kNever,
                   OpName(op))) {
    return kTfLiteError;
  }
  const auto* channels = InputData<tfmpq_channel>(context, node, kParameters);
  const int8_t* zero_points = nullptr;
  if (data.has_zero_points) {
    zero_points =
        reinterpret_cast<const int8_t*>(channels + data.params.output_channels);
  }
  void* scratch = nullptr;
  if (data.scratch_index >= 0) {
    scratch = context->GetScratchBuffer(context, data.scratch_index);
  }
  data.kernel(&data.params, InputData<void>(context, node, kInput),
              InputData<void>(context, node, kWeight), channels, zero_points,
              OutputData(context, node), scratch);
  return kTfLiteOk;
}

}  // namespace

TfLiteStatus PrepareWeighted(TfLiteContext* context, TfLiteNode* node,
                             const WeightedOp& weighted_op) {
  return Prepare(context, node, weighted_op) ? kTfLiteOk : kTfLiteError;
}

TfLiteStatus EvalConv2D(TfLiteContext* context, TfLiteNode* node) {
  return Eval(context, node, Op::kConv2D);
}

TfLiteStatus EvalDepthwiseConv2D(TfLiteContext* context, TfLiteNode* node) {
  return Eval(context, node, Op::kDepthwiseConv2D);
}

TfLiteStatus EvalFullyConnected(TfLiteContext* context, TfLiteNode* node) {
  return Eval(context, node, Op::kFullyConnected);
}

}  // namespace tfmpq
