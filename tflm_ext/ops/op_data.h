// What an operator keeps in the arena.
#ifndef TFLM_EXT_OPS_OP_DATA_H_
#define TFLM_EXT_OPS_OP_DATA_H_

#include <cstddef>
#include <cstdint>

#include "tflm_ext/kernels/types.h"
#include "tflm_ext/ops/options.h"
#include "tflm_ext/ops/tflm.h"

namespace tfmpq {

// The kernels behind an op. Those of one op differ in their widths.
using WeightedFunction = void (*)(const tfmpq_conv_params* params,
                                  const void* input, const void* weight,
                                  const tfmpq_channel* channels,
                                  const int8_t* weight_zero_points,
                                  void* output, void* scratch);
using AddFunction = void (*)(const tfmpq_add_params* params,
                             const void* input_a, const void* input_b,
                             void* output);
using AveragePoolFunction = void (*)(const tfmpq_pool_params* params,
                                     const void* input,
                                     const int32_t* multipliers, void* output);
using MaxPoolFunction = void (*)(const tfmpq_pool_params* params,
                                 const void* input, void* output);

// conv2d, depthwise_conv2d, fully_connected.
struct WeightedData {
  WeightedFunction kernel;
  tfmpq_conv_params params;
  int16_t scratch_index;  // Negative: the kernel needs none.
  bool in_place;          // The output may be at the input's address.
  bool has_zero_points;   // Of weights, per channel, behind the channels.
};

struct AddData {
  AddFunction kernel;
  tfmpq_add_params params;
  bool in_place_a;
  bool in_place_b;
};

struct AveragePoolData {
  AveragePoolFunction kernel;
  tfmpq_pool_params params;
};

struct MaxPoolData {
  MaxPoolFunction kernel;
  tfmpq_pool_params params;
};

// Init reads the options; Prepare puts what Eval needs in their place.
union OpData {
  Options options;
  WeightedData weighted;
  AddData add;
  AveragePoolData average_pool;
  MaxPoolData max_pool;
};
static_assert(sizeof(void*) != 4 || sizeof(OpData) <= 32,
              "tflm_ext/README.md promises at most 32 bytes per op");

// Init of every op: returns its OpData, or nullptr, having said why.
void* InitOp(TfLiteContext* context, Op op, const char* buffer, size_t length);

// Fetches what InitOp left. Returns false, having said so, if it failed.
bool GetOptions(Op op, const TfLiteNode* node, Options* options);

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_OP_DATA_H_
