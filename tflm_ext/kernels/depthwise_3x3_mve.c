/* Two output rows of a 3x3 depthwise convolution, in assembly language: four
 * products of a patch of 4 rows and columns give a block of 2 rows and columns.
 *
 *   r0     quads             r7   codes          q0..q3  weights for the
 * block's r1 r3  bias, multiplier  r9   pre_shift              four codes r2 r4
 * r6 r8  sums        r10  step_bytes     q4      the codes r5     twice_offset
 * r12  pair           q5      patch r11    negative_shift    lr   blocks left
 * q6 q7   its addresses, offsets of codes */
#include "tflm_ext/kernels/assembly.h"
#include "tflm_ext/kernels/depthwise_rows_mve.h"

#define CHECK_OFFSET(field, offset)                                        \
  typedef char tfmpq_offset_of_##field                                     \
      [offsetof(tfmpq_row_pair, field) == offset || sizeof(void*) != 4 ? 1 \
                                                                       : -1]
CHECK_OFFSET(weights, 16);
CHECK_OFFSET(codes, 24);
CHECK_OFFSET(num_channels, 32);
CHECK_OFFSET(rescale, 40);
CHECK_OFFSET(quads, 52);
CHECK_OFFSET(code_offsets, 56);

/* clang-format off */
#define ROW_PAIR(name, narrow_to_16, narrow_to_8)                           \
  __asm__(                                                                  \
      TFMPQ_FUNCTION(name)                                                  \
      "push {r4-r11, lr}\n"                                                 \
      "vpush {d8-d15}\n"                                                    \
      "mov r12, r0\n"                                                       \
      "ldr r10, [r12, #36]\n"                                               \
      "ldrd r9, r5, [r12, #40]\n"                                           \
      "ldrd r11, r0, [r12, #48]\n"                                          \
      "vldrw.u32 q7, [r12, #56]\n"                                          \
      "2:\n" /* A channel: takes what it needs, and moves the fields on. */ \
      "ldrd r4, r6, [r12, #16]\n"                                           \
      "vldrw.u32 q5, [r12]\n"                                               \
      "vldrw.u32 q1, [r4, q5]\n" /* Right column: a column of zeros, then */ \
      "add r2, r4, #64\n"        /* the kernel. */                          \
      "vldrw.u32 q0, [r2, q5]\n"                                            \
      "vshl.i32 q2, q0, #8\n" /* Lower row: a row further down. */          \
      "vshl.i32 q3, q1, #8\n"                                               \
      "vadd.i32 q6, q5, r0\n"                                               \
      "adds r0, #4\n"                                                       \
      "adds r4, #4\n"                                                       \
      "ldrd r1, r3, [r6], #8\n"                                             \
      "strd r4, r6, [r12, #16]\n"                                           \
      "ldrd r7, lr, [r12, #24]\n"                                           \
      "adds r2, r7, #1\n"                                                   \
      "str r2, [r12, #24]\n"                                                \
      "dls lr, lr\n"                                                        \
      "1:\n"                                                                \
      "vldrw.u32 q5, [q6, #128]!\n"                                         \
      "vmladav.s8 r2, q5, q0\n"                                             \
      "vmladav.s8 r4, q5, q2\n"                                             \
      "vmladav.s8 r6, q5, q1\n"                                             \
      "vmladav.s8 r8, q5, q3\n"                                             \
      "vmov q4[2], q4[0], r2, r6\n"                                         \
      "vmov q4[3], q4[1], r4, r8\n"                                         \
      "vadd.i32 q4, q4, r1\n"                                               \
      "vshl.s32 q4, r9\n"                                                   \
      "vqdmulh.s32 q4, q4, r3\n"                                            \
      "vhadd.s32 q4, q4, r5\n"                                              \
      "vshl.s32 q4, r11\n"                                                  \
      narrow_to_16 " q4, q4\n"                                              \
      narrow_to_8 " q4, q4\n"                                               \
      "vstrb.32 q4, [r7, q7]\n"                                             \
      "add r7, r10\n"                                                       \
      "le lr, 1b\n"                                                         \
      "ldr r2, [r12, #32]\n"                                                \
      "subs r2, #1\n"                                                       \
      "str r2, [r12, #32]\n"                                                \
      "bne 2b\n"                                                            \
      "vpop {d8-d15}\n"                                                     \
      "pop {r4-r11, pc}\n"                                                  \
      TFMPQ_END_FUNCTION(name))
/* clang-format on */

ROW_PAIR("tfmpq_make_row_pair_s8__mve", "vqmovnb.s32", "vqmovnb.s16");
ROW_PAIR("tfmpq_make_row_pair_u8__mve", "vqmovunb.s32", "vqmovnb.u16");
