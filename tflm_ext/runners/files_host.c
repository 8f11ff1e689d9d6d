#include <stdio.h>

#include "tflm_ext/runners/files.h"

int tfmpq_file_open(const char* path, TfmpqFile* file) {
  FILE* const stream = fopen(path, "rb");
  if (stream == NULL) return -1;
  long length = -1;
  if (fseek(stream, 0, SEEK_END) == 0) length = ftell(stream);
  if (length < 0 || fseek(stream, 0, SEEK_SET) != 0) {
    fclose(stream);
    return -1;
  }
  file->handle = (intptr_t)stream;
  file->num_bytes = (size_t)length;
  file->position = 0;
  return 0;
}

int tfmpq_file_read(TfmpqFile* file, void* buffer, size_t num_bytes) {
  const size_t count = fread(buffer, 1, num_bytes, (FILE*)file->handle);
  file->position += count;
  return count == num_bytes ? 0 : -1;
}

void tfmpq_file_close(TfmpqFile* file) { fclose((FILE*)file->handle); }
