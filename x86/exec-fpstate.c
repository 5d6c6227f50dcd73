/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MXCSR, and the instructions that save and restore x87, SSE and AVX state:
 * FXSAVE (SDM 1 10.5), XSAVE and its relatives (SDM 1 13). XSAVES and XRSTORS are
 * XSAVEC and a compact-only XRSTOR, as there is no supervisor state (IA32_XSS is 0).
 */
#include "x86/exec-vec-internal.h"

#include "base/bytes.h"

#define LEGACY_XMM    160U
#define FXSAVE_SIZE   512U
#define XSTATE_ALL    (X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX)
#define XCOMP_COMPACT BIT64(63)

/* Header fields, from its start */
#define XSTATE_BV 0
#define XCOMP_BV  8

/* How pointers are saved, and how many XMM registers there are. */
struct fx_form {
    bool wide; /* REX.W: 64-bit FIP and FDP */
    unsigned registers;
};

static struct fx_form fx_form_of(const struct x86_cpu *cpu, const struct x86_insn *insn)
{
    bool long_mode = cpu->mode == X86_MODE_64;

    return (struct fx_form){.wide = long_mode && insn->prefixes & X86_PFX_REX_W,
                            .registers = long_mode ? 16 : 8};
}

static void pack_x87(const struct x86_x87 *x87, uint8_t *buf, bool wide)
{
    store_le16(buf, x87->fcw);
    store_le16(buf + 2, x87->fsw);
    store_le16(buf + 4, x87->ftw);
    store_le16(buf + 6, x87->fop);
    /* The narrow form's CS and DS are not kept. */
    store_le64(buf + 8, wide ? x87->fip : (uint32_t)x87->fip);
    store_le64(buf + 16, wide ? x87->fdp : (uint32_t)x87->fdp);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(buf + 32 + i * 16UL, x87->st[i], 10);
        memset(buf + 32 + i * 16UL + 10, 0, 6);
    }
}

static void unpack_x87(struct x86_x87 *x87, const uint8_t *buf, bool wide)
{
    x87->fcw = (load_le16(buf) & 0x1f3f) | 0x40;
    x87->fsw = load_le16(buf + 2);
    x87->ftw = buf[4];
    x87->fop = load_le16(buf + 6) & 0x7ff;
    x87->fip = wide ? load_le64(buf + 8) : load_le32(buf + 8);
    x87->fdp = wide ? load_le64(buf + 16) : load_le32(buf + 16);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(x87->st[i], buf + 32 + i * 16UL, 10);
        memset(x87->st[i] + 10, 0, 6);
    }
    x86_x87_update_summary(x87);
}

static void pack_mxcsr(const struct x86_state *s, uint8_t *buf)
{
    store_le32(buf + 24, s->mxcsr);
    store_le32(buf + 28, X86_MXCSR_ALLOWED);
}

static void pack_xmm(const struct x86_state *s, uint8_t *buf, unsigned registers)
{
    for (unsigned i = 0; i < registers; i++)
        memcpy(buf + i * 16UL, s->vec[i].b, 16);
}

static void unpack_xmm(struct x86_state *s, const uint8_t *buf, unsigned registers)
{
    for (unsigned i = 0; i < registers; i++)
        memcpy(s->vec[i].b, buf + i * 16UL, 16);
}

static void pack_avx(const struct x86_state *s, uint8_t *buf, unsigned registers)
{
    for (unsigned i = 0; i < registers; i++)
        memcpy(buf + i * 16UL, s->vec[i].b + 16, 16);
}

static void unpack_avx(struct x86_state *s, const uint8_t *buf, unsigned registers)
{
    for (unsigned i = 0; i < registers; i++)
        memcpy(s->vec[i].b + 16, buf + i * 16UL, 16);
}

static void clear_vectors(struct x86_state *s, unsigned from, unsigned registers)
{
    for (unsigned i = 0; i < registers; i++)
        memset(s->vec[i].b + from, 0, 16);
}

static void init_x87(struct x86_x87 *x87)
{
    memset(x87, 0, sizeof(*x87));
    x87->fcw = X86_FCW_INIT;
}

void x86_fpu_init(struct x86_state *s, uint64_t mask)
{
    if (mask & X86_XCR0_X87)
        init_x87(&s->x87);
    if (mask & X86_XCR0_SSE) {
        clear_vectors(s, 0, 16);
        s->mxcsr = X86_MXCSR_INIT;
    }
    if (mask & X86_XCR0_AVX)
        clear_vectors(s, 16, 16);
}

