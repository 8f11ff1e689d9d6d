#!/bin/sh
# Usage: run_firmware.sh CORE ELF [ARGUMENT...]
#        run_firmware.sh --machine CORE      prints which emulator would run it
#
# Boots ELF on the emulated board of CORE (cortex_m4, cortex_m7, cortex_m33 or
# cortex_m55), hands it the arguments, prints what it prints, and exits with
# the status of its main(). Files are opened relative to the working directory.
# An argument must hold no space and no comma.
#
# The emulator is QEMU. For cortex_m55 it is Arm's FVP instead if
# FVP_Corstone_SSE-300_Ethos-U55 is on PATH or TFMPQ_FVP names it.
#
# The status comes from the firmware's last line, `TFMPQ_EXIT <status>`, which
# both emulators print alike. Without that line the run has failed.
#
# TFMPQ_QEMU_PLUGIN: a TCG plugin that QEMU, and no FVP then, is to load.
# TFMPQ_FIRMWARE_TIMEOUT: seconds until the emulator is stopped (default 240).
set -eu

if [ $# -lt 2 ]; then
  echo "usage: run_firmware.sh CORE ELF [ARGUMENT...]" >&2
  echo "       run_firmware.sh --machine CORE" >&2
  exit 2
fi
only_machine=
if [ "$1" = --machine ]; then
  only_machine=yes
  shift
  set -- "$1" ""
fi
core=$1
elf=$2
shift 2
time_limit=${TFMPQ_FIRMWARE_TIMEOUT:-240}

case $core in
  cortex_m4) board=mps2-an386 ;;
  cortex_m7) board=mps2-an500 ;;
  cortex_m33) board=mps2-an505 ;;
  cortex_m55) board=mps3-an547 ;;
  *)
    echo "run_firmware.sh: unknown core '$core'; known are cortex_m4," \
      "cortex_m7, cortex_m33, cortex_m55" >&2
    exit 2
    ;;
esac

for argument in "$@"; do
  case $argument in
    *,* | *' '*)
      echo "run_firmware.sh: argument '$argument' holds a comma or a space," \
        "which the emulators cannot pass on" >&2
      exit 2
      ;;
  esac
done

# Prints the path of the FVP that is to be used, or nothing.
find_fvp() {
  if [ "$core" != cortex_m55 ] || [ -n "${TFMPQ_QEMU_PLUGIN:-}" ]; then
    return 0
  fi
  if [ -n "${TFMPQ_FVP:-}" ]; then
    echo "$TFMPQ_FVP"
  else
    command -v FVP_Corstone_SSE-300_Ethos-U55 || true
  fi
}

# -icount shift=7: one instruction is 128 ns of the board's time, which makes
# instruction counts exact (tflm_ext/runners/instruction_counter.h).
run_qemu() {
  semihosting="enable=on,target=native,chardev=console,arg=$(basename "$elf")"
  for argument in "$@"; do
    semihosting="$semihosting,arg=$argument"
  done
  timeout -k 5 "$time_limit" qemu-system-arm -M "$board" \
    -nographic -monitor none -serial none -icount shift=7 \
    -chardev stdio,id=console,signal=off \
    -semihosting-config "$semihosting" -kernel "$elf" \
    ${TFMPQ_QEMU_PLUGIN:+-plugin "file=$TFMPQ_QEMU_PLUGIN"} </dev/null
}

# CFGITCMSZ and CFGDTCMSZ 15: both tightly coupled memories are present.
run_fvp() {
  fvp=$1
  shift
  command_line=$(basename "$elf")
  for argument in "$@"; do
    command_line="$command_line $argument"
  done
  timeout -k 5 "$((time_limit + 10))" "$fvp" \
    -C cpu0.CFGITCMSZ=15 -C cpu0.CFGDTCMSZ=15 \
    -C cpu0.semihosting-enable=1 \
    -C cpu0.semihosting-cmd_line="$command_line" \
    -C cpu0.semihosting-cwd="$PWD" \
    -C mps3_board.visualisation.disable-visualisation=1 \
    -C mps3_board.telnetterminal0.start_telnet=0 \
    -C mps3_board.telnetterminal1.start_telnet=0 \
    -C mps3_board.telnetterminal2.start_telnet=0 \
    -C mps3_board.uart0.out_file=- \
    -C mps3_board.uart0.unbuffered_output=1 \
    -a "$elf" --timelimit "$time_limit" </dev/null
}

fvp=$(find_fvp)
if [ -n "$only_machine" ]; then
  if [ -n "$fvp" ]; then
    echo "$(basename "$fvp") (FVP)"
  else
    echo "$board (QEMU)"
  fi
  exit 0
fi
if [ -z "$fvp" ] && ! command -v qemu-system-arm >/dev/null; then
  echo "qemu-system-arm was not found (Debian and Ubuntu:" \
    "apt-get install qemu-system-arm)" >&2
  exit 127
fi

output=$(mktemp "${TEST_TMPDIR:-${TMPDIR:-/tmp}}/firmware.XXXXXX")
trap 'rm -f "$output"' EXIT
emulator_status=0
if [ -n "$fvp" ]; then
  run_fvp "$fvp" "$@" >"$output" || emulator_status=$?
else
  run_qemu "$@" >"$output" || emulator_status=$?
fi
cat "$output"

status=$(tr -d '\r' <"$output" |
  sed -n 's/^TFMPQ_EXIT \([0-9][0-9]*\)$/\1/p' | tail -n 1)
if [ -z "$status" ]; then
  echo "run_firmware.sh: $elf on $core ended without a TFMPQ_EXIT line;" \
    "status of the emulator: $emulator_status (124 is a time-out after" \
    "$time_limit s)" >&2
  if [ "$emulator_status" -eq 0 ]; then
    exit 1
  fi
  exit "$emulator_status"
fi
exit "$status"
