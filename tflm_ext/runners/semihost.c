#include "tflm_ext/runners/semihost.h"

#include <stdint.h>
#include <string.h>

enum {
  kSysOpen = 0x01,
  kSysClose = 0x02,
  kSysWrite0 = 0x04,
  kSysRead = 0x06,
  kSysFlen = 0x0c,
  kSysGetCmdline = 0x15,
  kSysExit = 0x18,
  kSysExitExtended = 0x20,
};

enum { kOpenForReadingBinary = 1 };

static const uint32_t kStoppedByApplicationExit = 0x20026;

/* Traps into the emulator; `argument` is what the call's table says. */
static int32_t call(int32_t number, const void* argument) {
  register int32_t r0 __asm__("r0") = number;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void semihost_write(const char* text) { call(kSysWrite0, text); }

int semihost_open(const char* path) {
  const uint32_t block[] = {(uint32_t)(uintptr_t)path, kOpenForReadingBinary,
                            (uint32_t)strlen(path)};
  return call(kSysOpen, block);
}

long semihost_length(int handle) {
  const int32_t block[] = {handle};
  return call(kSysFlen, block);
}

size_t semihost_read(int handle, void* buffer, size_t num_bytes) {
  const uint32_t block[] = {(uint32_t)handle, (uint32_t)(uintptr_t)buffer,
                            (uint32_t)num_bytes};
  /* The call returns how many bytes were NOT read. */
  return num_bytes - (size_t)call(kSysRead, block);
}

void semihost_close(int handle) {
  const int32_t block[] = {handle};
  call(kSysClose, block);
}

int semihost_command_line(char* buffer, size_t capacity) {
  const uint32_t block[] = {(uint32_t)(uintptr_t)buffer, (uint32_t)capacity};
  return call(kSysGetCmdline, block) == 0 ? 0 : -1;
}

/* Writes `value` in decimal before `end` and returns its first character. */
static char* format_decimal(uint32_t value, char* end) {
  do {
    *--end = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  return end;
}

void semihost_exit(int status) {
  /* A process status has 8 bits: anything else must not look like success. */
  const uint32_t code = status >= 0 && status <= 255 ? (uint32_t)status : 255;
  char line[] = "0000000000\n";
  /* On a line of its own, even if the program's last line was not ended. */
  semihost_write("\nTFMPQ_EXIT ");
  semihost_write(format_decimal(code, line + sizeof(line) - 2));
  const uint32_t block[] = {kStoppedByApplicationExit, code};
  call(kSysExitExtended, block);
  /* Reached where only the older call, without a status, is implemented. */
  call(kSysExit, (const void*)(uintptr_t)kStoppedByApplicationExit);
  for (;;) {
  }
}
