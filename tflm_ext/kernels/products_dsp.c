#include "tflm_ext/kernels/products_dsp.h"

#include "tflm_ext/kernels/product_loops_dsp.h"

/* The inner loops need all 14 registers: 8 sums (of channels a to d, pixels 0
 * and 1), the pointers x and w, the elements x0 and x1, and two words of
 * weights, p and q. So the end of the columns stays on the stack. */
#define RUN_LOOP(group)                                                        \
  __asm__ volatile(TFMPQ_LOOP(group, "ldr %[p], %[end]\n cmp %[x], %[p]\n")    \
                   : [a0] "+r"(a0), [a1] "+r"(a1), [b0] "+r"(b0),              \
                     [b1] "+r"(b1), [c0] "+r"(c0), [c1] "+r"(c1),              \
                     [d0] "+r"(d0), [d1] "+r"(d1), [x] "+r"(x), [w] "+r"(w),   \
                     [p] "+r"(p), [q] "=&r"(q), [x0] "=&r"(x0), [x1] "=&r"(x1) \
                   : [end] "m"(end)                                            \
                   : "cc", "memory")

#define NEXT_ELEMENTS "ldrd %[x0], %[x1], [%[x]], #8\n"

/* Elements of both pixels times the weights of a channel. */
#define PRODUCTS(channel, weights)                              \
  "smlad %[" #channel "0], %[x0], %[" #weights "], %[" #channel \
  "0]\n"                                                        \
  "smlad %[" #channel "1], %[x1], %[" #weights "], %[" #channel "1]\n"

enum { kGroupWords = 4 }; /* Columns of a group of two pixels. */

/* 8 bits: p and q hold channels a + 256 b and c + 256 d, where the bytes of a
 * and c are 128 too large. */
#define PRODUCTS_W8                                       \
  "ldrd %[p], %[q], [%[w]], #8\n" NEXT_ELEMENTS PRODUCTS( \
      a, p) "sxtb16 %[p], %[p], ror #8\n" PRODUCTS(b, p)  \
      PRODUCTS(c, q) "sxtb16 %[q], %[q], ror #8\n" PRODUCTS(d, q)
enum { kInstructionsW8 = 2 * 12 };

const uint32_t* tfmpq_products_w8(const tfmpq_products_task* task) {
  const uint32_t* const end = task->columns_end;
  const uint32_t* w = task->weight;
  const tfmpq_channel* channels = task->channels;
  uint8_t* codes = task->output.codes;
  const uint32_t entry = tfmpq_loop_entry(task, kGroupWords, kInstructionsW8);
  /* The bytes of a and c are 128 too large. */
  const int32_t start0 = tfmpq_subtract(0, task->sums[0], 7);
  const int32_t start1 = tfmpq_subtract(0, task->sums[1], 7);
  for (uint32_t i = task->num_blocks; i > 0; --i) {
    const uint32_t* x = task->columns;
    uint32_t p = entry, q, x0, x1;
    int32_t a0 = start0, a1 = start1, c0 = start0, c1 = start1;
    int32_t b0 = 0, b1 = 0, d0 = 0, d1 = 0;
    RUN_LOOP(PRODUCTS_W8 PRODUCTS_W8);
    int32_t products[] = {
        tfmpq_subtract(a0, b0, 8), b0,
        tfmpq_subtract(c0, d0, 8), d0,
        tfmpq_subtract(a1, b1, 8), b1,
        tfmpq_subtract(c1, d1, 8), d1,
    };
    codes = tfmpq_finish_block(task, channels, NULL, products, 2, codes);
    channels += kTfmpqBlockChannels;
  }
  return w;
}

/* 4 bits: p holds a + 16 b + 256 c + 4096 (d - 8). */
#define PRODUCTS_W4 \
  "ldr %[p], [%[w]], #4\n"        \
  NEXT_ELEMENTS                   \
  PRODUCTS(a, p)                  \
  "sxtb16 %[q], %[p], ror #8\n"   \
  PRODUCTS(c, q)                  \
  "bic %[q], %[q], #0x000f000f\n" \
  PRODUCTS(d, q)                  \
  "and %[p], %[p], #0x00f000f0\n" \
  PRODUCTS(b, p)
enum { kInstructionsW4 = 2 * 13 };

const uint32_t* tfmpq_products_w4(const tfmpq_products_task* task) {
  const uint32_t* const end = task->columns_end;
  const uint32_t* w = task->weight;
  const tfmpq_channel* channels = task->channels;
  const int8_t* zero_points = task->zero_points;
  uint8_t* codes = task->output.codes;
  const uint32_t entry = tfmpq_loop_entry(task, kGroupWords, kInstructionsW4);
  for (uint32_t i = task->num_blocks; i > 0; --i) {
    const uint32_t* x = task->columns;
    uint32_t p = entry, q, x0, x1;
    int32_t a0 = 0, b0 = 0, c0 = 0, d0 = 0, a1 = 0, b1 = 0, c1 = 0, d1 = 0;
    RUN_LOOP(PRODUCTS_W4 PRODUCTS_W4);
    const int32_t sum0 = task->sums[0];
    const int32_t sum1 = task->sums[1];
    int32_t products[] = {
        tfmpq_subtract(a0 - b0, c0, 8), b0 >> 4, c0 - d0, (d0 >> 4) + 8 * sum0,
        tfmpq_subtract(a1 - b1, c1, 8), b1 >> 4, c1 - d1, (d1 >> 4) + 8 * sum1,
    };
    codes = tfmpq_finish_block(task, channels, zero_points, products, 2, codes);
    channels += kTfmpqBlockChannels;
    zero_points += task->zero_point_step;
  }
  return w;
}

