/* The inner loops, in assembly language: compilers move sums between registers.
 *
 *   r0 r2 r4 r6    sums of the first pixel (block), r8 r10 r12 lr of the second
 *   r1 r3          elements of the two pixels; one pixel: r1, and r3 weights of
 *                  the first block
 *   r5             weights (of the second block)
 *   r7             parameters of the next channels
 *   r9             tiles
 *   r11            groups left
 *   q0 q1          elements, then sums          q4 q5   lowest, highest code
 *   q2 q3          weights, then parameters
 *
 * Two groups per round; an odd number of groups begins in the middle. LE would
 * need lr. */
#include "tflm_ext/kernels/products_mve.h"

#include "tflm_ext/kernels/assembly.h"

#define CHECK_OFFSET(field, offset)    \
  typedef char tfmpq_offset_of_##field \
      [offsetof(tfmpq_tiles, field) == offset || sizeof(void*) != 4 ? 1 : -1]
CHECK_OFFSET(start, 8);
CHECK_OFFSET(codes, 40);
CHECK_OFFSET(num_groups, 48);
CHECK_OFFSET(zero_points, 52);
CHECK_OFFSET(minus_sums, 56);
CHECK_OFFSET(weight_end, 64);
CHECK_OFFSET(rescale, 68);
CHECK_OFFSET(lowest, 80);
CHECK_OFFSET(block_bytes, 88);

/* clang-format off */
#define BEGIN(name)           \
  TFMPQ_FUNCTION(name)        \
  "push {r4-r11, lr}\n"       \
  "vpush {d8-d11}\n"          \
  "mov r9, r0\n"              \
  "mov r7, r2\n"              \
  "ldrd r0, r2, [r9, #80]\n"  \
  "vdup.32 q4, r0\n"          \
  "vdup.32 q5, r2\n"

#define END(name)             \
  "vpop {d8-d11}\n"           \
  "pop {r4-r11, pc}\n"        \
  TFMPQ_END_FUNCTION(name)

#define START_SUMS            \
  "ldrd r0, r2, [r9, #8]\n"   \
  "ldrd r4, r6, [r9, #16]\n"  \
  "ldrd r8, r10, [r9, #24]\n" \
  "ldrd r12, lr, [r9, #32]\n"

#define LOOP(group)           \
  "ldr r11, [r9, #48]\n"      \
  "tst r11, #1\n"             \
  "bne 2f\n"                  \
  "1:\n" group                \
  "2:\n" group                \
  "subs r11, #2\n"            \
  "bgt 1b\n"

/* Two pixels. */
#define ELEMENTS              \
  "vldrb.8 q0, [r1], #16\n"   \
  "vldrb.8 q1, [r3], #16\n"
#define LOAD                  \
  "vldrb.8 q2, [r5], #16\n"
#define SHIFT(bits)           \
  "vshr.s8 q3, q2, #" #bits "\n"
#define ADD(first, second, weights)                 \
  "vmladava.s8 " #first ", q0, " #weights "\n"      \
  "vmladava.s8 " #second ", q1, " #weights "\n"

#define PIXELS_W8                                   \
  ELEMENTS                                          \
  LOAD ADD(r0, r8, q2)                              \
  LOAD ADD(r2, r10, q2)                             \
  LOAD ADD(r4, r12, q2)                             \
  LOAD ADD(r6, lr, q2)
#define PIXELS_W4                                   \
  ELEMENTS                                          \
  LOAD ADD(r0, r8, q2) SHIFT(4) ADD(r2, r10, q3)    \
  LOAD ADD(r4, r12, q2) SHIFT(4) ADD(r6, lr, q3)
#define PIXELS_W2                                   \
  ELEMENTS                                          \
  LOAD ADD(r0, r8, q2) SHIFT(2) ADD(r2, r10, q3)    \
  SHIFT(4) ADD(r4, r12, q3) SHIFT(6) ADD(r6, lr, q3)

/* One pixel, two blocks. */
#define LOAD_BOTH                                   \
  "vldrb.8 q2, [r3], #16\n"                         \
  "vldrb.8 q3, [r5], #16\n"
#define SHIFT_BOTH(bits)                            \
  "vshr.s8 q6, q2, #" #bits "\n"                    \
  "vshr.s8 q7, q3, #" #bits "\n"
