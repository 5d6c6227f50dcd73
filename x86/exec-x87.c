/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x87. Arithmetic runs on the host's x87 with the guest's whole state loaded:
 * the host does as the guest's control word says, unmasked exceptions included, as
 * those are reported only by the next waiting instruction, and the thunk has none.
 * What moves state around without arithmetic is done here by hand.
 *
 * FOP, FIP and FDP are kept by software; CS and DS of the last instruction are not
 * (CPUID.7:EBX.13 says so) and read as 0.
 */
#include "x86/exec-vec-internal.h"

#include "base/bytes.h"

#define ENV_16  14U
#define ENV_32  28U
#define X87_REG 10U

void x86_x87_set_top(struct x86_x87 *x87, unsigned top)
{
    unsigned by = (top - x86_x87_top(x87)) & 7;
    uint8_t old[8][16];

    if (likely(!by))
        return;
    memcpy(old, x87->st, sizeof(old));
    for (unsigned i = 0; i < 8; i++)
        memcpy(x87->st[i], old[(i + by) & 7], sizeof(old[0]));
    x87->fsw = (uint16_t)((x87->fsw & ~(7U << X86_FSW_TOP_SHIFT)) | top << X86_FSW_TOP_SHIFT);
}

void x86_x87_update_summary(struct x86_x87 *x87)
{
    x87->fsw &= (uint16_t) ~(X86_FSW_ES | X86_FSW_B);
    if (x87->fsw & ~x87->fcw & X86_FSW_EXCEPTIONS)
        x87->fsw |= X86_FSW_ES | X86_FSW_B;
}

void x86_x87_init(struct x86_x87 *x87)
{
    x86_x87_set_top(x87, 0);
    x87->fcw = X86_FCW_INIT;
    x87->fsw = 0;
    x87->ftw = 0;
    x87->fop = 0;
    x87->fip = 0;
    x87->fdp = 0;
}

static void load_image(const struct x86_x87 *x87, uint8_t *image)
{
    store_le16(image, x87->fcw);
    store_le16(image + 2, x87->fsw);
    store_le32(image + 4, x87->ftw);
    store_le64(image + 8, 0);
    store_le64(image + 16, 0);
    store_le32(image + 24, X86_MXCSR_INIT);
    memcpy(image + 32, x87->st, sizeof(x87->st));
}

static void store_image(struct x86_x87 *x87, const uint8_t *image)
{
    x87->fcw = load_le16(image);
    x87->fsw = load_le16(image + 2);
    x87->ftw = image[4];
    memcpy(x87->st, image + 32, sizeof(x87->st));
}

/* An unmasked exception other than precision keeps the result from memory. */
static bool is_stored(const struct x86_x87 *x87)
{
    return !(x87->fsw & ~x87->fcw & (X86_FSW_EXCEPTIONS & ~X86_FSW_PE));
}

enum x86_result vec_run_x87(struct x86_cpu *cpu, const struct x86_insn *insn, const struct x86_thunk *thunk)
{
    struct x86_x87 *x87 = &cpu->s.x87;
    uint8_t *image = cpu->thunks->image;
    bool memory = thunk->memory != X86_THUNK_NO_MEM;
    struct vec_memory m = {.host = NULL};

    if (vec_x87_pending(cpu))
        return x86_raise(cpu, X86_MF);
    if (memory && !vec_memory_begin(cpu, insn, thunk, &m, false))
        return X86_FAULT;
    load_image(x87, image);
    thunk->code(cpu, m.host, image);
    store_image(x87, image);
    x87->fop = (uint16_t)((insn->opcode & 7U) << 8 | insn->modrm);
    x87->fip = cpu->s.rip;
    if (memory) {
        x87->fdp = x86_offset(cpu, insn);
        if (m.write && (m.host != m.bounce || is_stored(x87)) && !vec_memory_end(cpu, &m))
            return X86_FAULT;
    }
    return X86_NEXT;
}

enum x86_result x86_exec_x87(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_thunk_run(cpu, insn, x86_thunk_get(cpu, insn));
}

enum x86_result x86_exec_fwait(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return vec_x87_pending(cpu) ? x86_raise(cpu, X86_MF) : X86_NEXT;
}

