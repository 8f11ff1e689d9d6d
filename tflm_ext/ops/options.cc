#include "tflm_ext/ops/options.h"

#include <cstring>

#include "tflm_ext/ops/flexbuffer_map.h"
#include "tflm_ext/ops/report.h"
#include "tflm_ext/ops/tflm.h"

namespace tfmpq {
namespace {

// How a value is stored.
enum class Field : uint8_t { kInt8, kUint8, kUint16 };

// What is known of a key.
struct Key {
  char name[10];
  uint8_t offset;  // In Options.
  Field field;
  uint8_t initial;  // Where the key may be left out.
  int16_t lowest;
  int32_t highest;
};

enum KeyIndex : uint8_t {
  kABits,
  kBBits,
  kCIn,
  kCOut,
  kKH,
  kKW,
  kLayout,
  kOBits,
  kPB,
  kPL,
  kPR,
  kPT,
  kPreShift,
  kSH,
  kSW,
  kShift,
  kWBits,
  kZB,
  kZIn,
  kZOut,
  kZW,
  kNumKeys,
};

constexpr Field kInt8 = Field::kInt8;
constexpr Field kUint8 = Field::kUint8;
constexpr Field kUint16 = Field::kUint16;

// In the order of KeyIndex, which is that of a FlexBuffer map: alphabetic.
constexpr Key kKeys[kNumKeys] = {
    {"a_bits", offsetof(Options, a_bits), kUint8, 0, 2, 8},
    {"b_bits", offsetof(Options, b_bits), kUint8, 0, 2, 8},
    {"c_in", offsetof(Options, c_in), kUint16, 0, 1, 65535},
    {"c_out", offsetof(Options, c_out), kUint16, 0, 1, 65535},
    {"k_h", offsetof(Options, k_h), kUint8, 1, 1, 255},
    {"k_w", offsetof(Options, k_w), kUint8, 1, 1, 255},
    {"layout", offsetof(Options, layout), kUint8, 0, 0, 255},
    {"o_bits", offsetof(Options, o_bits), kUint8, 0, 2, 8},
    {"p_b", offsetof(Options, p_b), kUint8, 0, 0, 254},
    {"p_l", offsetof(Options, p_l), kUint8, 0, 0, 254},
    {"p_r", offsetof(Options, p_r), kUint8, 0, 0, 254},
    {"p_t", offsetof(Options, p_t), kUint8, 0, 0, 254},
    {"pre_shift", offsetof(Options, pre_shift), kUint8, 0, 0, 31},
    {"s_h", offsetof(Options, s_h), kUint8, 1, 1, 255},
    {"s_w", offsetof(Options, s_w), kUint8, 1, 1, 255},
    {"shift", offsetof(Options, shift), kUint8, 0, 1, 31},
    {"w_bits", offsetof(Options, w_bits), kUint8, 0, 2, 8},
    {"z_b", offsetof(Options, z_b), kInt8, 0, -128, 127},
    {"z_in", offsetof(Options, z_in), kInt8, 0, -128, 127},
    {"z_out", offsetof(Options, z_out), kInt8, 0, -128, 127},
    {"z_w", offsetof(Options, z_w), kInt8, 0, -128, 127},
};

constexpr uint32_t Bit(KeyIndex key) { return uint32_t{1} << key; }

constexpr uint32_t kWindow = Bit(kKH) | Bit(kKW) | Bit(kSH) | Bit(kSW) |
                             Bit(kPT) | Bit(kPL) | Bit(kPB) | Bit(kPR);
constexpr uint32_t kWeight = Bit(kZW) | Bit(kLayout);
constexpr uint32_t kPool = Bit(kABits) | Bit(kCIn);
constexpr uint32_t kRescaled =
    kPool | Bit(kOBits) | Bit(kZIn) | Bit(kZOut) | Bit(kShift);
constexpr uint32_t kWeighted = kRescaled | Bit(kPreShift) | Bit(kWBits);

// What is known of an op: its name, keys that must be there, and others.
struct OpKeys {
  const char* name;
  uint32_t required;
  uint32_t optional;
};

// In the order of Op.
constexpr OpKeys kOps[kNumOps] = {
    {"TfmpqConv2D", kWeighted | Bit(kCOut), kWindow | kWeight},
    {"TfmpqDepthwiseConv2D", kWeighted, kWindow | kWeight},
    {"TfmpqFullyConnected", kWeighted | Bit(kCOut), kWeight},
    {"TfmpqAdd", kRescaled | Bit(kBBits) | Bit(kZB), 0},
    {"TfmpqAveragePool2D", kRescaled | Bit(kPreShift), kWindow},
    {"TfmpqMaxPool2D", kPool, kWindow},
};

void Store(const Key& key, int32_t value, Options* options) {
  uint8_t* const field = reinterpret_cast<uint8_t*>(options) + key.offset;
  if (key.field == Field::kUint16) {
    const uint16_t wide = static_cast<uint16_t>(value);
    memcpy(field, &wide, sizeof(wide));
  } else {  // An int8_t is stored as its two's complement.
    *field = static_cast<uint8_t>(value);
  }
}

bool IsBits(KeyIndex key) {
  return key == kABits || key == kBBits || key == kOBits || key == kWBits;
}

// Reads one entry. Keys must come in ascending order, from `*next` on.
bool ReadEntry(const OpKeys& op, const FlexbufferMap& map, size_t entry,
               int* next, uint32_t* found, Options* options) {
  const char* name = map.Key(entry);
  if (name == nullptr) {
    return Refuse(op.name, "options: a key lies outside of them");
  }
  int index = *next;
  while (index < kNumKeys && strcmp(kKeys[index].name, name) != 0) ++index;
  if (index == kNumKeys ||
      ((op.required | op.optional) & uint32_t{1} << index) == 0) {
    using namespace tflm;  // NOLINT(build/namespaces): MicroPrintf
    MicroPrintf("%s: option '%.16s' is unknown, or stands in the wrong place",
                op.name, name);
    return false;
  }
  const Key& key = kKeys[index];
  int64_t value;
  if (!map.Value(entry, &value)) {
    return Refuse(op.name, "options: expected signed integers only");
  }
  if (!ExpectRange(op.name, key.name, key.lowest, key.highest, value)) {
    return false;
  }
  if (IsBits(static_cast<KeyIndex>(index)) && (value & (value - 1)) != 0) {
    return Refuse(op.name, "a width is not 2, 4 or 8 bits");
  }
  Store(key, static_cast<int32_t>(value), options);
  *found |= uint32_t{1} << index;
  *next = index + 1;
  return true;
}

// Checks that what must be there is, and fills in what depends on other keys.
bool Complete(const OpKeys& op, uint32_t found, Options* options) {
  for (int i = 0; i < kNumKeys; ++i) {
    if ((op.required & ~found & uint32_t{1} << i) == 0) continue;
    using namespace tflm;  // NOLINT(build/namespaces): MicroPrintf
    MicroPrintf("%s: option '%s' is missing", op.name, kKeys[i].name);
    return false;
  }
  options->has_z_w = (found & Bit(kZW)) != 0;
  if ((found & Bit(kCOut)) == 0) options->c_out = options->c_in;
  return true;
}

}  // namespace

const char* OpName(Op op) { return kOps[static_cast<int>(op)].name; }

bool ParseOptions(Op op, const uint8_t* bytes, size_t num_bytes,
                  Options* options) {
  const OpKeys& keys = kOps[static_cast<int>(op)];
  *options = Options();
  for (const Key& key : kKeys) Store(key, key.initial, options);
  FlexbufferMap map(bytes, num_bytes);
  if (!map.Open()) return Refuse(keys.name, "options are no FlexBuffer map");
  int next = 0;
  uint32_t found = 0;
  for (size_t i = 0; i < map.size(); ++i) {
    if (!ReadEntry(keys, map, i, &next, &found, options)) return false;
  }
  return Complete(keys, found, options);
}

}  // namespace tfmpq