#define ADD_BOTH(first, second, a, b)               \
  "vmladava.s8 " #first ", q0, " #a "\n"            \
  "vmladava.s8 " #second ", q0, " #b "\n"

#define VECTOR_W8                                   \
  "vldrb.8 q0, [r1], #16\n"                         \
  LOAD_BOTH ADD_BOTH(r0, r8, q2, q3)                \
  LOAD_BOTH ADD_BOTH(r2, r10, q2, q3)               \
  LOAD_BOTH ADD_BOTH(r4, r12, q2, q3)               \
  LOAD_BOTH ADD_BOTH(r6, lr, q2, q3)
#define VECTOR_W4                                   \
  "vldrb.8 q0, [r1], #16\n"                         \
  LOAD_BOTH ADD_BOTH(r0, r8, q2, q3)                \
  SHIFT_BOTH(4) ADD_BOTH(r2, r10, q6, q7)           \
  LOAD_BOTH ADD_BOTH(r4, r12, q2, q3)               \
  SHIFT_BOTH(4) ADD_BOTH(r6, lr, q6, q7)
#define VECTOR_W2                                   \
  "vldrb.8 q0, [r1], #16\n"                         \
  LOAD_BOTH ADD_BOTH(r0, r8, q2, q3)                \
  SHIFT_BOTH(2) ADD_BOTH(r2, r10, q6, q7)           \
  SHIFT_BOTH(4) ADD_BOTH(r4, r12, q6, q7)           \
  SHIFT_BOTH(6) ADD_BOTH(r6, lr, q6, q7)

/* From sums of bytes to sums of codes. */
#define SEPARATE_W8 ""
#define SEPARATE_W4           \
  "sub r0, r0, r2, lsl #4\n"  \
  "sub r4, r4, r6, lsl #4\n"  \
  "sub r8, r8, r10, lsl #4\n" \
  "sub r12, r12, lr, lsl #4\n"
#define SEPARATE_W2           \
  "sub r0, r0, r2, lsl #2\n"  \
  "sub r2, r2, r4, lsl #2\n"  \
  "sub r4, r4, r6, lsl #2\n"  \
  "sub r8, r8, r10, lsl #2\n" \
  "sub r10, r10, r12, lsl #2\n" \
  "sub r12, r12, lr, lsl #2\n"

#define TO_VECTORS                     \
  "vmov q0[2], q0[0], r0, r4\n"        \
  "vmov q0[3], q0[1], r2, r6\n"        \
  "vmov q1[2], q1[0], r8, r12\n"       \
  "vmov q1[3], q1[1], r10, lr\n"

#define NO_ZERO_POINTS ""
#define ZERO_POINTS_OF_PIXELS          \
  "ldr r0, [r9, #52]\n"                \
  "cbz r0, 4f\n"                       \
  "ldrd r2, r4, [r9, #56]\n"           \
  "vldrb.s32 q2, [r0], #4\n"           \
  "str r0, [r9, #52]\n"                \
  "vmla.s32 q0, q2, r2\n"              \
  "vmla.s32 q1, q2, r4\n"              \
  "4:\n"
#define ZERO_POINTS_OF_BLOCKS          \
  "ldr r0, [r9, #52]\n"                \
  "cbz r0, 4f\n"                       \
  "ldr r2, [r9, #56]\n"                \
  "vldrb.s32 q2, [r0], #4\n"           \
  "vldrb.s32 q3, [r0], #4\n"           \
  "str r0, [r9, #52]\n"                \
  "vmla.s32 q0, q2, r2\n"              \
  "vmla.s32 q1, q3, r2\n"              \
  "4:\n"

#define PARAMETERS                     \
  "vld20.32 {q2, q3}, [r7]\n"          \
  "vld21.32 {q2, q3}, [r7]!\n"
#define RESCALE(sums)                  \
  "vadd.i32 " sums ", " sums ", q2\n"  \
  "vshl.s32 " sums ", r0\n"            \
  "vqdmulh.s32 " sums ", " sums ", q3\n" \
  "vhadd.s32 " sums ", " sums ", r2\n" \
  "vshl.s32 " sums ", r4\n"            \
  "vmax.s32 " sums ", " sums ", q4\n"  \
  "vmin.s32 " sums ", " sums ", q5\n"

