/* The products of two pixels and 4 channels at a time, in assembly language:
 * the inner loops need 14 registers, and around them GCC spills more than there
 * is to compute.
 *
 *   r0 x         the next columns         r4  r5   sums of channel a,
 *   r1 w         the next weights                  pixels 0 and 1
 *   r2 x0, r3 x1 elements of each pixel   r6  r7   channel b
 *   r12 p, lr q  words of weights         r8  r9   channel c
 *                                         r10 r11  channel d
 *   sp           a copy of tfmpq_products_task
 *
 * After the loop come instructions that separate the channels, then a call
 * of task.finish, which scales the sums and makes codes of r4 to r11. */
#include "tflm_ext/kernels/products_dsp.h"

#include "tflm_ext/kernels/assembly_dsp.h"

/* clang-format off */
/* Copies the task to the stack, up to `bits`. `entry` sets r6, the field of
 * that name, and r7, the number of blocks, to the end of their weights; r4 is
 * the columns, r5 their end. */
#define BEGIN(name, entry)           \
  TFMPQ_FUNCTION(name)               \
  "push {r4-r11, lr}\n"              \
  "sub sp, #100\n"                   \
  "ldr r1, [r0, #64]\n" /* weight */ \
  "ldm r0!, {r4-r11}\n"              \
  entry                              \
  "stm sp, {r4-r11}\n"               \
  "cmp r1, r7\n"                     \
  "beq 9f\n"                         \
  "ldm r0, {r4-r11}\n"               \
  "add r2, sp, #32\n"                \
  "stm r2, {r4-r11}\n"

#define END(name)                     \
  "ldr r12, [sp, #52]\n" /* finish */ \
  "blx r12\n"                         \
  "ldr r2, [sp, #12]\n"               \
  "cmp r1, r2\n"                      \
  "bne 2b\n"                          \
  "9:\n"                              \
  "mov r0, r1\n"                      \
  "add sp, #100\n"                    \
  "pop {r4-r11, pc}\n"                \
  TFMPQ_END_FUNCTION(name)

/* The loop takes 4 groups of elements per round; the first round only as many
 * as are left over. `entry` is the number of bytes of code before those, less 2
 * (pc reads 4 bytes ahead of an instruction of 2); groups have instructions of
 * 4 bytes only. */
#define ENTRY(group_bytes, weight_shift)    \
  "sub r2, r5, r4\n"                        \
  "lsr r2, #4\n" /* Groups. */              \
  "mul r7, r7, r2\n"                        \
  "add r7, r1, r7, lsl #" weight_shift "\n" \
  "rsb r2, #0\n"                            \
  "and r2, #3\n"                            \
  "mov r3, #" group_bytes "\n"              \
  "mul r6, r2, r3\n"                        \
  "sub r6, #2\n"

/* Sums of a block start with the 8 words at sp + 68. */
#define LOOP(group)       \
  "2:\n" /* A block. */   \
  "add r12, sp, #68\n"    \
  "ldm r12, {r4-r11}\n"   \
  "ldr r0, [sp]\n"        \
  "ldr r12, [sp, #8]\n"   \
  "add pc, r12\n"         \
  "1:\n"                  \
  group group group group \
  "ldr r12, [sp, #4]\n"   \
  "cmp r0, r12\n"         \
  "bne 1b\n"

/* Sets the words at sp + 68 to 0. r12 is left at them. */
#define START_WITH_0          \
  "mov r2, #0\n"              \
  "mov r3, #0\n"              \
  "add r12, sp, #68\n"        \
  "strd r2, r3, [r12]\n"      \
  "strd r2, r3, [r12, #8]\n"  \
  "strd r2, r3, [r12, #16]\n" \
  "strd r2, r3, [r12, #24]\n"

#define ELEMENTS "ldrd r2, r3, [r0], #8\n"

/* Elements of both pixels times `weights`, added to two sums. */
#define MULTIPLY(sum0, sum1, weights)           \
  "smlad " sum0 ", r2, " weights ", " sum0 "\n" \
  "smlad " sum1 ", r3, " weights ", " sum1 "\n"