void x86_xsave_pack(const struct x86_state *s, uint8_t *buf, uint64_t mask)
{
    memset(buf, 0, X86_XSAVE_SIZE);
    mask &= XSTATE_ALL;
    store_le64(buf + X86_XSAVE_HEADER, mask);
    pack_mxcsr(s, buf);
    if (mask & X86_XCR0_X87)
        pack_x87(&s->x87, buf, true);
    if (mask & X86_XCR0_SSE)
        pack_xmm(s, buf + LEGACY_XMM, 16);
    if (mask & X86_XCR0_AVX)
        pack_avx(s, buf + X86_XSAVE_AVX, 16);
}

void x86_xsave_unpack(struct x86_state *s, const uint8_t *buf, uint64_t mask)
{
    uint64_t present = load_le64(buf + X86_XSAVE_HEADER);

    mask &= XSTATE_ALL;
    x86_fpu_init(s, mask & ~present);
    if (mask & (X86_XCR0_SSE | X86_XCR0_AVX))
        s->mxcsr = load_le32(buf + 24) & X86_MXCSR_ALLOWED;
    mask &= present;
    if (mask & X86_XCR0_X87)
        unpack_x87(&s->x87, buf, true);
    if (mask & X86_XCR0_SSE)
        unpack_xmm(s, buf + LEGACY_XMM, 16);
    if (mask & X86_XCR0_AVX)
        unpack_avx(s, buf + X86_XSAVE_AVX, 16);
}

static enum x86_result set_mxcsr(struct x86_cpu *cpu, uint32_t value)
{
    if (value & ~X86_MXCSR_ALLOWED)
        return x86_raise_error(cpu, X86_GP, 0);
    cpu->s.mxcsr = value;
    return X86_NEXT;
}

enum x86_result x86_exec_ldmxcsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    if (!x86_operand_read(cpu, insn, 0, &value))
        return X86_FAULT;
    return set_mxcsr(cpu, (uint32_t)value);
}

enum x86_result x86_exec_stmxcsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_operand_write(cpu, insn, 0, cpu->s.mxcsr) ? X86_NEXT : X86_FAULT;
}

/* The operand's address, aligned to `align` or #GP(0). */
static bool area_linear(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size, unsigned align,
                        bool write, uint64_t *lin)
{
    if (x86_effective(cpu, insn) & (align - 1)) {
        x86_raise_error(cpu, X86_GP, 0);
        return false;
    }
    return x86_mem_linear(cpu, insn, size, write ? X86_MEM_WRITE : X86_MEM_READ, lin);
}

/* All of the area up to `size` may be written: nothing is changed by a fault later. */
static bool check_area(struct x86_cpu *cpu, uint64_t lin, unsigned size)
{
    void *host;

    for (unsigned at = 0; at < size; at += 16)
        if (!x86_rmw(cpu, lin + at, 16, &host))
            return false;
    return true;
}

/* EFER.FFXSR: FXSAVE and FXRSTOR in 64-bit mode at CPL 0 leave XMM alone (APM 2 11.4.4). */
static bool is_fast_fxsave(const struct x86_cpu *cpu)
{
    return cpu->s.efer & X86_EFER_FFXSR && cpu->mode == X86_MODE_64 && cpu->cpl == 0;
}

enum x86_result x86_exec_fxsave(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct fx_form form = fx_form_of(cpu, insn);
    uint8_t buf[FXSAVE_SIZE];
    size_t size = LEGACY_XMM;
    uint64_t lin;

    if (!area_linear(cpu, insn, FXSAVE_SIZE, 16, true, &lin) || !check_area(cpu, lin, FXSAVE_SIZE))
        return X86_FAULT;
    pack_x87(&cpu->s.x87, buf, form.wide);
    pack_mxcsr(&cpu->s, buf);
    if (!is_fast_fxsave(cpu)) {
        pack_xmm(&cpu->s, buf + LEGACY_XMM, form.registers);
        size += form.registers * 16UL;
    }
    return x86_store_bytes(cpu, lin, buf, size, cpu->mmu_index) ? X86_NEXT : X86_FAULT;
}

