/* Rows of input into quads, in assembly language: of each quad column, VLD4
 * takes rows 0 to 3 to q0 to q3, new rows come to q4 and q5, and VST4 makes q2
 * to q5 rows 0 to 3.
 *
 *   r0 r1    row, bytes from a pixel to the next, of the first new row
 *   r2 r3    the same of the second one
 *   r4       quads                                   q6  mask of a code
 *   lr       columns left */
#include "tflm_ext/kernels/assembly.h"
#include "tflm_ext/kernels/depthwise_rows_mve.h"

#define CHECK_OFFSET(field, offset)                                         \
  typedef char tfmpq_offset_of_##field                                      \
      [offsetof(tfmpq_push_task, field) == offset || sizeof(void*) != 4 ? 1 \
                                                                        : -1]
CHECK_OFFSET(quads, 16);
CHECK_OFFSET(num_columns, 20);
CHECK_OFFSET(num_vector_bytes, 24);

/* clang-format off */
#define ALL(size, operands) "vldrb." size " " operands "\n"
#define SOME(size, operands) "vpst\nvldrbt." size " " operands "\n"

#define LOAD_8(load, to, row)                                   \
  load("8", to ", [" row "]")
#define LOAD_4(load, to, row)                                   \
  load("u16", to ", [" row "]")                           \
  "vsli.16 " to ", " to ", #4\n"                                \
  "vand " to ", " to ", q6\n"
#define LOAD_2(load, to, row)                                   \
  load("u32", to ", [" row "]")                           \
  "vsli.32 " to ", " to ", #12\n"                               \
  "vshl.i32 q7, " to ", #6\n"                                   \
  "vorr " to ", " to ", q7\n"                                   \
  "vand " to ", " to ", q6\n"

#define PUSH(name, load_row, load, mask, count)                 \
  __asm__(TFMPQ_FUNCTION(name)                                  \
          "push {r4, lr}\n"                                     \
          "vpush {d8-d15}\n"                                    \
          "ldr r1, [r0, #24]\n"                                 \
          count " r1\n"                                         \
          "mov r12, #" mask "\n"                                \
          "vdup.8 q6, r12\n"                                    \
          "ldr lr, [r0, #20]\n"                                 \
          "ldm r0, {r0, r1, r2, r3, r4}\n"                      \
          "dls lr, lr\n"                                        \
          "1:\n"                                                \
          load_row(load, "q4", "r0")                            \
          load_row(load, "q5", "r2")                            \
          "vld40.8 {q0, q1, q2, q3}, [r4]\n"                    \
          "vld41.8 {q0, q1, q2, q3}, [r4]\n"                    \
          "vld42.8 {q0, q1, q2, q3}, [r4]\n"                    \
          "vld43.8 {q0, q1, q2, q3}, [r4]\n"                    \
          "add r0, r1\n"                                        \
          "add r2, r3\n"                                        \
          "vst40.8 {q2, q3, q4, q5}, [r4]\n"                    \
          "vst41.8 {q2, q3, q4, q5}, [r4]\n"                    \
          "vst42.8 {q2, q3, q4, q5}, [r4]\n"                    \
          "vst43.8 {q2, q3, q4, q5}, [r4]!\n"                   \
          "le lr, 1b\n"                                         \
          "vpop {d8-d15}\n"                                     \
          "pop {r4, pc}\n"                                      \
          TFMPQ_END_FUNCTION(name))
/* clang-format on */

PUSH("tfmpq_push_rows_8__mve", LOAD_8, ALL, "255", "vctp.8");
PUSH("tfmpq_push_rows_4__mve", LOAD_4, ALL, "15", "vctp.16");
PUSH("tfmpq_push_rows_2__mve", LOAD_2, ALL, "3", "vctp.32");
PUSH("tfmpq_push_some_rows_8__mve", LOAD_8, SOME, "255", "vctp.8");
PUSH("tfmpq_push_some_rows_4__mve", LOAD_4, SOME, "15", "vctp.16");
PUSH("tfmpq_push_some_rows_2__mve", LOAD_2, SOME, "3", "vctp.32");

TFMPQ_INLINE void push_row(const tfmpq_push_task* task, int bits) {
  const uint8_t* row = task->row_0;
  int8_t* quads = task->quads;
  for (uint32_t i = task->num_columns; i > 0; --i) {
    const int8x16x4_t rows = vld4q_s8(quads);
    const int8x16x4_t pushed = {
        {rows.val[1], rows.val[2], rows.val[3],
         tfmpq_load_some_codes(row, task->num_channels, bits)}};
    vst4q_s8(quads, pushed);
    row += task->step_0;
    quads += kTfmpqQuadColumnBytes;
  }
}

#define DEFINE(bits)                                               \
  void tfmpq_push_row_##bits##__mve(const tfmpq_push_task* task) { \
    push_row(task, bits);                                          \
  }
DEFINE(8)
DEFINE(4)
DEFINE(2)
