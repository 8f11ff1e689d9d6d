/* One pixel times all output channels: fully connected layers. */
#include "tflm_ext/kernels/outputs_dsp.h"
#include "tflm_ext/kernels/products_dsp.h"

/* A loop over the columns in assembly language, at whose end `compare` sets the
 * flags. It takes up to 4 groups of elements per round; the first round takes
 * as many as are left over: it begins with a jump over the others, whose length
 * is in the operand p. A group has instructions of 4 bytes only. (pc reads 4
 * bytes ahead: of the label.) */
/* clang-format off */
#define LOOP(group, compare) \
  "add pc, %[p]\n"           \
  "nop.n\n"                  \
  "1:\n"                     \
  group group group group    \
  compare                    \
  "bne 1b\n"
/* clang-format on */

enum { kGroupsPerRound = 4, kInstructionBytes = 4 };

/* Returns the bytes of code that the first round leaves out. */
TFMPQ_INLINE uint32_t loop_entry(const tfmpq_products_task* task,
                                 uint32_t group_words,
                                 uint32_t group_instructions) {
  const uint32_t words = (uint32_t)(task->columns_end - task->columns);
  const uint32_t left_out = -(words / group_words) % kGroupsPerRound;
  return left_out * group_instructions * kInstructionBytes;
}

/* Returns a - (b << shift) modulo 2^32. */
TFMPQ_INLINE int32_t subtract(int32_t a, int32_t b, int shift) {
  return (int32_t)((uint32_t)a - ((uint32_t)b << shift));
}

/* Sums of channels a to d, the elements x0 and x1, two words of weights. */
#define RUN_LOOP(group)                                                   \
  __asm__ volatile(LOOP(group, "cmp %[x], %[end]\n")                      \
                   : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d),  \
                     [x] "+r"(x), [w] "+r"(w), [p] "+r"(p), [q] "=&r"(q), \
                     [x0] "=&r"(x0), [x1] "=&r"(x1), [r] "=&r"(r)         \
                   : [end] "r"(task->columns_end)                         \
                   : "cc", "memory")

#define NEXT_ELEMENTS "ldrd %[x0], %[x1], [%[x]], #8\n"

/* clang-format off */
/* Elements times the weights of a channel. */
#define PRODUCTS(channel, elements, weights) \
  "smlad %[" #channel "], %[" #elements "], %[" #weights "], %[" #channel "]\n"

/* Weights: see products_dsp.c. */
#define PRODUCTS_W8(elements)     \
  "ldrd %[p], %[q], [%[w]], #8\n" \
  PRODUCTS(a, elements, p)        \
  "sxtb16 %[p], %[p], ror #8\n"   \
  PRODUCTS(b, elements, p)        \
  PRODUCTS(c, elements, q)        \
  "sxtb16 %[q], %[q], ror #8\n"   \
  PRODUCTS(d, elements, q)

#define PRODUCTS_W4(elements, p)     \
  PRODUCTS(a, elements, p)           \
  "sxtb16 %[r], %[" #p "], ror #8\n" \
  PRODUCTS(c, elements, r)           \
  "bic %[r], %[r], #0x000f000f\n"    \
  PRODUCTS(d, elements, r)           \
  "and %[" #p "], #0x00f000f0\n"     \
  PRODUCTS(b, elements, p)
#define GROUP_W4                  \
  "ldrd %[p], %[q], [%[w]], #8\n" \
  NEXT_ELEMENTS                   \
  PRODUCTS_W4(x0, p)              \
  PRODUCTS_W4(x1, q)

#define PRODUCTS_W2(elements, bytes) \
  PRODUCTS(a, elements, bytes)       \
  "and %[" #bytes "], #0x00fc00fc\n" \
  PRODUCTS(b, elements, bytes)       \
  "and %[" #bytes "], #0x00f000f0\n" \
  PRODUCTS(c, elements, bytes)       \
  "and %[" #bytes "], #0x00c000c0\n" \
  PRODUCTS(d, elements, bytes)
#define GROUP_W2                \
  "ldr %[p], [%[w]], #4\n"      \
  NEXT_ELEMENTS                 \
  "uxtb16 %[q], %[p]\n"         \
  PRODUCTS_W2(x0, q)            \
  "uxtb16 %[p], %[p], ror #8\n" \
  PRODUCTS_W2(x1, p)

/* A word of 16 weights of one channel times 16 elements. */
#define PRODUCTS_A2_W2(channel)                         \
  "ldr %[p], [%[w]], #4\n"                              \
  "and %[t], %[mask], %[p]\n"                           \
  "smlad %[" channel "], %[x0], %[t], %[" channel "]\n" \
  "and %[t], %[mask], %[p], ror #2\n"                   \
  "smlad %[" channel "], %[x1], %[t], %[" channel "]\n" \
  "and %[t], %[mask], %[p], ror #8\n"                   \
  "smlad %[" channel "], %[x2], %[t], %[" channel "]\n" \
  "and %[t], %[mask], %[p], ror #10\n"                  \
  "smlad %[" channel "], %[x3], %[t], %[" channel "]\n"
/* clang-format on */

/* Columns of a group of one pixel, and instructions of a group. */
enum {
  kGroupWords = 2,
  kInstructionsW8 = 1 + 2 * 7,
  kInstructionsW4 = 2 + 2 * 7,
  kInstructionsW2 = 2 + 2 * 8
};

