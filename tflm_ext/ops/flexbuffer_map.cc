#include "tflm_ext/ops/flexbuffer_map.h"

#include <cstring>

namespace tfmpq {
namespace {

// A packed type: the type, shifted by 2, and the logarithm of a width.
enum : uint8_t { kIntType = 1, kMapType = 9 };

bool IsWidth(uint64_t width) {
  return width == 1 || width == 2 || width == 4 || width == 8;
}

}  // namespace

bool FlexbufferMap::Holds(size_t begin, size_t count, size_t width) const {
  return begin <= num_bytes_ && count <= (num_bytes_ - begin) / width;
}

uint64_t FlexbufferMap::Unsigned(size_t position, size_t width) const {
  uint64_t value = 0;
  for (size_t i = width; i > 0; --i) {
    value = value << 8 | bytes_[position + i - 1];
  }
  return value;
}

bool FlexbufferMap::Follow(size_t position, size_t width,
                           size_t* target) const {
  const uint64_t distance = Unsigned(position, width);
  if (distance > position) return false;
  *target = position - static_cast<size_t>(distance);
  return true;
}

// The bytes end with the root, its packed type and its width. Before the values
// of a map stand the offset of its keys, their width, and the map's size; after
// them the packed types. The keys are a vector, before which stands its size.
bool FlexbufferMap::Open() {
  if (bytes_ == nullptr || num_bytes_ < 3) return false;
  const size_t root_width = bytes_[num_bytes_ - 1];
  const uint8_t root_type = bytes_[num_bytes_ - 2];
  if (root_type >> 2 != kMapType || !IsWidth(root_width)) return false;
  if (num_bytes_ < 2 + root_width) return false;
  if (!Follow(num_bytes_ - 2 - root_width, root_width, &values_)) return false;
  value_width_ = size_t{1} << (root_type & 3);
  if (values_ < 3 * value_width_) return false;
  const uint64_t key_width = Unsigned(values_ - 2 * value_width_, value_width_);
  const uint64_t size = Unsigned(values_ - value_width_, value_width_);
  if (!IsWidth(key_width) || size > num_bytes_) return false;
  key_width_ = static_cast<size_t>(key_width);
  size_ = static_cast<size_t>(size);
  if (!Follow(values_ - 3 * value_width_, value_width_, &keys_)) return false;
  return Holds(values_, size_, value_width_ + 1) && keys_ >= key_width_ &&
         Holds(keys_, size_, key_width_) &&
         Unsigned(keys_ - key_width_, key_width_) == size_;
}

const char* FlexbufferMap::Key(size_t index) const {
  size_t begin;
  if (!Follow(keys_ + index * key_width_, key_width_, &begin)) return nullptr;
  if (memchr(bytes_ + begin, 0, num_bytes_ - begin) == nullptr) return nullptr;
  return reinterpret_cast<const char*>(bytes_ + begin);
}

bool FlexbufferMap::Value(size_t index, int64_t* value) const {
  const uint8_t type = bytes_[values_ + size_ * value_width_ + index];
  if (type >> 2 != kIntType) return false;
  // The sign is the highest bit of the width.
  const int unused = static_cast<int>(64 - 8 * value_width_);
  const uint64_t bits = Unsigned(values_ + index * value_width_, value_width_)
                        << unused;
  *value = static_cast<int64_t>(bits) >> unused;
  return true;
}

}  // namespace tfmpq
