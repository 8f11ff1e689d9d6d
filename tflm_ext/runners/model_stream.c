/* Runs an exported model on the images of standard input, on the host, and
 * writes the logits to standard output: int8 codes without a header, one image
 * after the other, until the input ends. */
#include <stdio.h>

#include "model.h"

int main(void) {
  for (;;) {
    const size_t num_bytes = fread(model_input(), 1, MODEL_INPUT_BYTES, stdin);
    if (num_bytes == 0) return fflush(stdout) != 0;
    if (num_bytes != MODEL_INPUT_BYTES) {
      fprintf(stderr, "model_stream: expected images of %d bytes\n",
              MODEL_INPUT_BYTES);
      return 1;
    }
    model_invoke();
    if (fwrite(model_output(), 1, MODEL_OUTPUT_BYTES, stdout) !=
        MODEL_OUTPUT_BYTES) {
      fprintf(stderr, "model_stream: the logits cannot be written\n");
      return 1;
    }
  }
}