const uint32_t* tfmpq_vector_products_w8(const tfmpq_products_task* task) {
  const uint32_t* w = task->weight;
  const tfmpq_channel* channels = task->channels;
  const int8_t* zero_points = task->zero_points;
  uint8_t* codes = task->codes;
  /* The bytes of a and c are 128 too large. */
  const int32_t start = subtract(0, task->sums[0], 7);
  const uint32_t entry = loop_entry(task, kGroupWords, kInstructionsW8);
  for (uint32_t i = task->num_blocks; i > 0; --i) {
    const uint32_t* x = task->columns;
    uint32_t p = entry, q, r, x0, x1;
    int32_t a = start, b = 0, c = start, d = 0;
    RUN_LOOP(NEXT_ELEMENTS PRODUCTS_W8(x0) PRODUCTS_W8(x1));
    int32_t products[] = {
        subtract(a, b, 8),
        b,
        subtract(c, d, 8),
        d,
    };
    tfmpq_write_block(task, channels, zero_points, task->sums[0], products,
                      codes);
    codes += kTfmpqBlockChannels * task->bits / 8;
    channels += kTfmpqBlockChannels;
    zero_points += task->zero_point_step;
  }
  return w;
}

const uint32_t* tfmpq_vector_products_w4(const tfmpq_products_task* task) {
  const uint32_t* w = task->weight;
  const tfmpq_channel* channels = task->channels;
  const int8_t* zero_points = task->zero_points;
  uint8_t* codes = task->codes;
  const int32_t sum = task->sums[0];
  const uint32_t entry = loop_entry(task, kGroupWords, kInstructionsW4);
  for (uint32_t i = task->num_blocks; i > 0; --i) {
    const uint32_t* x = task->columns;
    uint32_t p = entry, q, r, x0, x1;
    int32_t a = 0, b = 0, c = 0, d = 0;
    RUN_LOOP(GROUP_W4);
    int32_t products[] = {subtract(a - b, c, 8), b >> 4, c - d,
                          (d >> 4) + 8 * sum};
    tfmpq_write_block(task, channels, zero_points, task->sums[0], products,
                      codes);
    codes += kTfmpqBlockChannels * task->bits / 8;
    channels += kTfmpqBlockChannels;
    zero_points += task->zero_point_step;
  }
  return w;
}

const uint32_t* tfmpq_vector_products_w2(const tfmpq_products_task* task) {
  const uint32_t* w = task->weight;
  const tfmpq_channel* channels = task->channels;
  const int8_t* zero_points = task->zero_points;
  uint8_t* codes = task->codes;
  const uint32_t entry = loop_entry(task, kGroupWords, kInstructionsW2);
  for (uint32_t i = task->num_blocks; i > 0; --i) {
    const uint32_t* x = task->columns;
    uint32_t p = entry, q, r, x0, x1;
    int32_t a = 0, b = 0, c = 0, d = 0;
    RUN_LOOP(GROUP_W2);
    int32_t products[] = {a - b, (b - c) >> 2, (c - d) >> 4, d >> 6};
    tfmpq_write_block(task, channels, zero_points, task->sums[0], products,
                      codes);
    codes += kTfmpqBlockChannels * task->bits / 8;
    channels += kTfmpqBlockChannels;
    zero_points += task->zero_point_step;
  }
  return w;
}

enum {
  kGroupWordsA2W2 = 4,
  /* 4 SMLAD each, so 112 between two readings of the 12 bits. */
  kGroupsA2W2 = 28
};

/* Adds the products of a block to products[0..3]. Returns the weights behind
 * the block. */
static const uint32_t* add_products_a2_w2(const uint32_t* x,
                                          const uint32_t* x_end,
                                          const uint32_t* w,
                                          int32_t* products) {
  const uint32_t mask = 0x30033003;
  while (x != x_end) {
    const uint32_t* end = x + kGroupsA2W2 * kGroupWordsA2W2;
    if (x_end - x < kGroupsA2W2 * kGroupWordsA2W2) end = x_end;
    uint32_t a = 0, b = 0, c = 0, d = 0;
    uint32_t p, t, x0, x1, x2, x3;
    __asm__ volatile(
        "1:\n"
        "ldrd %[x0], %[x1], [%[x]], #8\n"
        "ldrd %[x2], %[x3], [%[x]], #8\n"
        PRODUCTS_A2_W2("a")
        PRODUCTS_A2_W2("b")
        PRODUCTS_A2_W2("c")
        PRODUCTS_A2_W2("d")
        "cmp %[x], %[end]\n"
        "bne 1b\n"
        : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [x] "+r"(x),
          [w] "+r"(w), [p] "=&r"(p), [t] "=&r"(t), [x0] "=&r"(x0),
          [x1] "=&r"(x1), [x2] "=&r"(x2), [x3] "=&r"(x3)
        : [end] "r"(end), [mask] "r"(mask)
        : "cc", "memory");
    products[0] += (int32_t)(a >> 12 & 0xfff);
    products[1] += (int32_t)(b >> 12 & 0xfff);
    products[2] += (int32_t)(c >> 12 & 0xfff);
    products[3] += (int32_t)(d >> 12 & 0xfff);
  }
  return w;
}

const uint32_t* tfmpq_vector_products_a2_w2(const tfmpq_products_task* task) {
  const uint32_t* w = task->weight;
  const tfmpq_channel* channels = task->channels;
  const int8_t* zero_points = task->zero_points;
  uint8_t* codes = task->codes;
  for (uint32_t i = task->num_blocks; i > 0; --i) {
    int32_t products[4] = {0};
    w = add_products_a2_w2(task->columns, task->columns_end, w, products);
    tfmpq_write_block(task, channels, zero_points, task->sums[0], products,
                      codes);
    codes += kTfmpqBlockChannels * task->bits / 8;
    channels += kTfmpqBlockChannels;
    zero_points += task->zero_point_step;
  }
  return w;
}
