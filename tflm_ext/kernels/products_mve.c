/* The inner loops, in assembly language: compilers move sums between registers.
 *
 *   r0 r2 r4 r6    sums of the first pixel (block), r8 r10 r12 lr of the second
 *   r1 r3          elements of the two pixels; one pixel: r1, and r3 weights of
 *                  the first block
 *   r5             weights (of the second block)
 *   r7             parameters of the next channels
 *   r9             tiles, from start_0 on
 *   r11            groups left
 *   q0 q1          elements, then sums
 *   q2 q3          weights, then parameters
 *
 * Two groups per round; an odd number of groups begins in the middle. LE would
 * need lr. */
#include "tflm_ext/kernels/products_mve.h"

#include "tflm_ext/kernels/assembly.h"

#define CHECK_OFFSET(field, offset)    \
  typedef char tfmpq_offset_of_##field \
      [offsetof(tfmpq_tiles, field) == offset || sizeof(void*) != 4 ? 1 : -1]
CHECK_OFFSET(codes, 12);
CHECK_OFFSET(rescale, 20);
CHECK_OFFSET(start_0, 36);
CHECK_OFFSET(num_groups, 68);
CHECK_OFFSET(start_7, 76);
CHECK_OFFSET(weight_end, 80);
CHECK_OFFSET(block_bytes, 84);

/* clang-format off */
#define BEGIN(name)           \
  TFMPQ_FUNCTION(name)        \
  "push {r4-r11, lr}\n"       \
  "add r9, r0, #36\n"         \
  "mov r5, r1\n"              \
  "mov r7, r2\n"

#define END(name)             \
  "pop {r4-r11, pc}\n"        \
  TFMPQ_END_FUNCTION(name)

#define START                                                       \
  "ldm r9, {r0, r1, r2, r3, r4, r6, r8, r10, r11, r12, lr}\n"

#define LOOP(group)           \
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
  "vshr.s8 q4, q2, #" #bits "\n"                    \
  "vshr.s8 q5, q3, #" #bits "\n"
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
  SHIFT_BOTH(4) ADD_BOTH(r2, r10, q4, q5)           \
  LOAD_BOTH ADD_BOTH(r4, r12, q2, q3)               \
  SHIFT_BOTH(4) ADD_BOTH(r6, lr, q4, q5)
#define VECTOR_W2                                   \
  "vldrb.8 q0, [r1], #16\n"                         \
  LOAD_BOTH ADD_BOTH(r0, r8, q2, q3)                \
  SHIFT_BOTH(2) ADD_BOTH(r2, r10, q4, q5)           \
  SHIFT_BOTH(4) ADD_BOTH(r4, r12, q4, q5)           \
  SHIFT_BOTH(6) ADD_BOTH(r6, lr, q4, q5)

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

/* r0: zero_points, r1 r2: minus_sums, r3 r4: codes, r8 r10 r12 lr: rescale. */
#define TAKE_REST                      \
  "ldmdb r9, {r0, r1, r2, r3, r4, r8, r10, r12, lr}\n"

#define NO_ZERO_POINTS ""
#define ZERO_POINTS_OF_PIXELS          \
  "cbz r0, 4f\n"                       \
  "vldrb.s32 q2, [r0], #4\n"           \
  "str r0, [r9, #-36]\n"               \
  "vmla.s32 q0, q2, r1\n"              \
  "vmla.s32 q1, q2, r2\n"              \
  "4:\n"
#define ZERO_POINTS_OF_BLOCKS          \
  "cbz r0, 4f\n"                       \
  "vldrb.s32 q2, [r0], #4\n"           \
  "vldrb.s32 q3, [r0], #4\n"           \
  "str r0, [r9, #-36]\n"               \
  "vmla.s32 q0, q2, r1\n"              \
  "vmla.s32 q1, q3, r1\n"              \
  "4:\n"

#define PARAMETERS                     \
  "vld20.32 {q2, q3}, [r7]\n"          \
  "vld21.32 {q2, q3}, [r7]!\n"
#define RESCALE(sums)                  \
  "vadd.i32 " sums ", " sums ", q2\n"  \
  "vshl.s32 " sums ", r8\n"            \
  "vqdmulh.s32 " sums ", " sums ", q3\n" \
  "vhadd.s32 " sums ", " sums ", r10\n" \
  "vqshl.s32 " sums ", r12\n"          \
  "vshl.s32 " sums ", lr\n"

#define NEXT                                        \
  "ldr r0, [r9, #44]\n"                             \
  "cmp r5, r0\n"                                    \
  "bne 3b\n"

#define PIXELS(name, group, separate, zero_points)  \
  __asm__(BEGIN(name)                               \
          "3:\n"                                    \
          START LOOP(group)                         \
          separate TO_VECTORS TAKE_REST zero_points \
          PARAMETERS                                \
          RESCALE("q0") RESCALE("q1")               \
          "vstrb.32 q0, [r3], #4\n"                 \
          "vstrb.32 q1, [r4], #4\n"                 \
          "strd r3, r4, [r9, #-24]\n"               \
          NEXT END(name))

#define VECTOR(name, group, separate, zero_points)  \
  __asm__(BEGIN(name)                               \
          "vpush {d8-d11}\n"                        \
          "3:\n"                                    \
          START                                     \
          "mov r3, r5\n"                            \
          "ldr r5, [r9, #48]\n"                     \
          "add r5, r3\n"                            \
          LOOP(group)                               \
          separate TO_VECTORS TAKE_REST zero_points \
          PARAMETERS RESCALE("q0")                  \
          PARAMETERS RESCALE("q1")                  \
          "vstrb.32 q0, [r3], #4\n"                 \
          "vstrb.32 q1, [r3], #4\n"                 \
          "str r3, [r9, #-24]\n"                    \
          NEXT                                      \
          "vpop {d8-d11}\n"                         \
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
  tiles->rescale = tfmpq_make_saturating_rescale(
      params->output_zero_point, params->shift, params->pre_shift, o_bits);
}
