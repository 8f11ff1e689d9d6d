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
#else
#define TFMPQ_ARENA __attribute__((aligned(16)))
#endif

#endif /* TFLM_EXT_RUNNERS_MEMORY_SECTIONS_H_ */
