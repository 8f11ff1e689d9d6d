// A FlexBuffer map of integers, read in place. Nothing is trusted: an offset or
// a size that leads out of the bytes is an error.
//
// (The map class of FlexBuffers is large, and takes verified bytes for
// granted.)
#ifndef TFLM_EXT_OPS_FLEXBUFFER_MAP_H_
#define TFLM_EXT_OPS_FLEXBUFFER_MAP_H_

#include <cstddef>
#include <cstdint>

namespace tfmpq {

class FlexbufferMap {
 public:
  // The bytes must outlive the map.
  FlexbufferMap(const uint8_t* bytes, size_t num_bytes)
      : bytes_(bytes), num_bytes_(num_bytes) {}

  // Finds the entries. Returns false if the bytes are no map. To be called
  // first.
  bool Open();

  size_t size() const { return size_; }

  // Returns the key of an entry, or nullptr if it lies outside of the bytes.
  const char* Key(size_t index) const;

  // Fetches the value of an entry. Returns false if it is no signed integer.
  bool Value(size_t index, int64_t* value) const;

 private:
  // Whether `count` elements of `width` bytes start at `begin`.
  bool Holds(size_t begin, size_t count, size_t width) const;
  uint64_t Unsigned(size_t position, size_t width) const;
  // Follows the offset at `position` backwards to `target`.
  bool Follow(size_t position, size_t width, size_t* target) const;

  const uint8_t* bytes_;
  size_t num_bytes_;
  size_t values_ = 0;  // Positions.
  size_t keys_ = 0;
  size_t size_ = 0;
  size_t value_width_ = 0;
  size_t key_width_ = 0;
};

}  // namespace tfmpq

#endif  // TFLM_EXT_OPS_FLEXBUFFER_MAP_H_