/* FENI, FDISI, FSETPM: of the 8087 and 287. */
enum x86_result x86_exec_fpu_nop(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return X86_NEXT;
}

enum x86_result x86_exec_fninit(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_x87_init(&cpu->s.x87);
    return X86_NEXT;
}

enum x86_result x86_exec_fnclex(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    /* The exception flags, stack fault, ES and B; the condition codes stay. */
    cpu->s.x87.fsw &= 0x7f00;
    return X86_NEXT;
}

enum x86_result x86_exec_fnstsw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_operand_write(cpu, insn, 0, cpu->s.x87.fsw) ? X86_NEXT : X86_FAULT;
}

enum x86_result x86_exec_fnstcw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_operand_write(cpu, insn, 0, cpu->s.x87.fcw) ? X86_NEXT : X86_FAULT;
}

/* Bit 6 always reads as 1; 7 and 13 to 15 as 0. */
static void set_fcw(struct x86_x87 *x87, unsigned fcw)
{
    x87->fcw = (uint16_t)((fcw & 0x1f3f) | 0x40);
    x86_x87_update_summary(x87);
}

enum x86_result x86_exec_fldcw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    if (vec_x87_pending(cpu))
        return x86_raise(cpu, X86_MF);
    if (!x86_operand_read(cpu, insn, 0, &value))
        return X86_FAULT;
    set_fcw(&cpu->s.x87, (unsigned)value);
    return X86_NEXT;
}

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static unsigned tag_of(const uint8_t *st)
{
    unsigned exponent = load_le16(st + 8) & 0x7fff;
    uint64_t significand = load_le64(st);

    if (exponent == 0)
        return significand ? TAG_SPECIAL : TAG_ZERO;
    return exponent == 0x7fff || !(significand >> 63) ? TAG_SPECIAL : TAG_VALID;
}

/* The tag word of FNSTENV, two bits for each physical register (SDM 1 8.1.7). */
static unsigned full_tags(const struct x86_x87 *x87)
{
    unsigned tags = 0, top = x86_x87_top(x87);

    for (unsigned i = 0; i < 8; i++) {
        unsigned tag = x87->ftw >> i & 1 ? tag_of(x87->st[(i - top) & 7]) : TAG_EMPTY;
        tags |= tag << i * 2;
    }
    return tags;
}

static bool is_real_mode(const struct x86_cpu *cpu)
{
    return !(cpu->s.cr0 & X86_CR0_PE) || cpu->s.rflags & X86_FL_VM;
}

/* The four environments of SDM 1 8.1.10; unused upper halves are ones. */
static unsigned pack_env(const struct x86_cpu *cpu, const struct x86_insn *insn, uint8_t *env)
{
    const struct x86_x87 *x87 = &cpu->s.x87;
    unsigned tags = full_tags(x87);
    bool real = is_real_mode(cpu);

    if (insn->opsize == 2) {
        store_le16(env, x87->fcw);
        store_le16(env + 2, x87->fsw);
        store_le16(env + 4, (uint16_t)tags);
        store_le16(env + 6, (uint16_t)x87->fip);
        store_le16(env + 8, real ? (uint16_t)((x87->fip >> 16 & 0xf) << 12 | x87->fop) : 0);
        store_le16(env + 10, (uint16_t)x87->fdp);
        store_le16(env + 12, real ? (uint16_t)((x87->fdp >> 16 & 0xf) << 12) : 0);
        return ENV_16;
    }
    store_le32(env, 0xffff0000U | x87->fcw);
    store_le32(env + 4, 0xffff0000U | x87->fsw);
    store_le32(env + 8, 0xffff0000U | tags);
    if (real) {
        store_le32(env + 12, 0xffff0000U | (uint16_t)x87->fip);
        store_le32(env + 16, (uint32_t)(x87->fip >> 16 & 0xffff) << 12 | x87->fop);
        store_le32(env + 20, 0xffff0000U | (uint16_t)x87->fdp);
        store_le32(env + 24, (uint32_t)(x87->fdp >> 16 & 0xffff) << 12);
    } else {
        store_le32(env + 12, (uint32_t)x87->fip);
        store_le32(env + 16, (uint32_t)x87->fop << 16);
        store_le32(env + 20, (uint32_t)x87->fdp);
        store_le32(env + 24, 0xffff0000U);
    }
    return ENV_32;
}

