/* From reset to main(argc, argv), the same for all four boards. */
#include <stdint.h>
#include <stdlib.h>

#include "tflm_ext/runners/semihost.h"

/* From the linker script (sections.ld). */
extern uint32_t __data_load[], __data_start[], __data_end[];
extern uint32_t __bss_start[], __bss_end[], __stack_top[];

extern void __libc_init_array(void);
int main(int argc, char** argv);

void reset_handler(void);
void fault_handler(void);
void report_fault(const uint32_t* frame);
void start(void);

/* newlib's __libc_init_array calls these; crti.o, which has them, is not
 * linked. */
void _init(void);
void _fini(void);
void _init(void) {}
void _fini(void) {}

enum { kNumSystemVectors = 16, kFaultStatus = 125 };

/* Registers of the system control space, the same on every Cortex-M. */
#define CCR (*(volatile uint32_t*)0xE000ED14)
#define CFSR (*(volatile uint32_t*)0xE000ED28)
#define CPACR (*(volatile uint32_t*)0xE000ED88)

enum { kCcrLowOverheadBranch = 1 << 19, kCpacrFpuFullAccess = 0xF << 20 };

static void write_hex(const char* label, uint32_t value) {
  char text[] = "00000000";
  for (int i = 0; i < 8; ++i) {
    text[i] = "0123456789abcdef"[(value >> (28 - 4 * i)) & 15];
  }
  semihost_write(label);
  semihost_write(text);
}

/* `frame`: r0-r3, r12, lr, pc, xpsr as the core stacked them. */
__attribute__((noreturn, used)) void report_fault(const uint32_t* frame) {
  uint32_t exception;
  __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
  write_hex("\nfault: exception ", exception);
  write_hex(" CFSR ", CFSR);
  write_hex(" pc ", frame[6]);
  write_hex(" lr ", frame[5]);
  semihost_write("\n");
  semihost_exit(kFaultStatus); /* Not 124: timeout(1) returns that. */
}

__attribute__((naked)) void fault_handler(void) {
  __asm__ volatile(
      "tst lr, #4\n"
      "ite eq\n"
      "mrseq r0, msp\n"
      "mrsne r0, psp\n"
      "b report_fault\n");
}

#define FAULT (uintptr_t)fault_handler

__attribute__((section(".vectors"), used))
const uintptr_t vectors[kNumSystemVectors] = {
    (uintptr_t)__stack_top,
    (uintptr_t)reset_handler,
    FAULT, /* NMI */
    FAULT, /* HardFault */
    FAULT, /* MemManage */
    FAULT, /* BusFault */
    FAULT, /* UsageFault */
    FAULT, /* SecureFault */
    0,
    0,
    0,
    FAULT, /* SVCall */
    FAULT, /* DebugMonitor */
    0,
    FAULT, /* PendSV */
    FAULT, /* SysTick */
};

enum { kMaxCommandLineBytes = 2048, kMaxArguments = 64 };

/* Splits `line` at spaces, in place. Returns the number of words, or -1 if
 * there are more than `capacity`. */
static int split_words(char* line, char** words, int capacity) {
  int count = 0;
  for (char* at = line; *at != '\0';) {
    if (*at == ' ') {
      *at++ = '\0';
      continue;
    }
    if (count == capacity) return -1;
    words[count++] = at;
    while (*at != ' ' && *at != '\0') ++at;
  }
  return count;
}

static int run_main(void) {
  static char line[kMaxCommandLineBytes];
  static char* arguments[kMaxArguments + 1];
  if (semihost_command_line(line, sizeof(line)) != 0) {
    semihost_write("startup: the command line is longer than 2047 bytes\n");
    return kFaultStatus;
  }
  const int count = split_words(line, arguments, kMaxArguments);
  if (count < 0) {
    semihost_write("startup: more than 64 arguments\n");
    return kFaultStatus;
  }
  return main(count, arguments);
}

__attribute__((noreturn, used)) void start(void) {
  CPACR |= kCpacrFpuFullAccess; /* FPU and, on the M55, MVE. */
#if __ARM_ARCH >= 8
  CCR |= kCcrLowOverheadBranch; /* Reserved and ignored before v8.1-M. */
#endif
  __asm__ volatile("dsb\n isb" ::: "memory");
  const uint32_t* from = __data_load;
  for (uint32_t* to = __data_start; to < __data_end;) *to++ = *from++;
  for (uint32_t* to = __bss_start; to < __bss_end;) *to++ = 0;
  __libc_init_array();
  exit(run_main()); /* Flushes stdout, then calls _exit() of syscalls.c. */
}

/* The core has loaded the stack pointer from vectors[0]. */
__attribute__((naked)) void reset_handler(void) { __asm__ volatile("b start"); }
