/* Boots on every board and checks what all other firmware relies on.
 *
 * usage: selftest check all        all checks
 *        selftest exit STATUS      returns STATUS
 *        selftest fault            executes an undefined instruction
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tflm_ext/runners/instruction_counter.h"
#include "tflm_ext/runners/memory_sections.h"

enum { kArenaBytes = 1024 * 1024 };

TFMPQ_ARENA static uint8_t arena[kArenaBytes];
static uint32_t initialised[3] = {1, 0x89abcdef, 3};
static uint32_t cleared[300];

static int check(int condition, const char* what) {
  printf("%s: %s\n", condition ? "ok" : "FAILED", what);
  return condition ? 0 : 1;
}

static int check_memory(void) {
  int failures = 0;
  failures += check(initialised[0] == 1 && initialised[1] == 0x89abcdef &&
                        initialised[2] == 3,
                    ".data holds its start values");
  uint32_t all = 0;
  for (size_t i = 0; i < sizeof(cleared) / sizeof(*cleared); ++i) {
    all |= ((volatile uint32_t*)cleared)[i];
  }
  failures += check(all == 0, ".bss is zero");
  for (size_t i = 0; i < kArenaBytes; ++i)
    arena[i] = (uint8_t)(i * 7 + i / 256);
  size_t wrong = 0;
  for (size_t i = 0; i < kArenaBytes; ++i) {
    wrong += ((volatile uint8_t*)arena)[i] != (uint8_t)(i * 7 + i / 256);
  }
  return failures + check(wrong == 0, "1 MiB of arena keeps what was written");
}

/* Executes 1 + 2 n + 1 instructions: load, loop, return. */
__attribute__((naked, noinline)) static void loop(void* iterations) {
  (void)iterations;
  __asm__ volatile(
      "ldr r0, [r0]\n"
      "1: subs r0, r0, #1\n"
      "bne 1b\n"
      "bx lr\n");
}

static int check_instruction_counts(void) {
  TfmpqInstructionCounter counter;
  if (check(tfmpq_instruction_counter_calibrate(&counter) == 0,
            "the counter counts instructions") != 0) {
    return 1;
  }
  static const uint32_t lengths[] = {1, 2, 7, 100, 12345, 1000001, 20000003};
  int failures = 0;
  for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); ++i) {
    uint32_t n = lengths[i];
    const uint32_t first = tfmpq_count_instructions(&counter, loop, &n);
    const uint32_t again = tfmpq_count_instructions(&counter, loop, &n);
    printf("loop(%lu): %lu %lu instructions\n", (unsigned long)n,
           (unsigned long)first, (unsigned long)again);
    failures += check(first == 2 * n + 2 && again == first,
                      "the count is exact and repeats");
  }
  return failures;
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "exit") == 0) return atoi(argv[2]);
  if (argc == 2 && strcmp(argv[1], "fault") == 0) __builtin_trap();
  int failures = check(
      argc == 3 && strcmp(argv[1], "check") == 0 && strcmp(argv[2], "all") == 0,
      "main() gets the command line");
  if (failures != 0) return 1;
  failures += check_memory();
  failures += check_instruction_counts();
  return failures == 0 ? 0 : 1;
}
