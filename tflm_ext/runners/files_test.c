/* Reads testdata/files_test.txt (argv[1]) in each way that files.h offers. */
#include "tflm_ext/runners/files.h"

#include <stdio.h>
#include <string.h>

static const char kExpected[] = "Read through semihosting.\n";

static int check(int condition, const char* what) {
  printf("%s: %s\n", condition ? "ok" : "FAILED", what);
  return condition ? 0 : 1;
}

static int check_whole_file(const char* path) {
  const long length = (long)sizeof(kExpected) - 1;
  char text[64] = "";
  int failures = check(tfmpq_read_file(path, text, sizeof(text)) == length &&
                           strcmp(text, kExpected) == 0,
                       "a file is read");
  failures += check(tfmpq_read_file(path, text, (size_t)length) == length,
                    "a file as long as the buffer is read");
  failures += check(tfmpq_read_file(path, text, (size_t)length - 1) == -1,
                    "a file longer than the buffer is refused");
  failures += check(tfmpq_read_file("absent", text, sizeof(text)) == -1,
                    "a missing file is refused");
  return failures;
}

static int check_parts(const char* path) {
  TfmpqFile file;
  char text[64] = "";
  if (check(tfmpq_file_open(path, &file) == 0, "a file is opened") != 0) {
    return 1;
  }
  int failures = check(file.num_bytes == sizeof(kExpected) - 1,
                       "the length of an open file is known");
  failures += check(tfmpq_file_read(&file, text, 5) == 0 &&
                        tfmpq_file_read(&file, text, 7) == 0 &&
                        memcmp(text, "through", 7) == 0 && file.position == 12,
                    "a file is read in parts");
  failures += check(tfmpq_file_read(&file, text, sizeof(text)) == -1,
                    "reading beyond the end is refused");
  tfmpq_file_close(&file);
  return failures;
}

int main(int argc, char** argv) {
  if (check(argc == 2, "main() gets one argument") != 0) return 1;
  return check_whole_file(argv[1]) + check_parts(argv[1]) == 0 ? 0 : 1;
}
