/* From sums of products to packed codes: the part of the DSP kernels of conv2d
 * that depends on the width of the output. Called by products_dsp.c: sums of
 * channels a to d, pixels 0 and 1 each, in r4 to r11; a copy of the task at sp;
 * r0, r2, r3, r12 and lr may change. Moves the task's channels, zero points and
 * codes on to the next block. */
#include "tflm_ext/kernels/assembly_dsp.h"
#include "tflm_ext/kernels/products_dsp.h"

/* clang-format off */
/* Leaves r0 at the channels. From here on the task is at sp + 8. */
#define BEGIN(name)    \
  TFMPQ_FUNCTION(name) \
  "push {r1, lr}\n"    \
  "ldr r0, [sp, #24]\n"

/* A channel without zero point; r12 holds the offset of the rescaling. */
#define RESCALE_W8(sum0, sum1)                      \
  "ldrd r2, r3, [r0], #8\n" /* Bias, multiplier. */ \
  "add " sum0 ", r2\n"                              \
  "add " sum1 ", r2\n"                              \
  "smmla " sum0 ", " sum0 ", r3, r12\n"             \
  "smmla " sum1 ", " sum1 ", r3, r12\n"
#define RESCALE_ALL_W8   \
  "ldr r12, [sp, #44]\n" \
  RESCALE_W8("r4", "r5") \
  RESCALE_W8("r6", "r7") \
  RESCALE_W8("r8", "r9") \
  RESCALE_W8("r10", "r11")

/* A channel whose zero point is in r12, `rotate` bits from the right; r1 and lr
 * hold the sums of the elements of each pixel. `scale`: how the sums of
 * products are made smaller. pre_shift: nothing, or what shifts both sums. */
#define RESCALE(sum0, sum1, scale, rotate, pre_shift) \
  "ldrd r2, r3, [r0], #8\n"                           \
  "add " sum0 ", r2, " sum0 scale "\n"                \
  "add " sum1 ", r2, " sum1 scale "\n"                \
  "sxtb r2, r12" rotate "\n"                          \
  "mls " sum0 ", r2, r1, " sum0 "\n"                  \
  "mls " sum1 ", r2, lr, " sum1 "\n"                  \
  pre_shift(sum0, sum1)                               \
  "ldr r2, [sp, #44]\n" /* Offset. */                 \
  "smmla " sum0 ", " sum0 ", r3, r2\n"                \
  "smmla " sum1 ", " sum1 ", r3, r2\n"
#define NO_PRE_SHIFT(sum0, sum1)
#define PRE_SHIFT(sum0, sum1) \
  "ldr r2, [sp, #64]\n"       \
  "lsl " sum0 ", r2\n"        \
  "lsl " sum1 ", r2\n"

/* Channels b, c and d with their scales; channel a needs none. */
#define RESCALE_ALL(scale_b, scale_c, scale_d, pre_shift) \
  "ldrd r12, r2, [sp, #28]\n"                             \
  "add r2, r12\n"                                         \
  "str r2, [sp, #28]\n"                                   \
  "ldr r12, [r12]\n"                                      \
  "ldrd r1, lr, [sp, #36]\n"                              \
  RESCALE("r4", "r5", "", "", pre_shift)                  \
  RESCALE("r6", "r7", scale_b, ", ror #8", pre_shift)     \
  RESCALE("r8", "r9", scale_c, ", ror #16", pre_shift)    \
  RESCALE("r10", "r11", scale_d, ", ror #24", pre_shift)
#define RESCALE_ALL_W4(pre_shift) \
  RESCALE_ALL(", asr #4", "", ", asr #4", pre_shift)
#define RESCALE_ALL_W2(pre_shift) \
  RESCALE_ALL(", asr #2", ", asr #4", ", asr #6", pre_shift)
#define RESCALE_ALL_A2_W2(pre_shift) RESCALE_ALL("", "", "", pre_shift)

