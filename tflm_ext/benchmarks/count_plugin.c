/* Counts instructions inside QEMU: a TCG plugin for plugin API version 1, that
 * of QEMU 7.2.
 *
 *   qemu-system-arm ... -plugin file=libcount_plugin.so
 *
 * At each block that begins with `mov r9, r9` (benchmark.c calls such a
 * function around what it measures) it prints
 *
 *   mark <instructions> <doublewords> <lanes>
 *
 * on standard error, with what was executed until then:
 *
 *   instructions  as the counter of the boards counts them
 *   doublewords   registers that LDM, POP and LDRD loaded: a Cortex-M4 takes
 *                 one cycle more for each
 *   lanes         elements of vector gathers and scatters, less one for the
 *                 instruction: a Cortex-M55 accesses them one by one
 *
 * QEMU's packages bring no header for plugins, hence the declarations. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPORTED __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { kInlineAdd = 0, kNoRegisters = 0 };

EXPORTED extern const int qemu_plugin_version;
EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const void* info,
                                 int argc, char** argv);

void qemu_plugin_register_vcpu_tb_trans_cb(
    qemu_plugin_id_t id,
    void (*callback)(qemu_plugin_id_t id, struct qemu_plugin_tb* block));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb* block,
                                              int operation, void* counter,
                                              uint64_t addend);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb* block,
                                          void (*callback)(unsigned cpu,
                                                           void* context),
                                          int flags, void* context);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* block);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(
    const struct qemu_plugin_tb* block, size_t index);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn* instruction);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn* instruction);

const int qemu_plugin_version = 1;

static const uint32_t kMark = 0x46c9; /* mov r9, r9 */

static struct {
  uint64_t instructions;
  uint64_t doublewords;
  uint64_t lanes;
} counts;

/* Returns the instruction; the first halfword of a long one in the upper half.
 */
static uint32_t opcode(const struct qemu_plugin_insn* instruction) {
  const uint8_t* bytes = qemu_plugin_insn_data(instruction);
  const uint32_t first = bytes[0] | (uint32_t)bytes[1] << 8;
  if (qemu_plugin_insn_size(instruction) == 2) return first;
  return first << 16 | bytes[2] | (uint32_t)bytes[3] << 8;
}

/* Returns how many registers an LDM, POP or LDRD loads, 0 for others.
 * Encodings: Armv7-M Architecture Reference Manual, A5.2 and A5.3. */
static uint32_t loaded_registers(uint32_t op) {
  if (op >> 16 == 0) {
    const int is_ldm = (op & 0xf800) == 0xc800;
    const int is_pop = (op & 0xfe00) == 0xbc00;
    if (is_ldm) return (uint32_t)__builtin_popcount(op & 0xff);
    return is_pop ? (uint32_t)__builtin_popcount(op & 0x1ff) : 0;
  }
  const int is_ldm = (op & 0xffd00000) == 0xe8900000;
  const int is_ldmdb = (op & 0xffd00000) == 0xe9100000;
  if (is_ldm || is_ldmdb) return (uint32_t)__builtin_popcount(op & 0xffff);
  /* Neither pre-indexed nor writing back: another instruction. */
  const int is_ldrd = (op & 0xfe500000) == 0xe8500000 && (op & 0x01200000) != 0;
  return is_ldrd ? 2 : 0;
}

/* Returns how many elements a vector gather or scatter accesses, 0 for others.
 * Encodings: Armv8-M Architecture Reference Manual, C2.4 (VLDRB, VLDRH, VLDRW,
 * VLDRD, VSTRB ... with a vector of offsets or of addresses). */
static uint32_t gathered_lanes(uint32_t op) {
  const int is_load = (op & 0xefb01e00) == 0xec900e00;
  const int is_store = (op & 0xffb01e00) == 0xec800e00;
  if (is_load || is_store) return 16u >> (op >> 7 & 3);
  const uint32_t by_address = op & 0xff011f00;
  if (by_address == 0xfd001e00) return 4;
  return by_address == 0xfd001f00 ? 2 : 0;
}

static void on_mark(unsigned cpu, void* context) {
  (void)cpu;
  (void)context;
  fprintf(stderr, "mark %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
          counts.instructions, counts.doublewords, counts.lanes);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb* block) {
  (void)id;
  const size_t count = qemu_plugin_tb_n_insns(block);
  uint32_t doublewords = 0;
  uint32_t lanes = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t op = opcode(qemu_plugin_tb_get_insn(block, i));
    const uint32_t gathered = gathered_lanes(op);
    doublewords += loaded_registers(op);
    lanes += gathered == 0 ? 0 : gathered - 1;
    if (i == 0 && op == kMark) {
      qemu_plugin_register_vcpu_tb_exec_cb(block, on_mark, kNoRegisters, NULL);
    }
  }
  qemu_plugin_register_vcpu_tb_exec_inline(block, kInlineAdd,
                                           &counts.instructions, count);
  if (doublewords != 0) {
    qemu_plugin_register_vcpu_tb_exec_inline(block, kInlineAdd,
                                             &counts.doublewords, doublewords);
  }
  if (lanes != 0) {
    qemu_plugin_register_vcpu_tb_exec_inline(block, kInlineAdd, &counts.lanes,
                                             lanes);
  }
}

int qemu_plugin_install(qemu_plugin_id_t id, const void* info, int argc,
                        char** argv) {
  (void)info;
  (void)argc;
  (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  return 0;
}
