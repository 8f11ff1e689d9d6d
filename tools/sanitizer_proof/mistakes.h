/* Two mistakes that the sanitized build has to catch in a library. */
#ifndef TOOLS_SANITIZER_PROOF_MISTAKES_H_
#define TOOLS_SANITIZER_PROOF_MISTAKES_H_

/* Reads beyond the end if values has no more than index elements. */
int read_element(const int* values, int index);

/* Overflows if value is INT_MAX. */
int add_one(int value);

#endif /* TOOLS_SANITIZER_PROOF_MISTAKES_H_ */
