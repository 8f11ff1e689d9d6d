#!/bin/sh
# Usage: fuzz.sh TFLM_INCLUDE TFLM_LIBRARY CORPUS [LIBFUZZER_OPTION...]
#
# Builds the fuzz target fuzz_ops.cc with clang, under the address and undefined
# behaviour sanitizers, and runs it from the models in CORPUS, a folder, which
# stays as it is. Fails if something is found, or if some op was never
# evaluated. The working directory holds the sources. Skipped, with a line that
# says so, where there is no clang++ ($TFMPQ_CLANG++) that can build it.
#
# 20,000 executions by default; for more: bazel run //tflm_ext/ops:fuzz --
# -runs=1000000
set -eu

if [ $# -lt 3 ]; then
  echo "usage: fuzz.sh TFLM_INCLUDE TFLM_LIBRARY CORPUS [OPTION...]" >&2
  exit 2
fi
include=$1
library=$2
corpus=$3
shift 3
clang=${TFMPQ_CLANG:-clang}
if [ ! -e "$library" ]; then
  echo "NOTE: fuzzing skipped: there is no TFLM (README, \"On a device\")"
  exit 0
fi
work=$(mktemp -d "${TEST_TMPDIR:-${TMPDIR:-/tmp}}/fuzz.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Compilers and their sanitizers come in different packages.
cat >"$work/probe.cc" <<'PROBE'
#include <sanitizer/asan_interface.h>
extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) {
  return 0;
}
PROBE
if ! "$clang++" -fsanitize=fuzzer,address,undefined "$work/probe.cc" \
  -o "$work/probe" 2>"$work/log"; then
  cat "$work/log"
  echo "NOTE: fuzzing skipped: no $clang++ with libFuzzer and sanitizers" \
    "(Debian and Ubuntu: packages clang and libclang-rt-<version>-dev)"
  exit 0
fi
rm "$work/log"
flags="-O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all -I. -Wall
  -Wextra -Werror -fsanitize=fuzzer-no-link,address,undefined"

for source in tflm_ext/kernels/add.c tflm_ext/kernels/average_pool.c \
  tflm_ext/kernels/conv2d.c tflm_ext/kernels/depthwise_conv2d.c \
  tflm_ext/kernels/fully_connected.c tflm_ext/kernels/max_pool.c \
  tflm_ext/kernels/weight_layouts.c; do
  # shellcheck disable=SC2086  # Flags are words.
  "$clang" -std=c99 $flags -c "$source" -o "$work/$(basename "$source").o"
done
for source in tflm_ext/ops/*.cc; do
  case $source in *_test.cc) continue ;; esac
  # shellcheck disable=SC2086
  "$clang++" -std=c++17 -fno-exceptions -fno-rtti $flags \
    -DTF_LITE_STATIC_MEMORY -isystem "$include" -isystem "$include/gemmlowp" \
    -c "$source" -o "$work/$(basename "$source").o"
done
"$clang++" -fsanitize=fuzzer,address,undefined "$work"/*.o "$library" \
  -o "$work/fuzz_ops"

mkdir "$work/found"
log=$work/log
status=0
"$work/fuzz_ops" -runs=20000 -seed=1 -max_len=4096 -timeout=60 \
  -mutate_depth=2 -reduce_inputs=0 \
  -artifact_prefix="${TEST_UNDECLARED_OUTPUTS_DIR:-$PWD}/" "$@" \
  "$work/found" "$corpus" >"$log" 2>&1 || status=$?
tail -n 40 "$log"
if [ "$status" -ne 0 ]; then
  exit "$status"
fi
if [ "$(grep -c '^evaluated Tfmpq' "$log")" -lt 6 ] ||
  grep -q '^evaluated .* 0$' "$log"; then
  echo "fuzz.sh: some op was never evaluated" >&2
  exit 1
fi
echo "NOTE: fuzzing: $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log")" \
  "executions, nothing found"
