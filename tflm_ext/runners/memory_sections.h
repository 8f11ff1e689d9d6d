/* Where a large object lies on a device; without effect on the host.
 *
 *   TFMPQ_ARENA static uint8_t arena[200000];
 *
 * The region of the arena is the board's large RAM (1.9 MiB and more); it is
 * not cleared at start-up. Data without a mark lies in the first 512 KiB to
 * 1 MiB, which heap and stack share.
 */
#ifndef TFLM_EXT_RUNNERS_MEMORY_SECTIONS_H_
#define TFLM_EXT_RUNNERS_MEMORY_SECTIONS_H_

#if defined(__arm__)
#define TFMPQ_ARENA __attribute__((section(".arena"), aligned(16)))
/* Objects that lie next to the arena, to see whether it is overrun. */
#define TFMPQ_BEFORE_ARENA __attribute__((section(".arena_before")))
#define TFMPQ_AFTER_ARENA __attribute__((section(".arena_after")))
/* Constants of an exported model: their section's size is measured. */
#define TFMPQ_CONST __attribute__((section(".model_constants"), aligned(4)))
/* A model that is read from a file; lies behind the arena. */
#define TFMPQ_MODEL_COPY __attribute__((section(".model_copy"), aligned(16)))
#else
#define TFMPQ_ARENA __attribute__((aligned(16)))
#define TFMPQ_BEFORE_ARENA
#define TFMPQ_AFTER_ARENA
#define TFMPQ_CONST __attribute__((aligned(4)))
#define TFMPQ_MODEL_COPY __attribute__((aligned(16)))
#endif

#endif /* TFLM_EXT_RUNNERS_MEMORY_SECTIONS_H_ */