#define PIXELS(name, group, separate, zero_points)  \
  __asm__(BEGIN(name)                               \
          "mov r5, r1\n"                            \
          "3:\n"                                    \
          "ldrd r1, r3, [r9]\n"                     \
          START_SUMS LOOP(group)                    \
          separate TO_VECTORS zero_points           \
          PARAMETERS                                \
          "ldrd r0, r2, [r9, #68]\n"                \
          "ldr r4, [r9, #76]\n"                     \
          RESCALE("q0") RESCALE("q1")               \
          "ldrd r2, r4, [r9, #40]\n"                \
          "vstrb.32 q0, [r2], #4\n"                 \
          "vstrb.32 q1, [r4], #4\n"                 \
          "strd r2, r4, [r9, #40]\n"                \
          "ldr r0, [r9, #64]\n"                     \
          "cmp r5, r0\n"                            \
          "bne 3b\n"                                \
          END(name))

#define VECTOR(name, group, separate, zero_points)  \
  __asm__(BEGIN(name)                               \
          "vpush {d12-d15}\n"                       \
          "mov r5, r1\n"                            \
          "3:\n"                                    \
          "ldr r0, [r9, #88]\n"                     \
          "mov r3, r5\n"                            \
          "add r5, r0\n"                            \
          "ldr r1, [r9]\n"                          \
          START_SUMS LOOP(group)                    \
          separate TO_VECTORS zero_points           \
          "ldrd r0, r2, [r9, #68]\n"                \
          "ldr r4, [r9, #76]\n"                     \
          PARAMETERS RESCALE("q0")                  \
          PARAMETERS RESCALE("q1")                  \
          "ldr r2, [r9, #40]\n"                     \
          "vstrb.32 q0, [r2], #4\n"                 \
          "vstrb.32 q1, [r2], #4\n"                 \
          "str r2, [r9, #40]\n"                     \
          "ldr r0, [r9, #64]\n"                     \
          "cmp r5, r0\n"                            \
          "bne 3b\n"                                \
          "vpop {d12-d15}\n"                        \
          END(name))
/* clang-format on */

PIXELS("tfmpq_pixels_w8__mve", PIXELS_W8, SEPARATE_W8, NO_ZERO_POINTS);
PIXELS("tfmpq_pixels_w4__mve", PIXELS_W4, SEPARATE_W4, ZERO_POINTS_OF_PIXELS);
PIXELS("tfmpq_pixels_w2__mve", PIXELS_W2, SEPARATE_W2, ZERO_POINTS_OF_PIXELS);
VECTOR("tfmpq_vector_w8__mve", VECTOR_W8, SEPARATE_W8, NO_ZERO_POINTS);
VECTOR("tfmpq_vector_w4__mve", VECTOR_W4, SEPARATE_W4, ZERO_POINTS_OF_BLOCKS);
VECTOR("tfmpq_vector_w2__mve", VECTOR_W2, SEPARATE_W2, ZERO_POINTS_OF_BLOCKS);

int32x4_t tfmpq_start_factors__mve(int32_t zero_point, int w_bits) {
  const int per_byte = 8 / w_bits;
  int32_t factors[kTfmpqBlockChannels] = {0, 0, 0, 0};
  for (int c = kTfmpqBlockChannels - 1; c >= 0 && w_bits < 8; --c) {
    factors[c] = c % per_byte == per_byte - 1
                     ? (1 << (w_bits - 1)) - zero_point
                     : (1 << w_bits) * factors[c + 1] - zero_point;
  }
  return vldrwq_s32(factors);
}

void tfmpq_init_tiles__mve(tfmpq_tiles* tiles, const tfmpq_conv_params* params,
                           uint32_t num_elements, int o_bits) {
  tiles->num_groups = (num_elements + kTfmpqLanes - 1) / kTfmpqLanes;
  tiles->zero_points = NULL;
  tiles->rescale = tfmpq_make_vector_rescale(params->output_zero_point,
                                             params->shift, params->pre_shift);
  tiles->lowest = o_bits == 8 ? -128 : 0;
  tiles->highest = o_bits == 8 ? 127 : (1 << o_bits) - 1;
}
