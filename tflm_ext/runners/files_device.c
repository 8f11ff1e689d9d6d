#include "tflm_ext/runners/files.h"
#include "tflm_ext/runners/semihost.h"

int tfmpq_file_open(const char* path, TfmpqFile* file) {
  const int handle = semihost_open(path);
  if (handle < 0) return -1;
  const long length = semihost_length(handle);
  if (length < 0) {
    semihost_close(handle);
    return -1;
  }
  file->handle = handle;
  file->num_bytes = (size_t)length;
  file->position = 0;
  return 0;
}

int tfmpq_file_read(TfmpqFile* file, void* buffer, size_t num_bytes) {
  const size_t count = semihost_read((int)file->handle, buffer, num_bytes);
  file->position += count;
  return count == num_bytes ? 0 : -1;
}

void tfmpq_file_close(TfmpqFile* file) { semihost_close((int)file->handle); }
