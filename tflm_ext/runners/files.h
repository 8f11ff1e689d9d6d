/* Reading of files, the same on the host (stdio) and on a device
 * (semihosting), for tests and runners that read golden vectors and images.
 *
 *   TfmpqFile file;
 *   if (tfmpq_file_open(argv[1], &file) != 0) return 1;
 *   if (tfmpq_file_read(&file, &header, sizeof(header)) != 0) return 1;
 *   tfmpq_file_close(&file);
 */
#ifndef TFLM_EXT_RUNNERS_FILES_H_
#define TFLM_EXT_RUNNERS_FILES_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  intptr_t handle;  /* FILE* on the host, a semihosting handle on a device. */
  size_t num_bytes; /* Length of the file. */
  size_t position;  /* Bytes read so far. */
} TfmpqFile;

/* Opens `path` for reading. Relative paths start at the runfiles under Bazel.
 * Returns 0, or -1 if it cannot be opened. */
int tfmpq_file_open(const char* path, TfmpqFile* file);

/* Reads exactly the next `num_bytes` bytes. Returns 0, or -1 if fewer are
 * left. */
int tfmpq_file_read(TfmpqFile* file, void* buffer, size_t num_bytes);

void tfmpq_file_close(TfmpqFile* file);

/* Reads a whole file into `buffer`. Returns its length in bytes, or -1 if it
 * cannot be read or is longer than `capacity`. */
long tfmpq_read_file(const char* path, void* buffer, size_t capacity);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFLM_EXT_RUNNERS_FILES_H_ */