/* 2 bits: bytes of p hold a + 4 b + 16 c + 64 d, of one element each. */
#define PRODUCTS_W2(bytes)                     \
  NEXT_ELEMENTS                                \
  PRODUCTS(a, bytes)                           \
  "and %[" #bytes "], #0x00fc00fc\n" PRODUCTS( \
      b, bytes) "and %[" #bytes                \
                "], #0x00f000f0\n" PRODUCTS(   \
                    c, bytes) "and %[" #bytes  \
                              "], #0x00c000c0\n" PRODUCTS(d, bytes)
#define GROUP_W2                     \
  "ldr %[p], [%[w]], #4\n"           \
  "uxtb16 %[q], %[p]\n" PRODUCTS_W2( \
      q) "uxtb16 %[p], %[p], ror #8\n" PRODUCTS_W2(p)
enum { kInstructionsW2 = 1 + 2 * 13 };

const uint32_t* tfmpq_products_w2(const tfmpq_products_task* task) {
  const uint32_t* const end = task->columns_end;
  const uint32_t* w = task->weight;
  const tfmpq_channel* channels = task->channels;
  const int8_t* zero_points = task->zero_points;
  uint8_t* codes = task->output.codes;
  const uint32_t entry = tfmpq_loop_entry(task, kGroupWords, kInstructionsW2);
  for (uint32_t i = task->num_blocks; i > 0; --i) {
    const uint32_t* x = task->columns;
    uint32_t p = entry, q, x0, x1;
    int32_t a0 = 0, b0 = 0, c0 = 0, d0 = 0, a1 = 0, b1 = 0, c1 = 0, d1 = 0;
    RUN_LOOP(GROUP_W2);
    int32_t products[] = {
        a0 - b0, (b0 - c0) >> 2, (c0 - d0) >> 4, d0 >> 6,
        a1 - b1, (b1 - c1) >> 2, (c1 - d1) >> 4, d1 >> 6,
    };
    codes = tfmpq_finish_block(task, channels, zero_points, products, 2, codes);
    channels += kTfmpqBlockChannels;
    zero_points += task->zero_point_step;
  }
  return w;
}

/* Input and weight of 2 bits: two channels, p and q, whose words of one group
 * are neighbours; those of the next group lie 16 bytes on. */
#define PRODUCTS_A2_W2(rotate)        \
  "ldrd %[x0], %[x1], [%[x]], #8\n"   \
  "and %[t], %[mask], %[p]" rotate    \
  "\n"                                \
  "and %[u], %[mask], %[q]" rotate    \
  "\n"                                \
  "smlad %[p0], %[x0], %[t], %[p0]\n" \
  "smlad %[p1], %[x1], %[t], %[p1]\n" \
  "smlad %[q0], %[x0], %[u], %[q0]\n" \
  "smlad %[q1], %[x1], %[u], %[q1]\n"

/* Returns bits 12..23, where the products are. */
TFMPQ_INLINE int32_t middle_field(uint32_t field) {
  return (int32_t)(field >> 12 & 0xfff);
}

enum {
  kGroupWordsA2W2 = 8,
  /* 4 SMLAD each, so 112 between two readings of the 12 bits. */
  kGroupsA2W2 = 28
};

/* Adds the products of two channels whose first weights are at w to
 * products[0] and [1] (pixel 0), [4] and [5] (pixel 1). */
static void add_products_a2_w2(const uint32_t* x, const uint32_t* x_end,
                               const uint32_t* w, int32_t* products) {
  const uint32_t mask = 0x30033003;
  while (x != x_end) {
    const uint32_t* end = x + kGroupsA2W2 * kGroupWordsA2W2;
    if (x_end - x < kGroupsA2W2 * kGroupWordsA2W2) end = x_end;
    uint32_t p0 = 0, p1 = 0, q0 = 0, q1 = 0;
    uint32_t x0, x1, p, q, t, u;
    __asm__ volatile(
        "1:\n"
        "ldrd %[p], %[q], [%[w]], #16\n"
        PRODUCTS_A2_W2("")
        PRODUCTS_A2_W2(", ror #2")
        PRODUCTS_A2_W2(", ror #8")
        PRODUCTS_A2_W2(", ror #10")
        "cmp %[x], %[end]\n"
        "bne 1b\n"
        : [p0] "+r"(p0), [p1] "+r"(p1), [q0] "+r"(q0), [q1] "+r"(q1),
          [x] "+r"(x), [w] "+r"(w), [x0] "=&r"(x0), [x1] "=&r"(x1),
          [p] "=&r"(p), [q] "=&r"(q), [t] "=&r"(t), [u] "=&r"(u)
        : [end] "r"(end), [mask] "r"(mask)
        : "cc", "memory");
    products[0] += middle_field(p0);
    products[1] += middle_field(q0);
    products[4] += middle_field(p1);
    products[5] += middle_field(q1);
  }
}

const uint32_t* tfmpq_products_a2_w2(const tfmpq_products_task* task) {
  const uint32_t* w = task->weight;
  const tfmpq_channel* channels = task->channels;
  const int8_t* zero_points = task->zero_points;
  uint8_t* codes = task->output.codes;
  const uint32_t* const end = task->columns_end;
  for (uint32_t i = task->num_blocks; i > 0; --i) {
    int32_t products[8] = {0};
    add_products_a2_w2(task->columns, end, w, products);
    add_products_a2_w2(task->columns, end, w + 2, products + 2);
    codes = tfmpq_finish_block(task, channels, zero_points, products, 2, codes);
    w += (end - task->columns) / 2;
    channels += kTfmpqBlockChannels;
    zero_points += task->zero_point_step;
  }
  return w;
}
