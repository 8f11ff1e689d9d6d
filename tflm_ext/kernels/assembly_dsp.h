/* Functions in assembly language at the top level of a C file, each in a
 * section of its own, so that the linker keeps only those that are used. */
#ifndef TFLM_EXT_KERNELS_ASSEMBLY_DSP_H_
#define TFLM_EXT_KERNELS_ASSEMBLY_DSP_H_

/* clang-format off */
#define TFMPQ_FUNCTION(name)                     \
  ".section .text." name ", \"ax\", %progbits\n" \
  ".syntax unified\n"                            \
  ".thumb_func\n"                                \
  ".global " name "\n"                           \
  ".type " name ", %function\n"                  \
  ".align 2\n" name ":\n"

#define TFMPQ_END_FUNCTION(name)   \
  ".size " name ", . - " name "\n" \
  ".text\n"
/* clang-format on */

#endif /* TFLM_EXT_KERNELS_ASSEMBLY_DSP_H_ */