static void unpack_env(struct x86_cpu *cpu, const struct x86_insn *insn, const uint8_t *env)
{
    struct x86_x87 *x87 = &cpu->s.x87;
    bool small = insn->opsize == 2, real = is_real_mode(cpu);
    uint32_t w[7];

    for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
        w[i] = small ? load_le16(env + i * 2) : load_le32(env + i * 4UL);
    x86_x87_set_top(x87, w[1] >> X86_FSW_TOP_SHIFT & 7);
    x87->fsw = (uint16_t)w[1];
    x87->ftw = 0;
    for (unsigned i = 0; i < 8; i++)
        if ((w[2] >> i * 2 & 3) != TAG_EMPTY)
            x87->ftw |= (uint8_t)BIT(i);
    if (real) {
        x87->fip = (uint16_t)w[3] | (w[4] >> 12 & (small ? 0xf : 0xffff)) << 16;
        x87->fdp = (uint16_t)w[5] | (w[6] >> 12 & (small ? 0xf : 0xffff)) << 16;
        x87->fop = w[4] & 0x7ff;
    } else {
        x87->fip = w[3];
        x87->fdp = w[5];
        x87->fop = small ? 0 : w[4] >> 16 & 0x7ff;
    }
    set_fcw(x87, w[0] & 0xffff);
}

/* Linear address of the whole operand, 14 to 108 bytes. */
static bool env_linear(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size, bool write,
                       uint64_t *lin)
{
    return x86_mem_linear(cpu, insn, size, write ? X86_MEM_WRITE : X86_MEM_READ, lin);
}

enum x86_result x86_exec_fnstenv(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint8_t env[ENV_32];
    uint64_t lin;
    unsigned size = pack_env(cpu, insn, env);

    if (!env_linear(cpu, insn, size, true, &lin) || !x86_store_bytes(cpu, lin, env, size, cpu->mmu_index))
        return X86_FAULT;
    set_fcw(&cpu->s.x87, cpu->s.x87.fcw | X86_FSW_EXCEPTIONS);
    return X86_NEXT;
}

enum x86_result x86_exec_fldenv(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint8_t env[ENV_32];
    uint64_t lin;
    unsigned size = insn->opsize == 2 ? ENV_16 : ENV_32;

    if (vec_x87_pending(cpu))
        return x86_raise(cpu, X86_MF);
    if (!env_linear(cpu, insn, size, false, &lin) || !x86_load_bytes(cpu, lin, env, size, cpu->mmu_index))
        return X86_FAULT;
    unpack_env(cpu, insn, env);
    return X86_NEXT;
}

enum x86_result x86_exec_fnsave(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint8_t image[ENV_32 + 8 * X87_REG];
    uint64_t lin;
    unsigned env = pack_env(cpu, insn, image), size = env + 8 * X87_REG;

    for (unsigned i = 0; i < 8; i++)
        memcpy(image + env + i * X87_REG, cpu->s.x87.st[i], X87_REG);
    if (!env_linear(cpu, insn, size, true, &lin) || !x86_store_bytes(cpu, lin, image, size, cpu->mmu_index))
        return X86_FAULT;
    x86_x87_init(&cpu->s.x87);
    return X86_NEXT;
}

enum x86_result x86_exec_frstor(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint8_t image[ENV_32 + 8 * X87_REG];
    unsigned env = insn->opsize == 2 ? ENV_16 : ENV_32, size = env + 8 * X87_REG;
    uint64_t lin;

    if (vec_x87_pending(cpu))
        return x86_raise(cpu, X86_MF);
    if (!env_linear(cpu, insn, size, false, &lin) || !x86_load_bytes(cpu, lin, image, size, cpu->mmu_index))
        return X86_FAULT;
    unpack_env(cpu, insn, image);
    for (unsigned i = 0; i < 8; i++) {
        memset(cpu->s.x87.st[i] + X87_REG, 0, 16 - X87_REG);
        memcpy(cpu->s.x87.st[i], image + env + i * X87_REG, X87_REG);
    }
    return X86_NEXT;
}
