#include "tflm_ext/runners/files.h"

long tfmpq_read_file(const char* path, void* buffer, size_t capacity) {
  TfmpqFile file;
  if (tfmpq_file_open(path, &file) != 0) return -1;
  long result = -1;
  if (file.num_bytes <= capacity &&
      tfmpq_file_read(&file, buffer, file.num_bytes) == 0) {
    result = (long)file.num_bytes;
  }
  tfmpq_file_close(&file);
  return result;
}