#define MULTIPLY_A(weights) MULTIPLY("r4", "r5", weights)
#define MULTIPLY_B(weights) MULTIPLY("r6", "r7", weights)
#define MULTIPLY_C(weights) MULTIPLY("r8", "r9", weights)
#define MULTIPLY_D(weights) MULTIPLY("r10", "r11", weights)

#define CLEAR(first, second) \
  "mov " first ", #0\n"      \
  "mov " second ", #0\n"

/* 8 bits: p and q hold channels a + 256 b and c + 256 d, where a and c are 128
 * too large: their sums start with -128 times the sum of the elements. */
#define HALF_GROUP_W8         \
  "ldrd r12, lr, [r1], #8\n"  \
  ELEMENTS                    \
  MULTIPLY_A("r12")           \
  "sxtb16 r12, r12, ror #8\n" \
  MULTIPLY_B("r12")           \
  MULTIPLY_C("lr")            \
  "sxtb16 lr, lr, ror #8\n"   \
  MULTIPLY_D("lr")
__asm__(BEGIN("tfmpq_products_w8", ENTRY("96", "4"))
        START_WITH_0
        "ldrd r2, r3, [sp, #28]\n"
        "rsb r2, #0\n"
        "rsb r3, #0\n"
        "lsl r2, #7\n"
        "lsl r3, #7\n"
        "strd r2, r3, [r12]\n"
        "strd r2, r3, [r12, #16]\n"
        LOOP(HALF_GROUP_W8 HALF_GROUP_W8)
        "sub r4, r4, r6, lsl #8\n"
        "sub r5, r5, r7, lsl #8\n"
        "sub r8, r8, r10, lsl #8\n"
        "sub r9, r9, r11, lsl #8\n"
        END("tfmpq_products_w8"));

/* 4 bits: p holds a + 16 b + 256 c + 4096 (d - 8). The sums of b and d get 16
 * times as large as they should be. That of d starts with 16 times 8 times the
 * sum of the elements, from which it would be missing; those of c and a with as
 * much as the subtractions take away again. */
#define HALF_GROUP_W4           \
  "ldr r12, [r1], #4\n"         \
  ELEMENTS                      \
  MULTIPLY_A("r12")             \
  "sxtb16 lr, r12, ror #8\n"    \
  MULTIPLY_C("lr")              \
  "bic lr, lr, #0x000f000f\n"   \
  MULTIPLY_D("lr")              \
  "and r12, r12, #0x00f000f0\n" \
  MULTIPLY_B("r12")
__asm__(BEGIN("tfmpq_products_w4", ENTRY("104", "3"))
        START_WITH_0
        "ldrd r2, r3, [sp, #28]\n"
        "lsl r2, #7\n"
        "lsl r3, #7\n"
        "strd r2, r3, [r12, #24]\n"
        "strd r2, r3, [r12, #16]\n"
        "lsl r2, #8\n"
        "lsl r3, #8\n"
        "strd r2, r3, [r12]\n"
        LOOP(HALF_GROUP_W4 HALF_GROUP_W4)
        "sub r4, r4, r8, lsl #8\n"
        "sub r5, r5, r9, lsl #8\n"
        "sub r4, r6\n"
        "sub r5, r7\n"
        "sub r8, r10\n"
        "sub r9, r11\n"
        END("tfmpq_products_w4"));

/* 2 bits: bytes of p hold a + 4 b + 16 c + 64 d, of one element each. */
#define HALF_GROUP_W2(bytes)                \
  ELEMENTS                                  \
  MULTIPLY_A(bytes)                         \
  "and " bytes ", " bytes ", #0x00fc00fc\n" \
  MULTIPLY_B(bytes)                         \
  "and " bytes ", " bytes ", #0x00f000f0\n" \
  MULTIPLY_C(bytes)                         \
  "and " bytes ", " bytes ", #0x00c000c0\n" \
  MULTIPLY_D(bytes)
