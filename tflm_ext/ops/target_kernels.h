// The kernels that suit the core for which this is compiled: those for its
// instruction set, else the portable ones.
//
// An instruction set is one branch of the table below: its headers, the suffix
// of its kernels, and what they need of each op with weights.
#ifndef TFLM_EXT_OPS_TARGET_KERNELS_H_
#define TFLM_EXT_OPS_TARGET_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "tflm_ext/kernels/add.h"
#include "tflm_ext/kernels/average_pool.h"
#include "tflm_ext/kernels/conv2d.h"
#include "tflm_ext/kernels/depthwise_conv2d.h"
#include "tflm_ext/kernels/fully_connected.h"
#include "tflm_ext/kernels/max_pool.h"
#include "tflm_ext/kernels/types.h"

#if defined(__ARM_FEATURE_MVE)
#include "tflm_ext/kernels/add_mve.h"
#include "tflm_ext/kernels/average_pool_mve.h"
#include "tflm_ext/kernels/conv2d_mve.h"
#include "tflm_ext/kernels/depthwise_conv2d_mve.h"
#include "tflm_ext/kernels/fully_connected_mve.h"
#include "tflm_ext/kernels/max_pool_mve.h"
#elif defined(__ARM_FEATURE_DSP)
#include "tflm_ext/kernels/add_dsp.h"
#include "tflm_ext/kernels/average_pool_dsp.h"
#include "tflm_ext/kernels/conv2d_dsp.h"
#include "tflm_ext/kernels/depthwise_conv2d_dsp.h"
#include "tflm_ext/kernels/fully_connected_dsp.h"
#include "tflm_ext/kernels/max_pool_dsp.h"
#endif

namespace tfmpq {

// What the kernels of an op with weights need of one instruction set.
struct KernelNeeds {
  // Returns the weight layout that they read; TFMPQ_LAYOUT_PLAIN from an op
  // that has another one: they do not compute this layer. nullptr: they read
  // every layout of their op.
  int (*layout)(const tfmpq_conv_params* params, int a_bits, int w_bits);
  size_t (*scratch_bytes)(const tfmpq_conv_params* params, int a_bits,
                          int w_bits, int o_bits);
  // Returns whether the output may be at the input's address. nullptr: never.
  int (*in_place)(const tfmpq_conv_params* params, int a_bits, int o_bits);
};

constexpr KernelNeeds kPortableConv2D = {nullptr, tfmpq_conv2d_scratch_bytes,
                                         nullptr};
constexpr KernelNeeds kPortableDepthwiseConv2D = {
    nullptr, tfmpq_depthwise_conv2d_scratch_bytes, nullptr};
constexpr KernelNeeds kPortableFullyConnected = {
    nullptr, tfmpq_fully_connected_scratch_bytes, nullptr};

#if defined(__ARM_FEATURE_MVE)

#define TFMPQ_TARGET(kernel) kernel##__mve
constexpr bool kTargetIsPortable = false;
constexpr KernelNeeds kTargetConv2D = {
    tfmpq_conv2d_layout__mve, tfmpq_conv2d_scratch_bytes__mve, nullptr};
constexpr KernelNeeds kTargetDepthwiseConv2D = {
    tfmpq_depthwise_conv2d_layout__mve,
    tfmpq_depthwise_conv2d_scratch_bytes__mve,
    tfmpq_depthwise_conv2d_in_place__mve};
constexpr KernelNeeds kTargetFullyConnected = {
    tfmpq_fully_connected_layout__mve, tfmpq_fully_connected_scratch_bytes__mve,
    nullptr};

#elif defined(__ARM_FEATURE_DSP)

#define TFMPQ_TARGET(kernel) kernel##__dsp
constexpr bool kTargetIsPortable = false;
constexpr KernelNeeds kTargetConv2D = {
    tfmpq_conv2d_layout__dsp, tfmpq_conv2d_scratch_bytes__dsp, nullptr};
constexpr KernelNeeds kTargetDepthwiseConv2D = {
    tfmpq_depthwise_conv2d_layout__dsp,
    tfmpq_depthwise_conv2d_scratch_bytes__dsp,
    tfmpq_depthwise_conv2d_in_place__dsp};
constexpr KernelNeeds kTargetFullyConnected = {
    tfmpq_fully_connected_layout__dsp, tfmpq_fully_connected_scratch_bytes__dsp,
    nullptr};

#else

#define TFMPQ_TARGET(kernel) kernel
constexpr bool kTargetIsPortable = true;
constexpr KernelNeeds kTargetConv2D = kPortableConv2D;
constexpr KernelNeeds kTargetDepthwiseConv2D = kPortableDepthwiseConv2D;
constexpr KernelNeeds kTargetFullyConnected = kPortableFullyConnected;

#endif

// Which kernels of an op a firmware links, by their widths in the order of the
// kernels' names: Kernel<8, 4, 2> of TfmpqConv2D is tfmpq_conv2d_a8_w4_o2.
//   Kernel: the core's own.
//   PortableKernel: in C99. It reads weights in every layout, slowly. An
//     exporter names those that a model needs.
template <int... bits>
struct Kernel {};
template <int... bits>
struct PortableKernel {};

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_TARGET_KERNELS_H_
