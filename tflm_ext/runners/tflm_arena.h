/* The arena that tflm_runner.cc hands to TFLM, and what lies in it. */
#ifndef TFLM_EXT_RUNNERS_TFLM_ARENA_H_
#define TFLM_EXT_RUNNERS_TFLM_ARENA_H_

#include <cstddef>
#include <cstdint>

#include "tflm_ext/runners/tflm_model.h"

namespace tfmpq {

inline constexpr size_t kMaxArenaBytes = 1024 * 1024;

/* Returns the arena, 16-byte aligned. */
uint8_t* GetArena();

/* Fills the first `num_bytes` bytes of the arena and 64 bytes on either side.
 */
void FillArena(size_t num_bytes, uint8_t pattern);

/* Whether the bytes on either side still hold the pattern. */
bool ArenaEndsAreIntact(size_t num_bytes, uint8_t pattern);

struct ArenaSplit {
  size_t head_bytes; /* Activations and scratch, planned. */
  size_t tail_bytes; /* What lives as long as the interpreter. */
};

/* Allocates the model in an arena of `num_bytes` bytes and returns where the
 * bytes are that arena_used_bytes() counts; zeros if it does not fit. TFLM
 * tells only their sum, so the allocators are built here, one by one, in the
 * way in which MicroAllocator::Create builds them. */
ArenaSplit MeasureArenaSplit(const tflm::Model* model,
                             const OpResolver& resolver, size_t num_bytes);

}  // namespace tfmpq

#endif  // TFLM_EXT_RUNNERS_TFLM_ARENA_H_
