/* Semihosting: the firmware's only link to the outside world.
 *
 * The emulator (QEMU or Arm's FVP) traps a breakpoint instruction and serves
 * the call. Call numbers and argument blocks: "Semihosting for AArch32 and
 * AArch64", Arm.
 */
#ifndef TFLM_EXT_RUNNERS_SEMIHOST_H_
#define TFLM_EXT_RUNNERS_SEMIHOST_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes a zero-terminated text to the emulator's standard output. */
void semihost_write(const char* text);

/* Opens a host file for reading. Returns its handle, or -1. */
int semihost_open(const char* path);

/* Returns the length of an open file in bytes, or -1. */
long semihost_length(int handle);

/* Reads up to `num_bytes` bytes. Returns how many were read, 0 at the end of
 * the file. */
size_t semihost_read(int handle, void* buffer, size_t num_bytes);

void semihost_close(int handle);

/* Copies the command line, its words separated by spaces, program name first.
 * Returns 0, or -1 if it does not fit in `capacity` bytes with its final 0. */
int semihost_command_line(char* buffer, size_t capacity);

/* Prints `TFMPQ_EXIT <status>`, the line that run_firmware.sh trusts, and ends
 * the emulation. */
#if defined(__GNUC__)
__attribute__((noreturn))
#endif
void semihost_exit(int status);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_RUNNERS_SEMIHOST_H_ */