enum x86_result x86_exec_fxrstor(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct fx_form form = fx_form_of(cpu, insn);
    uint8_t buf[FXSAVE_SIZE];
    uint64_t lin;

    if (!area_linear(cpu, insn, FXSAVE_SIZE, 16, false, &lin) ||
        !x86_load_bytes(cpu, lin, buf, FXSAVE_SIZE, cpu->mmu_index))
        return X86_FAULT;
    if (set_mxcsr(cpu, load_le32(buf + 24)) != X86_NEXT)
        return X86_FAULT;
    unpack_x87(&cpu->s.x87, buf, form.wide);
    if (!is_fast_fxsave(cpu))
        unpack_xmm(&cpu->s, buf + LEGACY_XMM, form.registers);
    return X86_NEXT;
}

/* EDX:EAX and XCR0: the requested-feature bitmap. */
static uint64_t requested(const struct x86_cpu *cpu)
{
    uint64_t mask = (uint32_t)cpu->s.gpr[X86_RAX] | cpu->s.gpr[X86_RDX] << 32;

    return mask & cpu->s.xcr0 & XSTATE_ALL;
}

static bool is_zero(const struct x86_state *s, unsigned from, unsigned registers)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < registers; i++)
        any |= load_le64(s->vec[i].b + from) | load_le64(s->vec[i].b + from + 8);
    return !any;
}

/* XINUSE: what is not in its initial state. */
static uint64_t in_use(const struct x86_cpu *cpu, unsigned registers)
{
    const struct x86_state *s = &cpu->s;
    struct x86_x87 init;
    uint64_t mask = 0;

    init_x87(&init);
    if (memcmp(&s->x87, &init, offsetof(struct x86_x87, fdp) + sizeof(init.fdp)))
        mask |= X86_XCR0_X87;
    if (!is_zero(s, 0, registers))
        mask |= X86_XCR0_SSE;
    if (!is_zero(s, 16, registers))
        mask |= X86_XCR0_AVX;
    return mask;
}

/* Writes the parts named by mask at their places; the AVX part is at avx. */
static bool store_parts(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t lin, uint64_t mask,
                        bool mxcsr, unsigned avx)
{
    struct fx_form form = fx_form_of(cpu, insn);
    uint8_t buf[FXSAVE_SIZE];
    unsigned mmu = cpu->mmu_index;

    if (mask & X86_XCR0_X87) {
        pack_x87(&cpu->s.x87, buf, form.wide);
        if (!x86_store_bytes(cpu, lin, buf, 24, mmu) || !x86_store_bytes(cpu, lin + 32, buf + 32, 128, mmu))
            return false;
    }
    pack_mxcsr(&cpu->s, buf);
    if (mxcsr && !x86_store_bytes(cpu, lin + 24, buf + 24, 8, mmu))
        return false;
    pack_xmm(&cpu->s, buf, form.registers);
    if (mask & X86_XCR0_SSE && !x86_store_bytes(cpu, lin + LEGACY_XMM, buf, form.registers * 16UL, mmu))
        return false;
    pack_avx(&cpu->s, buf, form.registers);
    return !(mask & X86_XCR0_AVX) || x86_store_bytes(cpu, lin + avx, buf, form.registers * 16UL, mmu);
}

/* XSAVE, XSAVEOPT: the latter leaves out what is in its initial state; what was not modified, it writes
 * again. */
enum x86_result x86_exec_xsave(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t rfbm = requested(cpu), lin, old;
    uint64_t used = in_use(cpu, cpu->mode == X86_MODE_64 ? 16 : 8);
    unsigned size = rfbm & X86_XCR0_AVX ? X86_XSAVE_SIZE : X86_XSAVE_AVX;

    if (!area_linear(cpu, insn, size, 64, true, &lin) || !check_area(cpu, lin, size) ||
        !x86_load(cpu, lin + X86_XSAVE_HEADER + XSTATE_BV, 8, &old))
        return X86_FAULT;
    uint64_t parts = insn->id == X86_XSAVEOPT ? rfbm & used : rfbm;
    if (!store_parts(cpu, insn, lin, parts, rfbm & (X86_XCR0_SSE | X86_XCR0_AVX), X86_XSAVE_AVX) ||
        !x86_store(cpu, lin + X86_XSAVE_HEADER + XSTATE_BV, 8, (old & ~rfbm) | (rfbm & used)))
        return X86_FAULT;
    return X86_NEXT;
}

