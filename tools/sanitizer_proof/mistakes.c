#include "tools/sanitizer_proof/mistakes.h"

int read_element(const int* values, int index) { return values[index]; }

int add_one(int value) { return value + 1; }
