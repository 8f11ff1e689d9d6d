/* From sums of products to packed codes: the part of the DSP kernels of conv2d
 * that depends on the width of the output. Called by products_dsp.c: sums of
 * channels a to d, pixels 0 and 1 each, in r4 to r11; a copy of the task at sp;
 * r0, r2, r3, r12 and lr may change. Moves the task's channels, zero points and
 * codes on to the next block. */
#include <stddef.h>
#include <stdint.h>

#include "tflm_ext/kernels/assembly_dsp.h"
#include "tflm_ext/kernels/outputs_dsp.h"
#include "tflm_ext/kernels/products_dsp.h"

/* Leaves r0 at the channels. From here on the task is at sp + 8. */
#define BEGIN(name)    \
  TFMPQ_FUNCTION(name) \
  "push {r1, lr}\n"    \
  "ldr r0, [sp, #24]\n"

/* A channel without zero point; r12 holds the offset of the rescaling. */
#define RESCALE_W8(sum0, sum1)                      \
  "ldrd r2, r3, [r0], #8\n" /* Bias, multiplier. */ \
  "add " sum0                                       \
  ", r2\n"                                          \
  "add " sum1                                       \
  ", r2\n"                                          \
  "smmla " sum0 ", " sum0                           \
  ", r3, r12\n"                                     \
  "smmla " sum1 ", " sum1 ", r3, r12\n"
#define RESCALE_ALL_W8                                                 \
  "ldr r12, [sp, #44]\n" RESCALE_W8("r4", "r5") RESCALE_W8("r6", "r7") \
      RESCALE_W8("r8", "r9") RESCALE_W8("r10", "r11")

/* A channel whose zero point is in r12, `rotate` bits from the right; r1 and lr
 * hold the sums of the elements of each pixel. */
#define RESCALE_W4(sum0, sum1, rotate) \
  "ldrd r2, r3, [r0], #8\n"            \
  "add " sum0                          \
  ", r2\n"                             \
  "add " sum1                          \
  ", r2\n"                             \
  "sxtb r2, r12" rotate                \
  "\n"                                 \
  "mls " sum0 ", r2, r1, " sum0        \
  "\n"                                 \
  "mls " sum1 ", r2, lr, " sum1        \
  "\n"                                 \
  "ldr r2, [sp, #44]\n" /* Offset. */  \
  "smmla " sum0 ", " sum0              \
  ", r3, r2\n"                         \
  "smmla " sum1 ", " sum1 ", r3, r2\n"
#define RESCALE_ALL_W4                                                       \
  "ldrd r12, r2, [sp, #28]\n"                                                \
  "add r2, r12\n"                                                            \
  "str r2, [sp, #28]\n"                                                      \
  "ldr r12, [r12]\n"                                                         \
  "ldrd r1, lr, [sp, #36]\n" RESCALE_W4("r4", "r5", "")                      \
      RESCALE_W4("r6", "r7", ", ror #8") RESCALE_W4("r8", "r9", ", ror #16") \
          RESCALE_W4("r10", "r11", ", ror #24")

/* Shifts and saturates. Leaves r0 at the codes of pixel 0, r3 of pixel 1. */
#define SATURATE(sum, saturate) "asr " sum ", r2\n" saturate(sum)
#define SATURATE_ALL(saturate)                                     \
  "str r0, [sp, #24]\n"                                            \
  "ldr r2, [sp, #48]\n"                                            \
  "ldrd r0, r3, [sp, #52]\n"                                       \
  "add r3, r0\n" SATURATE("r4", saturate) SATURATE("r5", saturate) \
      SATURATE("r6", saturate) SATURATE("r7", saturate)            \
          SATURATE("r8", saturate) SATURATE("r9", saturate)        \
              SATURATE("r10", saturate) SATURATE("r11", saturate)
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
#define WRITE_O4                                                \
  SATURATE_ALL(TO_4_BITS)                                       \
  JOIN("r5", "r7", "4")                                         \
  JOIN("r5", "r9", "8")                                         \
  JOIN("r5", "r11", "12")                                       \
  "strh r5, [r3]\n" JOIN("r4", "r6", "4") JOIN("r4", "r8", "8") \
      JOIN("r4", "r10", "12") "strh r4, [r0], #2\n"
#define WRITE_O2                                                \
  SATURATE_ALL(TO_2_BITS)                                       \
  JOIN("r5", "r7", "2")                                         \
  JOIN("r5", "r9", "4")                                         \
  JOIN("r5", "r11", "6")                                        \
  "strb r5, [r3]\n" JOIN("r4", "r6", "2") JOIN("r4", "r8", "4") \
      JOIN("r4", "r10", "6") "strb r4, [r0], #1\n"

#define END(name)       \
  "str r0, [sp, #52]\n" \
  "pop {r1, pc}\n" TFMPQ_END_FUNCTION(name)

#define FINISH(name, rescale, write) \
  __asm__(BEGIN(name) rescale write END(name))
FINISH("tfmpq_finish_w8_o8", RESCALE_ALL_W8, WRITE_O8);
FINISH("tfmpq_finish_w8_o4", RESCALE_ALL_W8, WRITE_O4);
FINISH("tfmpq_finish_w8_o2", RESCALE_ALL_W8, WRITE_O2);
FINISH("tfmpq_finish_w4_o8", RESCALE_ALL_W4, WRITE_O8);
FINISH("tfmpq_finish_w4_o4", RESCALE_ALL_W4, WRITE_O4);
FINISH("tfmpq_finish_w4_o2", RESCALE_ALL_W4, WRITE_O2);

/* Does in C what the others do; `sums` are those of r4 to r11. */
void tfmpq_finish_shifted_block(tfmpq_products_task* task,
                                const int32_t sums[][kTfmpqBlockPixels]);
void tfmpq_finish_shifted_block(tfmpq_products_task* task,
                                const int32_t sums[][kTfmpqBlockPixels]) {
  for (int i = kTfmpqBlockPixels - 1; i >= 0; --i) {
    int32_t products[kTfmpqBlockChannels];
    for (int c = 0; c < kTfmpqBlockChannels; ++c) products[c] = sums[c][i];
    tfmpq_write_block(task, task->channels, task->zero_points, task->sums[i],
                      products, task->codes + (i == 0 ? 0 : task->pixel_bytes));
  }
  task->channels += kTfmpqBlockChannels;
  task->zero_points += task->zero_point_step;
  task->codes += kTfmpqBlockChannels * task->bits / 8;
}

__asm__(TFMPQ_FUNCTION("tfmpq_finish_shifted")
        "push {r1, lr}\n"
        "push {r4-r11}\n"
        "add r0, sp, #40\n"
        "mov r1, sp\n"
        "bl tfmpq_finish_shifted_block\n"
        "add sp, #32\n"
        "pop {r1, pc}\n"
        TFMPQ_END_FUNCTION("tfmpq_finish_shifted"));
