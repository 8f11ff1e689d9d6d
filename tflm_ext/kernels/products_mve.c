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
 *   q4 q5 q6       two pixels: offsets of starts, start_factors
 *
 * Two groups per round; an odd number of groups begins in the middle. LE would
 * need lr. */
#include "tflm_ext/kernels/products_mve.h"

#include <string.h>

#include "tflm_ext/kernels/assembly.h"

#define CHECK_OFFSET(field, offset)    \
  typedef char tfmpq_offset_of_##field \
      [offsetof(tfmpq_tiles, field) == offset || sizeof(void*) != 4 ? 1 : -1]
CHECK_OFFSET(next_codes, 12);
CHECK_OFFSET(rescale, 20);
CHECK_OFFSET(start_0, 36);
CHECK_OFFSET(num_groups, 68);
CHECK_OFFSET(start_7, 76);
CHECK_OFFSET(weight_end, 80);
CHECK_OFFSET(weight, 84);
CHECK_OFFSET(zero_points, 92);
CHECK_OFFSET(columns, 100);
CHECK_OFFSET(codes, 108);
CHECK_OFFSET(num_pairs, 116);
CHECK_OFFSET(start_factors, 124);
CHECK_OFFSET(start_offsets, 140);

/* clang-format off */
#define BEGIN(name)           \
  TFMPQ_FUNCTION(name)        \
  "push {r4-r11, lr}\n"       \
  "vpush {d8-d13}\n"          \
  "add r9, r0, #36\n"

#define END(name)             \
  "vpop {d8-d13}\n"           \
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

/* r0: next_zero_points, r1 r2: minus_sum, r3 r4: next_codes, r6 r10 r12 lr:
 * rescale. */
#define TAKE_REST                      \
  "ldmdb r9, {r0, r1, r2, r3, r4, r6, r10, r12, lr}\n"

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
#define RESCALE_TO_HIGH(sums)          \
  "vqdmulh.s32 " sums ", " sums ", q3\n" \
  "vhadd.s32 " sums ", " sums ", r10\n" \
  "vqshl.s32 " sums ", r12\n"          \
  "vshl.s32 " sums ", lr\n"

#define NEXT                                        \
  "ldr r0, [r9, #44]\n"                             \
  "cmp r5, r0\n"                                    \
  "bne 3b\n"

/* The next two pixels. */
#define TAKE_PAIR                      \
  "ldrd r0, r1, [r9, #64]\n"           \
  "add r2, r0, r1\n"                   \
  "add r1, r2\n"                       \
  "str r0, [r9, #4]\n"                 \
  "str r2, [r9, #12]\n"                \
  "str r1, [r9, #64]\n"                \
  "ldrd r0, r1, [r9, #72]\n"           \
  "add r2, r0, r1\n"                   \
  "add r1, r2\n"                       \
  "strd r0, r2, [r9, #-24]\n"          \
  "str r1, [r9, #72]\n"                \
  "ldrd r5, r7, [r9, #48]\n"

#define NO_SUMS ""
#define TAKE_SUMS                      \
  "ldrd r0, r1, [r9, #56]\n"           \
  "ldrd r2, r4, [r1], #8\n"            \
  "str r1, [r9, #60]\n"                \
  "str r0, [r9, #-36]\n"               \
  "strd r2, r4, [r9, #-32]\n"          \
  "vmul.i32 q0, q6, r2\n"              \
  "vmul.i32 q1, q6, r4\n"              \
  "vstrw.32 q0, [r9, q4]\n"            \
  "vstrw.32 q1, [r9, q5]\n"

#define PIXELS(name, group, separate, sums, zero_points) \
  __asm__(BEGIN(name)                               \
          "vldrw.u32 q6, [r9, #88]\n"               \
          "vldrw.u32 q4, [r9, #104]\n"              \
          "vldrw.u32 q5, [r9, #120]\n"              \
          "5:\n"                                    \
          TAKE_PAIR sums                            \
          "3:\n"                                    \
          START LOOP(group)                         \
          separate TO_VECTORS TAKE_REST zero_points \
          PARAMETERS                                \
          "vadd.i32 q0, q0, q2\n"                   \
          "vadd.i32 q1, q1, q2\n"                   \
          "cbz r6, 6f\n"                            \
          "vshl.s32 q0, r6\n"                       \
          "vshl.s32 q1, r6\n"                       \
          "6:\n"                                    \
          RESCALE_TO_HIGH("q0")                     \
          RESCALE_TO_HIGH("q1")                     \
          "vstrb.32 q0, [r3], #4\n"                 \
          "vstrb.32 q1, [r4], #4\n"                 \
          "strd r3, r4, [r9, #-24]\n"               \
          NEXT                                      \
          "ldr r0, [r9, #80]\n"                     \
          "subs r0, #1\n"                           \
          "str r0, [r9, #80]\n"                     \
          "bne 5b\n"                                \
          END(name))