#define GROUP_W2              \
  "ldr r12, [r1], #4\n"       \
  "uxtb16 lr, r12\n"          \
  HALF_GROUP_W2("lr")         \
  "uxtb16 r12, r12, ror #8\n" \
  HALF_GROUP_W2("r12")
__asm__(BEGIN("tfmpq_products_w2", ENTRY("108", "2"))
        START_WITH_0
        LOOP(GROUP_W2)
        "sub r4, r6\n"
        "sub r5, r7\n"
        "sub r6, r8\n"
        "sub r7, r9\n"
        "sub r8, r10\n"
        "sub r9, r11\n"
        END("tfmpq_products_w2"));

/* Input and weight of 2 bits: two channels at a time, sums in r4 to r7, a word
 * of weights of each in p and q. r10 holds the mask, r8 and r9 what it leaves
 * of p and q, r11 the end of the columns that fit into the sums: 28 groups, 4
 * SMLAD each. The totals are on the stack, behind the task, in the order of r4
 * to r11. */
#define QUARTER_GROUP_A2_W2(rotate) \
  ELEMENTS                          \
  "and r8, r10, r12" rotate "\n"    \
  "and r9, r10, lr" rotate "\n"     \
  MULTIPLY_A("r8")                  \
  MULTIPLY_B("r9")
#define DRAIN(sum0, sum1, total)        \
  "ldrd r2, r3, [sp, #" total "]\n"     \
  "ubfx " sum0 ", " sum0 ", #12, #12\n" \
  "ubfx " sum1 ", " sum1 ", #12, #12\n" \
  "add r2, " sum0 "\n"                  \
  "add r3, " sum1 "\n"                  \
  "strd r2, r3, [sp, #" total "]\n"
#define TWO_CHANNELS_A2_W2(total0, total1) \
  CLEAR("r4", "r5")                        \
  "strd r4, r5, [sp, #" total0 "]\n"       \
  "strd r4, r5, [sp, #" total1 "]\n"       \
  "3:\n"                                   \
  CLEAR("r4", "r5")                        \
  CLEAR("r6", "r7")                        \
  "add r11, r0, #896\n"                    \
  "ldr r2, [sp, #4]\n"                     \
  "cmp r11, r2\n"                          \
  "it hi\n"                                \
  "movhi r11, r2\n"                        \
  "1:\n"                                   \
  "ldrd r12, lr, [r1], #16\n"              \
  QUARTER_GROUP_A2_W2("")                  \
  QUARTER_GROUP_A2_W2(", ror #2")          \
  QUARTER_GROUP_A2_W2(", ror #8")          \
  QUARTER_GROUP_A2_W2(", ror #10")         \
  "cmp r0, r11\n"                          \
  "bne 1b\n"                               \
  DRAIN("r4", "r5", total0)                \
  DRAIN("r6", "r7", total1)                \
  "ldr r2, [sp, #4]\n"                     \
  "cmp r0, r2\n"                           \
  "bne 3b\n"
/* The field `entry` holds the bytes of a block's weights. */
__asm__(BEGIN("tfmpq_products_a2_w2", "sub r6, r5, r4\n"
              "lsr r6, #1\n"
              "mul r7, r7, r6\n"
              "add r7, r1\n")
        "2:\n"
        "ldr r0, [sp]\n"
        "movw r10, #0x3003\n"
        "movt r10, #0x3003\n"
        TWO_CHANNELS_A2_W2("68", "76")
        "ldr r0, [sp]\n"
        "ldr r2, [sp, #8]\n" /* Back, to the words of channels c and d. */
        "sub r1, r2\n"
        "add r1, #8\n"
        TWO_CHANNELS_A2_W2("84", "92")
        "sub r1, #8\n"
        "add r0, sp, #68\n"
        "ldm r0, {r4-r11}\n"
        END("tfmpq_products_a2_w2"));
/* clang-format on */
