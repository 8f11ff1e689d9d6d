// Changes of a model that leave its flatbuffer intact, so that a fuzzer gets
// past the verifier.
#ifndef TFLM_EXT_OPS_FUZZ_MUTATION_H_
#define TFLM_EXT_OPS_FUZZ_MUTATION_H_

#include <cstddef>
#include <cstdint>

namespace tfmpq {

// Changes a byte or two of the options, shapes, lists of tensors or constants
// of a model, in place. Returns false if it is no flatbuffer of a model.
bool MutateModel(uint8_t* data, size_t size, unsigned int seed);

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_FUZZ_MUTATION_H_