/* Shifts and saturates. Leaves r0 at the codes of pixel 0, r3 of pixel 1. */
#define SATURATE(sum, saturate) \
  "asr " sum ", r2\n"           \
  saturate(sum)
#define SATURATE_ALL(saturate) \
  "str r0, [sp, #24]\n"        \
  "ldr r2, [sp, #48]\n"        \
  "ldrd r0, r3, [sp, #52]\n"   \
  "add r3, r0\n"               \
  SATURATE("r4", saturate)     \
  SATURATE("r5", saturate)     \
  SATURATE("r6", saturate)     \
  SATURATE("r7", saturate)     \
  SATURATE("r8", saturate)     \
  SATURATE("r9", saturate)     \
  SATURATE("r10", saturate)    \
  SATURATE("r11", saturate)
#define TO_8_BITS(sum) "ssat " sum ", #8, " sum "\n"
#define TO_4_BITS(sum) "usat " sum ", #4, " sum "\n"
#define TO_2_BITS(sum) "usat " sum ", #2, " sum "\n"

#define WRITE_O8          \
  SATURATE_ALL(TO_8_BITS) \
  "strb r5, [r3]\n"       \
  "strb r7, [r3, #1]\n"   \
  "strb r9, [r3, #2]\n"   \
  "strb r11, [r3, #3]\n"  \
  "strb r4, [r0], #1\n"   \
  "strb r6, [r0], #1\n"   \
  "strb r8, [r0], #1\n"   \
  "strb r10, [r0], #1\n"

/* Puts the codes of each pixel together, `bits` apart. */
#define JOIN(to, from, shift) "orr " to ", " to ", " from ", lsl #" shift "\n"
#define WRITE_O4          \
  SATURATE_ALL(TO_4_BITS) \
  JOIN("r5", "r7", "4")   \
  JOIN("r5", "r9", "8")   \
  JOIN("r5", "r11", "12") \
  "strh r5, [r3]\n"       \
  JOIN("r4", "r6", "4")   \
  JOIN("r4", "r8", "8")   \
  JOIN("r4", "r10", "12") \
  "strh r4, [r0], #2\n"
#define WRITE_O2          \
  SATURATE_ALL(TO_2_BITS) \
  JOIN("r5", "r7", "2")   \
  JOIN("r5", "r9", "4")   \
  JOIN("r5", "r11", "6")  \
  "strb r5, [r3]\n"       \
  JOIN("r4", "r6", "2")   \
  JOIN("r4", "r8", "4")   \
  JOIN("r4", "r10", "6")  \
  "strb r4, [r0], #1\n"

#define END(name)       \
  "str r0, [sp, #52]\n" \
  "pop {r1, pc}\n"      \
  TFMPQ_END_FUNCTION(name)

#define FINISH(name, rescale)                                  \
  __asm__(BEGIN(name "_o8") rescale WRITE_O8 END(name "_o8")); \
  __asm__(BEGIN(name "_o4") rescale WRITE_O4 END(name "_o4")); \
  __asm__(BEGIN(name "_o2") rescale WRITE_O2 END(name "_o2"))
FINISH("tfmpq_finish_w8", RESCALE_ALL_W8);
FINISH("tfmpq_finish_w4", RESCALE_ALL_W4(NO_PRE_SHIFT));
FINISH("tfmpq_finish_w2", RESCALE_ALL_W2(NO_PRE_SHIFT));
FINISH("tfmpq_finish_a2_w2", RESCALE_ALL_A2_W2(NO_PRE_SHIFT));
/* Weights of 8 bits have zero points of 0. */
FINISH("tfmpq_finish_shifted_w8", RESCALE_ALL_A2_W2(PRE_SHIFT));
FINISH("tfmpq_finish_shifted_w4", RESCALE_ALL_W4(PRE_SHIFT));
FINISH("tfmpq_finish_shifted_w2", RESCALE_ALL_W2(PRE_SHIFT));
FINISH("tfmpq_finish_shifted_a2_w2", RESCALE_ALL_A2_W2(PRE_SHIFT));
/* clang-format on */
