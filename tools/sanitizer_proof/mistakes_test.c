/* Makes the mistake that argv[1] names, or none. */
#include "tools/sanitizer_proof/mistakes.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
  const char* const mistake = argc > 1 ? argv[1] : "none";
  const int values[4] = {1, 2, 3, 4};
  const int index = strcmp(mistake, "bounds") == 0 ? 4 : 3;
  const int value = strcmp(mistake, "overflow") == 0 ? INT_MAX : 5;
  printf("%d %d\n", read_element(values, index), add_one(value));
  return 0;
}
