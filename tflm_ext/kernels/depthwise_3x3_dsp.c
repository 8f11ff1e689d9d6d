/* The rows of 3x3 depthwise convolutions, in assembly language: the inner loops
 * need all 14 registers.
 *
 *   r0      pairs of the next two outputs       r3   next codes
 *   r1 r12  pairs; multiplier and offset        lr   shift, rounds << 8
 *   r2      bias                                r10 r11  two sums
 *   r4..r9  taps: of slot 0 (0, 1) and (1, 2), of slot 1, of slot 2
 *
 * `pairs` names pair j of the row in slot s as word 3 j + s. SMLAD multiplies a
 * pair with two taps, SMLABT the left column with the right tap, SMLATB the
 * right column with the left tap. */
#include "tflm_ext/kernels/assembly_dsp.h"
#include "tflm_ext/kernels/depthwise_rows_dsp.h"

/* clang-format off */
#define BEGIN(name)                                                           \
  TFMPQ_FUNCTION(name)                                                        \
  "push {r0, r4-r11, lr}\n" /* sp + 8: row */                                 \
  "ldr r1, [r0, #32]\n"                                                       \
  "push {r0, r1}\n" /* sp: multiplier, sp + 4: offset */                      \
  "2:\n" /* A channel: takes what it needs, and moves the row's fields on. */ \
  "ldm r0, {r0-r3}\n"                                                         \
  "ldr r12, [sp, #8]\n"                                                       \
  "ldrd r10, r11, [r12, #16]\n"                                               \
  "add r10, r0\n"                                                             \
  "add r11, r1\n"                                                             \
  "strd r10, r11, [r12]\n"                                                    \
  "add r10, r2, #8\n"                                                         \
  "add r11, r3, #1\n"                                                         \
  "strd r10, r11, [r12, #8]\n"                                                \
  "ldr lr, [r12, #28]\n"                                                      \
  "ldm r1, {r4-r9}\n"                                                         \
  "ldrd r2, r1, [r2]\n"                                                       \
  "str r1, [sp]\n"                                                            \
  "1:\n"

/* Outputs 2 i and 2 i + 1 of a row: pairs i and i + 1. */
#define STRIDE_1               \
  "ldrd r1, r12, [r0, #16]\n"  \
  "smlabt r10, r1, r7, r2\n"   \
  "smlad r11, r1, r7, r2\n"    \
  "smlabt r10, r12, r9, r10\n" \
  "smlad r11, r12, r9, r11\n"  \
  "ldrd r1, r12, [r0, #8]\n"   \
  "smlad r10, r1, r8, r10\n"   \
  "smlatb r11, r1, r8, r11\n"  \
  "smlabt r10, r12, r5, r10\n" \
  "smlad r11, r12, r5, r11\n"  \
  "ldrd r1, r12, [r0], #12\n"  \
  "smlad r10, r1, r4, r10\n"   \
  "smlatb r11, r1, r4, r11\n"  \
  "smlad r10, r12, r6, r10\n"  \
  "smlatb r11, r12, r6, r11\n"

/* Pairs 2 i, 2 i + 1 and 2 i + 2. */
#define STRIDE_2               \
  "ldrd r1, r12, [r0, #28]\n"  \
  "smlabt r11, r1, r7, r2\n"   \
  "smlabt r11, r12, r9, r11\n" \
  "ldrd r1, r12, [r0, #20]\n"  \
  "smlabt r10, r1, r9, r2\n"   \
  "smlad r11, r1, r8, r11\n"   \
  "smlabt r11, r12, r5, r11\n" \
  "ldrd r1, r12, [r0, #12]\n"  \
  "smlabt r10, r1, r5, r10\n"  \
  "smlad r11, r1, r4, r11\n"   \
  "smlabt r10, r12, r7, r10\n" \
  "smlad r11, r12, r6, r11\n"  \
  "ldrd r1, r12, [r0, #4]\n"   \
  "smlad r10, r1, r6, r10\n"   \
  "smlad r10, r12, r8, r10\n"  \
  "ldr r1, [r0], #24\n"        \
  "smlad r10, r1, r4, r10\n"

#define ROW(name, products, saturate, bits)                             \
  __asm__(BEGIN(name) products                                          \
          "ldrd r1, r12, [sp]\n"                                        \
          "smmla r10, r10, r1, r12\n"                                   \
          "smmla r11, r11, r1, r12\n"                                   \
          "asr r10, r10, lr\n"                                          \
          "asr r11, r11, lr\n"                                          \
          saturate " r10, #" bits ", r10\n"                             \
          saturate " r11, #" bits ", r11\n"                             \
          "strb r10, [r3], #4\n"                                        \
          "strb r11, [r3], #4\n"                                        \
          "subs lr, #256\n"                                             \
          "bpl 1b\n"                                                    \
          "ldr r0, [sp, #8]\n" /* The next channel, if there is one. */ \
          "ldr r1, [r0, #24]\n"                                         \
          "subs r1, #1\n"                                               \
          "str r1, [r0, #24]\n"                                         \
          "bne 2b\n"                                                    \
          "add sp, #12\n"                                               \
          "pop {r4-r11, pc}\n"                                          \
          TFMPQ_END_FUNCTION(name))

ROW("tfmpq_compute_row_3x3_o8", STRIDE_1, "ssat", "8");
ROW("tfmpq_compute_row_3x3_o4", STRIDE_1, "usat", "4");
ROW("tfmpq_compute_row_3x3_o2", STRIDE_1, "usat", "2");
ROW("tfmpq_compute_row_3x3_s2_o8", STRIDE_2, "ssat", "8");
ROW("tfmpq_compute_row_3x3_s2_o4", STRIDE_2, "usat", "4");
ROW("tfmpq_compute_row_3x3_s2_o2", STRIDE_2, "usat", "2");
/* clang-format on */