/* XSAVEC, XSAVES: compacted, AVX right behind the header. */
enum x86_result x86_exec_xsavec(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t rfbm = requested(cpu), lin;
    uint64_t used = in_use(cpu, cpu->mode == X86_MODE_64 ? 16 : 8);
    unsigned size = rfbm & X86_XCR0_AVX ? X86_XSAVE_SIZE : X86_XSAVE_AVX;

    if (cpu->s.mxcsr != X86_MXCSR_INIT)
        used |= X86_XCR0_SSE;
    uint64_t parts = rfbm & used;
    if (!area_linear(cpu, insn, size, 64, true, &lin) || !check_area(cpu, lin, size))
        return X86_FAULT;
    if (!store_parts(cpu, insn, lin, parts, parts & X86_XCR0_SSE, X86_XSAVE_AVX) ||
        !x86_store(cpu, lin + X86_XSAVE_HEADER + XSTATE_BV, 8, parts) ||
        !x86_store(cpu, lin + X86_XSAVE_HEADER + XCOMP_BV, 8, rfbm | XCOMP_COMPACT))
        return X86_FAULT;
    return X86_NEXT;
}

/* The header's rules (SDM 1 13.8.1, 13.8.2); false: #GP(0). */
static bool is_header_valid(const struct x86_cpu *cpu, const struct x86_insn *insn, const uint8_t *header)
{
    uint64_t bv = load_le64(header + XSTATE_BV), comp = load_le64(header + XCOMP_BV);
    unsigned zero_end = 24;

    if (bv & ~cpu->s.xcr0)
        return false;
    if (comp & XCOMP_COMPACT) {
        if (comp & ~XCOMP_COMPACT & ~cpu->s.xcr0 || bv & ~comp)
            return false;
        zero_end = 64;
    } else if (comp || insn->id == X86_XRSTORS) {
        return false;
    }
    for (unsigned i = 16; i < zero_end; i++)
        if (header[i])
            return false;
    return true;
}

enum x86_result x86_exec_xrstor(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct fx_form form = fx_form_of(cpu, insn);
    uint64_t rfbm = requested(cpu), lin;
    uint8_t buf[X86_XSAVE_SIZE];
    const uint8_t *header = buf + X86_XSAVE_HEADER;

    if (!area_linear(cpu, insn, X86_XSAVE_AVX, 64, false, &lin) ||
        !x86_load_bytes(cpu, lin, buf, X86_XSAVE_AVX, cpu->mmu_index))
        return X86_FAULT;
    if (!is_header_valid(cpu, insn, header))
        return x86_raise_error(cpu, X86_GP, 0);
    bool compact = load_le64(header + XCOMP_BV) & XCOMP_COMPACT;
    uint64_t load = rfbm & load_le64(header + XSTATE_BV);
    if (load & X86_XCR0_AVX && !x86_load_bytes(cpu, lin + X86_XSAVE_AVX, buf + X86_XSAVE_AVX,
                                               X86_XSAVE_SIZE - X86_XSAVE_AVX, cpu->mmu_index))
        return X86_FAULT;
    /* The standard form has MXCSR with SSE or AVX, whether or not they are in the image. */
    bool mxcsr = compact ? load & X86_XCR0_SSE : rfbm & (X86_XCR0_SSE | X86_XCR0_AVX);
    uint32_t keep = cpu->s.mxcsr;
    if (mxcsr && set_mxcsr(cpu, load_le32(buf + 24)) != X86_NEXT)
        return X86_FAULT;
    if (!mxcsr && compact && rfbm & X86_XCR0_SSE)
        keep = X86_MXCSR_INIT;
    if (mxcsr)
        keep = cpu->s.mxcsr;

    uint64_t init = rfbm & ~load;
    if (load & X86_XCR0_X87)
        unpack_x87(&cpu->s.x87, buf, form.wide);
    else if (init & X86_XCR0_X87)
        init_x87(&cpu->s.x87);
    if (load & X86_XCR0_SSE)
        unpack_xmm(&cpu->s, buf + LEGACY_XMM, form.registers);
    else if (init & X86_XCR0_SSE)
        clear_vectors(&cpu->s, 0, form.registers);
    if (load & X86_XCR0_AVX)
        unpack_avx(&cpu->s, buf + X86_XSAVE_AVX, form.registers);
    else if (init & X86_XCR0_AVX)
        clear_vectors(&cpu->s, 16, form.registers);
    cpu->s.mxcsr = keep;
    return X86_NEXT;
}
