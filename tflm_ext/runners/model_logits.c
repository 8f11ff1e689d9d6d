/* Runs an exported model on many images, on the host, and writes its logits.
 *
 * usage: model_logits IMAGES LOGITS
 *
 * IMAGES holds the int8 codes of the images one after the other, LOGITS
 * receives the int8 codes of the outputs likewise; neither has a header. */
#include <stdio.h>

#include "model.h"
#include "tflm_ext/runners/files.h"

static int run(TfmpqFile* images, FILE* logits) {
  if (images->num_bytes % MODEL_INPUT_BYTES != 0) {
    fprintf(stderr, "model_logits: expected images of %d bytes, received %lu\n",
            MODEL_INPUT_BYTES, (unsigned long)images->num_bytes);
    return 1;
  }
  for (size_t i = images->num_bytes / MODEL_INPUT_BYTES; i > 0; --i) {
    if (tfmpq_file_read(images, model_input(), MODEL_INPUT_BYTES) != 0) {
      fprintf(stderr, "model_logits: the images cannot be read\n");
      return 1;
    }
    model_invoke();
    if (fwrite(model_output(), 1, MODEL_OUTPUT_BYTES, logits) !=
        MODEL_OUTPUT_BYTES) {
      fprintf(stderr, "model_logits: the logits cannot be written\n");
      return 1;
    }
  }
  return 0;
}

int main(int argc, char** argv) {
  TfmpqFile images;
  if (argc != 3) {
    fprintf(stderr, "usage: model_logits IMAGES LOGITS\n");
    return 2;
  }
  if (tfmpq_file_open(argv[1], &images) != 0) {
    fprintf(stderr, "model_logits: cannot open %s\n", argv[1]);
    return 1;
  }
  FILE* const logits = fopen(argv[2], "wb");
  if (logits == NULL) {
    fprintf(stderr, "model_logits: cannot write %s\n", argv[2]);
    return 1;
  }
  int status = run(&images, logits);
  tfmpq_file_close(&images);
  if (fclose(logits) != 0) status = 1;
  return status;
}
