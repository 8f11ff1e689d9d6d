"""Mixed-precision (2, 4 and 8 bits) networks for microcontrollers."""

import os

# TensorFlow Model Optimization 0.8 works with Keras 2 only. It reads this
# variable, and so does tf.keras; both must see it before TensorFlow is first
# imported, which is why it is set here and nowhere else.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

# Errors and warnings only: the start-up notes about CPU features and missing
# GPUs would bury the progress bar.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
