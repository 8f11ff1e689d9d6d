// The memory plan in a model's metadata.
#ifndef TFLM_EXT_OPS_MEMORY_PLAN_H_
#define TFLM_EXT_OPS_MEMORY_PLAN_H_

#include "tflm_ext/ops/graph.h"

namespace tfmpq {

// Checks the plans of a graph whose tensors and operators have been checked: an
// activation may lie over another one only when that is no longer read, or in
// place of it.
bool CheckPlans(const Graph& graph);

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_MEMORY_PLAN_H_
