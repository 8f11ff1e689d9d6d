/* The lists of bit widths over which kernels are declared and defined.
 *
 * TFMPQ_FOR_EACH_TRIPLE(M) expands M(a, w, o) for all 27 triples of widths of
 * input, weight and output (of first input, second input and output for add),
 * TFMPQ_FOR_EACH_PAIR(M) expands M(a, o) for 9 pairs, TFMPQ_FOR_EACH_WIDTH(M)
 * expands M(a) for 3 widths. */
#ifndef TFLM_EXT_KERNELS_WIDTHS_H_
#define TFLM_EXT_KERNELS_WIDTHS_H_

/* clang-format off */
#define TFMPQ_FOR_EACH_WIDTH(M) M(2) M(4) M(8)

#define TFMPQ_FOR_EACH_PAIR(M) \
  M(2, 2) M(2, 4) M(2, 8)      \
  M(4, 2) M(4, 4) M(4, 8)      \
  M(8, 2) M(8, 4) M(8, 8)

#define TFMPQ_FOR_EACH_TRIPLE(M)      \
  M(2, 2, 2) M(2, 2, 4) M(2, 2, 8)    \
  M(2, 4, 2) M(2, 4, 4) M(2, 4, 8)    \
  M(2, 8, 2) M(2, 8, 4) M(2, 8, 8)    \
  M(4, 2, 2) M(4, 2, 4) M(4, 2, 8)    \
  M(4, 4, 2) M(4, 4, 4) M(4, 4, 8)    \
  M(4, 8, 2) M(4, 8, 4) M(4, 8, 8)    \
  M(8, 2, 2) M(8, 2, 4) M(8, 2, 8)    \
  M(8, 4, 2) M(8, 4, 4) M(8, 4, 8)    \
  M(8, 8, 2) M(8, 8, 4) M(8, 8, 8)
/* clang-format on */

#endif /* TFLM_EXT_KERNELS_WIDTHS_H_ */
