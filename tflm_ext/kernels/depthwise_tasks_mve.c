/* Rows of depthwise convolutions, in assembly language: patches of 4 rows and
 * columns (depthwise_rows_mve.h) times weights, rescaled four codes at a time.
 *
 *   r0             quads; shifted row pair: pre_shift
 *   r1 r3          bias, multiplier
 *   r2 r4 r6 r10   sums
 *   r5 r9 r11      twice_offset, up_shift, down_shift
 *   r7             codes
 *   r8             step of codes; a row: of quads; stride 2: pre_shift
 *   r12            task, from weights on
 *   lr             blocks left
 *   q0 to q3       weights
 *   q4             codes
 *   q5             patch
 *   q6             addresses of its columns, or their offsets
 *   q7             offsets of codes
 */
#include "tflm_ext/kernels/assembly.h"
#include "tflm_ext/kernels/depthwise_rows_mve.h"

#define CHECK_OFFSET(field, offset)                                        \
  typedef char tfmpq_offset_of_##field                                     \
      [offsetof(tfmpq_row_task, field) == offset || sizeof(void*) != 4 ? 1 \
                                                                       : -1]
CHECK_OFFSET(weights, 16);
CHECK_OFFSET(codes, 24);
CHECK_OFFSET(num_channels, 32);
CHECK_OFFSET(rescale, 40);
CHECK_OFFSET(quads, 56);
CHECK_OFFSET(code_offsets, 60);
CHECK_OFFSET(quad_step_bytes, 76);

/* clang-format off */
#define BEGIN(name)                                                           \
  TFMPQ_FUNCTION(name)                                                        \
  "push {r4-r11, lr}\n"                                                       \
  "vpush {d8-d15}\n"                                                          \
  "add r12, r0, #16\n"                                                        \
  "ldrd r5, r9, [r12, #28]\n"                                                 \
  "ldrd r11, r0, [r12, #36]\n"                                                \
  "vldrw.u32 q7, [r12, #44]\n"

/* Takes what a channel needs: r4 has its weights, r1 r3 bias and multiplier, r7
 * its codes; moves the fields on. */
#define TAKE_CHANNEL                                                          \
  "ldm r12, {r4, r6, r7, lr}\n"                                               \
  "adds r7, #1\n"                                                             \
  "adds r2, r4, #4\n"                                                         \
  "ldrd r1, r3, [r6], #8\n"                                                   \
  "stm r12, {r2, r6, r7}\n"                                                   \
  "dls lr, lr\n"

#define PRE_SHIFT                                                             \
  "ldr r2, [r12, #24]\n"                                                      \
  "vshl.s32 q4, r2\n"

#define RESCALE(pre_shift)                                                    \
  "vadd.i32 q4, q4, r1\n"                                                     \
  pre_shift                                                                   \
  "vqdmulh.s32 q4, q4, r3\n"                                                  \
  "vhadd.s32 q4, q4, r5\n"                                                    \
  "vqshl.s32 q4, r9\n"                                                        \
  "vshl.s32 q4, r11\n"                                                        \
  "vstrb.32 q4, [r7, q7]\n"

#define END(name)                                                             \
  "ldr r2, [r12, #16]\n"                                                      \
  "subs r2, #1\n"                                                             \
  "str r2, [r12, #16]\n"                                                      \
  "bne 2b\n"                                                                  \
  "vpop {d8-d15}\n"                                                           \
  "pop {r4-r11, pc}\n"                                                        \
  TFMPQ_END_FUNCTION(name)

/* Weights of the right column of a block are those of the left one, moved by a
 * column; those of the lower row are moved by a row. */
#define ROW_PAIR(name, take_r0, take_quads, pre_shift)                        \
  __asm__(BEGIN(name)                                                         \
          take_r0                                                             \
          "ldr r8, [r12, #20]\n"                                              \
          "2:\n"                                                              \
          TAKE_CHANNEL                                                        \
          "vldrw.u32 q5, [r12, #-16]\n"                                       \
          "vldrw.u32 q1, [r4, q5]\n"                                          \
          "adds r4, #64\n"                                                    \
          "vldrw.u32 q0, [r4, q5]\n"                                          \
          "vshl.i32 q2, q0, #8\n"                                             \
          "vshl.i32 q3, q1, #8\n"                                             \
          take_quads                                                          \
          "1:\n"                                                              \
          "vldrw.u32 q5, [q6, #128]!\n"                                       \
          "vmladav.s8 r2, q5, q0\n"                                           \
          "vmladav.s8 r4, q5, q2\n"                                           \
          "vmladav.s8 r6, q5, q1\n"                                           \
          "vmladav.s8 r10, q5, q3\n"                                          \
          "vmov q4[2], q4[0], r2, r6\n"                                       \
          "vmov q4[3], q4[1], r4, r10\n"                                      \
          RESCALE(pre_shift)                                                  \
          "add r7, r8\n"                                                      \
          "le lr, 1b\n"                                                       \
          END(name))

#define MULTIPLY_PATCH(sum)                                                   \
  "vldrw.u32 q5, [r0, q6]\n"                                                  \
  "add r0, r8\n"                                                              \
  "vmladav.s8 " sum ", q5, q0\n"

/* Four patches; q6 holds the addresses of the columns of the one before. */
#define MULTIPLY_NEXT_PATCH(sum)                                              \
  "vldrw.u32 q5, [q6, #128]!\n"                                               \
  "vmladav.s8 " sum ", q5, q0\n"

#define ROW(name, take_r8, before, multiply, pre_shift)                       \
  __asm__(BEGIN(name)                                                         \
          take_r8                                                             \
          "2:\n"                                                              \
          TAKE_CHANNEL                                                        \
          "vldrw.u32 q6, [r12, #-16]\n"                                       \
          "vldrw.u32 q0, [r4, q6]\n"                                          \
          "ldr r0, [r12, #40]\n"                                              \
          "adds r2, r0, #4\n"                                                 \
          "str r2, [r12, #40]\n"                                              \
          before                                                              \
          "1:\n"                                                              \
          multiply("r2") multiply("r4") multiply("r6") multiply("r10")        \
          "vmov q4[2], q4[0], r2, r6\n"                                       \
          "vmov q4[3], q4[1], r4, r10\n"                                      \
          RESCALE(pre_shift)                                                  \
          "adds r7, #64\n"                                                    \
          "le lr, 1b\n"                                                       \
          END(name))
/* clang-format on */

ROW_PAIR("tfmpq_make_row_pair__mve", "",
         "vadd.i32 q6, q5, r0\n"
         "adds r0, #4\n",
         "");
ROW_PAIR("tfmpq_make_shifted_row_pair__mve", "ldr r0, [r12, #24]\n",
         "ldr r2, [r12, #40]\n"
         "vadd.i32 q6, q5, r2\n"
         "adds r2, #4\n"
         "str r2, [r12, #40]\n",
         "vshl.s32 q4, r0\n");
ROW("tfmpq_make_row__mve", "ldr r8, [r12, #60]\n", "", MULTIPLY_PATCH,
    PRE_SHIFT);
ROW("tfmpq_make_row_of_stride_2__mve", "ldr r8, [r12, #24]\n",
    "sub r0, r0, #128\n"
    "vadd.i32 q6, q6, r0\n",
    MULTIPLY_NEXT_PATCH, "vshl.s32 q4, r8\n");
