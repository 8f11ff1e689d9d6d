/* What newlib asks of an operating system: printf() goes to the emulator's
 * standard output, malloc() takes what lies between .bss and the stack. Files
 * are read with files.h, not with stdio. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "tflm_ext/runners/semihost.h"

int _close(int handle);
int _fstat(int handle, struct stat* status);
int _getpid(void);
int _isatty(int handle);
int _kill(int process, int signal);
int _read(int handle, char* buffer, int num_bytes);
int _write(int handle, const char* buffer, int num_bytes);
off_t _lseek(int handle, off_t offset, int whence);
void* _sbrk(ptrdiff_t num_bytes);

/* From the linker script. */
extern char __heap_start[], __heap_end[];

enum { kAbortStatus = 126 };

void* _sbrk(ptrdiff_t num_bytes) {
  static char* heap_end = __heap_start;
  if (num_bytes > __heap_end - heap_end) {
    errno = ENOMEM;
    return (void*)-1;
  }
  char* const block = heap_end;
  heap_end += num_bytes;
  return block;
}

int _write(int handle, const char* buffer, int num_bytes) {
  (void)handle;
  char text[129];
  for (int done = 0; done < num_bytes;) {
    int count = num_bytes - done;
    if (count > (int)sizeof(text) - 1) count = (int)sizeof(text) - 1;
    memcpy(text, buffer + done, (size_t)count);
    text[count] = '\0';
    semihost_write(text);
    done += count;
  }
  return num_bytes;
}

/* A character device, so that stdout is flushed at each end of line. */
int _fstat(int handle, struct stat* status) {
  (void)handle;
  status->st_mode = S_IFCHR;
  return 0;
}

int _isatty(int handle) {
  (void)handle;
  return 1;
}

int _close(int handle) {
  (void)handle;
  errno = EBADF;
  return -1;
}

int _read(int handle, char* buffer, int num_bytes) {
  (void)handle;
  (void)buffer;
  (void)num_bytes;
  errno = EBADF;
  return -1;
}

off_t _lseek(int handle, off_t offset, int whence) {
  (void)handle;
  (void)offset;
  (void)whence;
  errno = ESPIPE;
  return -1;
}

int _getpid(void) { return 1; }

/* abort() and a failed assert() end here. */
int _kill(int process, int signal) {
  (void)process;
  (void)signal;
  semihost_exit(kAbortStatus);
}

void _exit(int status) { semihost_exit(status); }