#define RESCALE(sums)                  \
  "vadd.i32 " sums ", " sums ", q2\n"  \
  "vshl.s32 " sums ", r6\n"            \
  RESCALE_TO_HIGH(sums)

#define VECTOR(name, group, separate, zero_points)  \
  __asm__(BEGIN(name)                               \
          "ldrd r5, r7, [r9, #48]\n"                \
          "3:\n"                                    \
          START                                     \
          "mov r3, r5\n"                            \
          "ldr r5, [r9, #84]\n"                     \
          "add r5, r3\n"                            \
          LOOP(group)                               \
          separate TO_VECTORS TAKE_REST zero_points \
          PARAMETERS RESCALE("q0")                  \
          PARAMETERS RESCALE("q1")                  \
          "vstrb.32 q0, [r3], #4\n"                 \
          "vstrb.32 q1, [r3], #4\n"                 \
          "str r3, [r9, #-24]\n"                    \
          NEXT END(name))
/* clang-format on */

PIXELS("tfmpq_pixels_w8__mve", PIXELS_W8, SEPARATE_W8, NO_SUMS, NO_ZERO_POINTS);
PIXELS("tfmpq_pixels_w4__mve", PIXELS_W4, SEPARATE_W4, TAKE_SUMS,
       ZERO_POINTS_OF_PIXELS);
PIXELS("tfmpq_pixels_w2__mve", PIXELS_W2, SEPARATE_W2, TAKE_SUMS,
       ZERO_POINTS_OF_PIXELS);
VECTOR("tfmpq_vector_w8__mve", VECTOR_W8, SEPARATE_W8, NO_ZERO_POINTS);
VECTOR("tfmpq_vector_w4__mve", VECTOR_W4, SEPARATE_W4, ZERO_POINTS_OF_BLOCKS);
VECTOR("tfmpq_vector_w2__mve", VECTOR_W2, SEPARATE_W2, ZERO_POINTS_OF_BLOCKS);

/* Fills start_factors. */
static void set_start_factors(tfmpq_tiles* tiles, int32_t zero_point,
                              int w_bits) {
  const int per_byte = 8 / w_bits;
  for (int c = kTfmpqBlockChannels - 1; c >= 0 && w_bits < 8; --c) {
    tiles->start_factors[c] =
        c % per_byte == per_byte - 1
            ? zero_point - (1 << (w_bits - 1))
            : (1 << w_bits) * tiles->start_factors[c + 1] + zero_point;
  }
}

void tfmpq_init_tiles__mve(tfmpq_tiles* tiles, const tfmpq_conv_params* params,
                           const int8_t* zero_points, uint32_t num_elements,
                           int w_bits, int o_bits) {
  static const uint32_t offsets[2][kTfmpqBlockChannels] = {
      {offsetof(tfmpq_tiles, start_0), offsetof(tfmpq_tiles, start_1),
       offsetof(tfmpq_tiles, start_2), offsetof(tfmpq_tiles, start_3)},
      {offsetof(tfmpq_tiles, start_4), offsetof(tfmpq_tiles, start_5),
       offsetof(tfmpq_tiles, start_6), offsetof(tfmpq_tiles, start_7)}};
  memset(tiles, 0, sizeof(*tiles));
  tiles->rescale = tfmpq_make_saturating_rescale(
      params->output_zero_point, params->shift, params->pre_shift, o_bits);
  tiles->num_groups = (num_elements + kTfmpqLanes - 1) / kTfmpqLanes;
  tiles->block_bytes = tfmpq_block_bytes(tiles->num_groups, w_bits);
  set_start_factors(tiles, zero_points == NULL ? params->weight_zero_point : 0,
                    w_bits);
  for (int i = 0; i < 2; ++i) {
    for (int c = 0; c < kTfmpqBlockChannels; ++c) {
      tiles->start_offsets[i][c] =
          offsets[i][c] - (uint32_t)offsetof(tfmpq_tiles, start_0);
    }
  }
}

void tfmpq_set_starts__mve(tfmpq_tiles* tiles, int32_t minus_sum) {
  tiles->minus_sum[0] = minus_sum;
  const int32x4_t starts =
      vmulq_n_s32(vldrwq_s32(tiles->start_factors), minus_sum);
  for (int i = 0; i < 2; ++i) {
    vstrwq_scatter_offset_s32(&tiles->start_0,
                              vldrwq_u32(tiles->start_offsets[i]), starts);
  }
}
