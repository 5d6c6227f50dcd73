/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What guests leave for. The frequent exits are done here on the few registers that
 * they need; everything else, and these too while a debugger is at work in the guest,
 * is one x86_step() on the whole state: the same code as in the other engines.
 */
#include "base/bytes.h"
#include "engine/hw/hw-internal.h"
#include "x86/exec-sys.h"
#include "x86/mem.h"
#include "x86/operand.h"

#define PTE_ADDRESS 0x000ffffffffff000ULL
#define STRING_US   50U /* at a string by software, without a look around */

/* ---- finding the instruction ---- */

static enum x86_mode code_mode(const struct x86_state *s)
{
    uint32_t attr = s->seg[X86_CS].attr;

    if (s->efer & X86_EFER_LMA && attr & X86_SEG_L)
        return X86_MODE_64;
    return attr & X86_SEG_DB && !(s->rflags & X86_FL_VM) ? X86_MODE_32 : X86_MODE_16;
}

/* The host's address of a whole page of RAM or ROM; NULL: it is none. */
static const uint8_t *page_of(const struct vm *vm, uint64_t gpa)
{
    const struct mem_ram *r = mem_find(vm, gpa);
    uint64_t offset = r ? ALIGN_DOWN(gpa, MEM_PAGE) - r->gpa : 0;

    return r && offset < r->size && r->size - offset >= MEM_PAGE ? r->host + offset : NULL;
}

/* The page at lin under 4-level tables. No rights are checked: the processor has just been there. */
static const uint8_t *walk_long(const struct vm *vm, uint64_t table, uint64_t lin)
{
    for (unsigned shift = 39;; shift -= 9) {
        const uint64_t *page = (const uint64_t *)(const void *)page_of(vm, table & PTE_ADDRESS);
        uint64_t entry = page ? __atomic_load_n(&page[lin >> shift & 511], __ATOMIC_RELAXED) : 0;

        if (!(entry & X86_PTE_P))
            return NULL;
        if (shift == 12)
            return page_of(vm, entry & PTE_ADDRESS);
        if (entry & X86_PTE_PS && shift < 39) {
            uint64_t inside = BIT64(shift) - 1;

            return page_of(vm, (entry & PTE_ADDRESS & ~inside) | (lin & inside));
        }
        table = entry;
    }
}

static const uint8_t *code_page(struct hw_vcpu *v, uint64_t lin)
{
    struct x86_cpu *cpu = &v->vcpu->cpu;
    uint64_t gpa;

    if (cpu->s.efer & X86_EFER_LMA && !(cpu->s.cr4 & X86_CR4_LA57))
        return walk_long(v->vcpu->vm, cpu->s.cr3, lin);
    return x86_walk_quiet(cpu, lin, &gpa) ? page_of(v->vcpu->vm, gpa) : NULL;
}

#define FETCH 16 /* one more than an instruction has: two words */

/*
 * Copies the bytes at rip, from RAM or ROM, and returns how many. Once: other vCPUs may
 * change them meanwhile.
 */
static unsigned fetch(struct hw_vcpu *v, enum x86_mode mode, uint8_t buf[FETCH])
{
    const struct x86_state *s = &v->vcpu->cpu.s;
    uint64_t lin = mode == X86_MODE_64 ? s->rip : (uint32_t)(s->rip + s->seg[X86_CS].base);
    unsigned in_page = MEM_PAGE - (unsigned)(lin & (MEM_PAGE - 1));
    const uint8_t *page = code_page(v, lin);

    if (!page)
        return 0;
    page += lin & (MEM_PAGE - 1);
    if (likely(in_page >= FETCH)) {
        __builtin_memcpy(buf, page, FETCH);
        return X86_MAX_INSN_LEN;
    }
    memcpy(buf, page, in_page);
    page = in_page < X86_MAX_INSN_LEN ? code_page(v, lin + in_page) : NULL;
    if (!page)
        return MIN(in_page, (unsigned)X86_MAX_INSN_LEN);
    memcpy(buf + in_page, page, X86_MAX_INSN_LEN - in_page);
    return X86_MAX_INSN_LEN;
}

/* False: it cannot be told here what the instruction is. */
static bool decode(struct hw_vcpu *v, struct x86_insn *insn)
{
    uint8_t buf[FETCH] = {0};
    enum x86_mode mode;

    hw_need(v, HW_CODE);
    mode = code_mode(&v->vcpu->cpu.s);
    if (v->byte_count && x86_decode(v->bytes, v->byte_count, mode, insn) == 0)
        return true;
    return x86_decode(buf, fetch(v, mode, buf), mode, insn) == 0;
}

/*
 * The length of the instruction that exited, which is a CPUID, RDMSR, WRMSR or HLT: without prefixes, as
 * ever, there is nothing to decode. 0: it cannot be told.
 */
static unsigned length(struct hw_vcpu *v)
{
    uint8_t buf[FETCH] = {0};
    struct x86_insn insn;
    enum x86_mode mode;
    unsigned have;

    hw_need(v, HW_CODE);
    mode = code_mode(&v->vcpu->cpu.s);
    have = fetch(v, mode, buf);
    if (have >= 2 && buf[0] == 0x0f)
        return 2;
    if (have && buf[0] == 0xf4)
        return 1;
    return x86_decode(buf, have, mode, &insn) == 0 ? insn.length : 0;
}

/*
 * May the exit be done without x86_step()? Not if a trap follows the instruction, or
 * its length cannot be told. *next is where the guest goes on.
 */
static bool is_plain(struct hw_vcpu *v, uint64_t *next)
{
    const struct x86_state *s = &v->vcpu->cpu.s;
    unsigned n;

    if (unlikely(s->rflags & X86_FL_TF || s->dr[7] & 0xff))
        return false;
    if (*next)
        return true;
    n = length(v);
    *next = code_mode(s) == X86_MODE_64 ? s->rip + n : (uint32_t)(s->rip + n);
    return n != 0;
}

static void advance(struct hw_vcpu *v, uint64_t next)
{
    struct x86_state *s = &v->vcpu->cpu.s;

    s->rip = next;
    s->rflags &= ~(uint64_t)X86_FL_RF;
    s->shadow = 0;
}

/* ---- exceptions and events ---- */

void hw_raise(struct hw_vcpu *v, enum x86_vector vector, bool has_error, uint32_t error)
{
    struct x86_state *s = &v->vcpu->cpu.s;

    v->look = true;
    s->exception_pending = true;
    s->exception_vector = (uint8_t)vector;
    s->exception_has_error = has_error;
    s->exception_error = error;
}

void hw_requeue(struct hw_vcpu *v, enum hw_event event, uint8_t vector, bool has_error, uint32_t error)
{
    struct x86_state *s = &v->vcpu->cpu.s;

    v->look = v->delivering = true;
    switch (event) {
    case HW_INTERRUPT:
        s->interrupt_pending = true;
        s->interrupt_soft = false;
        s->interrupt_vector = vector;
        break;
    case HW_NMI:
        s->nmi_pending = true;
        s->nmi_masked = false;
        break;
    case HW_EXCEPTION:
        hw_raise(v, vector, has_error, error);
        break;
    }
}

/* ---- one instruction by the reference semantics ---- */

/* Asked for by what is executed, not by what was there when it was looked at: the guest may write to its
 * code. */
static void take_fpu(struct x86_cpu *cpu)
{
    hw_fpu_to_state(vcpu_of(cpu)->engine_data);
}

/*
 * Between a string's elements, each of which may be work of a device's. An interrupt that waits is not seen
 * from here, but taken by the next entry: so it is left after a while in any case.
 */
static bool must_yield(struct x86_cpu *cpu)
{
    const struct hw_vcpu *v = vcpu_of(cpu)->engine_data;

    return metal_must_yield() || hw_rdtsc() >= v->soft_until;
}

/*
 * Around what x86/ does with guest memory. The processor's scratch TLB and thunks are
 * the vCPU's for that long: nobody takes the processor from it meanwhile.
 */
static uint64_t soft_begin(struct hw_vcpu *v)
{
    struct x86_cpu *cpu = &v->vcpu->cpu;

    hw_need(v, HW_ALL);
    hw_step_enter(v);
    cpu->tlb = v->cpu->tlb;
    cpu->thunks = v->cpu->thunks;
    cpu->want_vectors = take_fpu;
    cpu->must_yield = must_yield;
    v->soft_until = hw_rdtsc() + metal_tsc_khz() * STRING_US / 1000ULL;
    x86_state_changed(cpu);
    return cpu->tlb->generation;
}

static void soft_end(struct hw_vcpu *v, uint64_t generation)
{
    struct x86_cpu *cpu = &v->vcpu->cpu;

    x86_state_flush(cpu);
    /* Where it dropped translations, the processor must too. */
    if (cpu->tlb->generation != generation)
        v->flush = true;
    cpu->tlb = NULL;
    cpu->tlb_now = NULL;
    cpu->thunks = NULL;
    cpu->want_vectors = NULL;
    cpu->must_yield = NULL;
    hw_step_leave(v);
    v->changed |= HW_ALL | HW_TPR | HW_MSRS;
    v->look = true;
    if (cpu->s.activity == X86_ACT_SHUTDOWN)
        hw_leave(v, VM_EXIT_SHUTDOWN);
}

void hw_deliver_soft(struct hw_vcpu *v)
{
    uint64_t generation = soft_begin(v);

    (void)x86_deliver_pending(&v->vcpu->cpu);
    soft_end(v, generation);
}

void hw_step(struct hw_vcpu *v)
{
    const struct x86_state *s = &v->vcpu->cpu.s;
    int64_t tsc = s->tsc_offset;
    uint64_t generation;

    v->count[HW_N_STEPS]++;
    if (v->delivering) {
        hw_deliver_soft(v);
        return;
    }
    generation = soft_begin(v);
    (void)x86_step(&v->vcpu->cpu);
    soft_end(v, generation);
    hw_fpu_reload(v);
    if (s->tsc_offset != tsc)
        hw_tsc_moved(v);
}

/* ---- CPUID, MSRs, HLT ---- */

void hw_cpuid(struct hw_vcpu *v, uint64_t next_rip)
{
    struct x86_cpu *cpu = &v->vcpu->cpu;
    uint32_t regs[4];

    v->count[HW_N_CPUID]++;
    if (!is_plain(v, &next_rip)) {
        hw_step(v);
        return;
    }
    x86_cpuid_read(cpu, (uint32_t)cpu->s.gpr[X86_RAX], (uint32_t)cpu->s.gpr[X86_RCX], regs);
    cpu->s.gpr[X86_RAX] = regs[0];
    cpu->s.gpr[X86_RBX] = regs[1];
    cpu->s.gpr[X86_RCX] = regs[2];
    cpu->s.gpr[X86_RDX] = regs[3];
    advance(v, next_rip);
}

/* MSRs whose value is not in the control block and changes nothing there. */
static bool is_platform(uint32_t msr)
{
    return (msr >= X86_MSR_X2APIC_FIRST && msr <= X86_MSR_X2APIC_LAST) || msr == X86_MSR_TSC_DEADLINE ||
           msr == X86_MSR_KVM_SYSTEM_TIME_NEW || msr == X86_MSR_KVM_WALL_CLOCK_NEW ||
           msr == X86_MSR_KVM_STEAL_TIME;
}

static bool msr_write(struct hw_vcpu *v, uint32_t msr, uint64_t value)
{
    struct x86_cpu *cpu = &v->vcpu->cpu;

    if (is_platform(msr)) {
        v->changed |= HW_TPR;
        return x86_msr_write(cpu, msr, value);
    }
    hw_need(v, HW_ALL);
    if (!x86_msr_write(cpu, msr, value))
        return false;
    v->changed |= HW_ALL | HW_MSRS;
    if (msr == X86_MSR_EFER)
        v->flush = true;
    else if (msr == X86_MSR_TSC || msr == X86_MSR_TSC_ADJUST)
        hw_tsc_moved(v);
    else if (msr == X86_MSR_PRED_CMD && v->cpu->ibpb && value & 1)
        hw_wrmsr(X86_MSR_PRED_CMD, 1);
    return true;
}

static bool msr_read(struct hw_vcpu *v, uint32_t msr, uint64_t *value)
{
    if (msr == X86_MSR_TSC) { /* exactly what RDTSC tells, which does not exit */
        *value = hw_scaled_tsc(hw_vm_of(v->vcpu->vm)) + v->tsc_offset;
        return true;
    }
    if (!is_platform(msr))
        hw_need(v, HW_ALL);
    return x86_msr_read(&v->vcpu->cpu, msr, value);
}

void hw_msr(struct hw_vcpu *v, bool write, uint64_t next_rip)
{
    struct x86_cpu *cpu = &v->vcpu->cpu;
    uint32_t msr = (uint32_t)cpu->s.gpr[X86_RCX];
    uint64_t value;

    v->count[HW_N_MSR]++;
    if (!is_plain(v, &next_rip)) {
        hw_step(v);
        return;
    }
    if (write) {
        value = (uint32_t)cpu->s.gpr[X86_RAX] | cpu->s.gpr[X86_RDX] << 32;
        if (!msr_write(v, msr, value)) {
            hw_raise(v, X86_GP, true, 0);
            return;
        }
    } else {
        if (!msr_read(v, msr, &value)) {
            hw_raise(v, X86_GP, true, 0);
            return;
        }
        cpu->s.gpr[X86_RAX] = (uint32_t)value;
        cpu->s.gpr[X86_RDX] = value >> 32;
    }
    advance(v, next_rip);
}

void hw_halt(struct hw_vcpu *v, uint64_t next_rip)
{
    v->count[HW_N_HALTS]++;
    if (!is_plain(v, &next_rip)) {
        hw_step(v);
        return;
    }
    advance(v, next_rip);
    v->vcpu->cpu.s.activity = X86_ACT_HALT;
    v->look = true;
}

/* ---- ports and memory of devices ---- */

/* The low `size` bytes of a register; 4 clear the upper half, fewer keep the rest. */
static void set_low(uint64_t *reg, uint64_t value, unsigned size)
{
    if (size == 8)
        *reg = value;
    else if (size == 4)
        *reg = (uint32_t)value;
    else
        *reg = (*reg & ~(BIT64(size * 8) - 1)) | low_bytes(value, size);
}

void hw_pio(struct hw_vcpu *v, uint16_t port, unsigned size, bool in, uint64_t next_rip)
{
    uint64_t *rax = &v->vcpu->cpu.s.gpr[X86_RAX];

    v->count[HW_N_PIO]++;
    if (!is_plain(v, &next_rip)) {
        hw_step(v);
        return;
    }
    if (in)
        set_low(rax, vcpu_pio_read(v->vcpu, port, size), size);
    else
        vcpu_pio_write(v->vcpu, port, low_bytes(*rax, size), size);
    advance(v, next_rip);
}

/* A register operand of MOV: AH … DH are left to x86_step(). */
static bool is_gpr(const struct x86_operand *op)
{
    return op->kind == X86_OP_REG && op->reg_class == X86_RC_GPR;
}

static bool begins_page(struct hw_vcpu *v, const struct x86_insn *insn)
{
    struct x86_cpu *cpu = &v->vcpu->cpu;

    hw_need(v, HW_SEGMENTS);
    cpu->mode = code_mode(&cpu->s);
    return !(x86_effective(cpu, insn) & (MEM_PAGE - 1));
}

/* Is gpa where the operand begins, not the second page of one that crosses into it? */
static bool begins_at(struct hw_vcpu *v, const struct x86_insn *insn, uint64_t gpa)
{
    const struct x86_cpu *cpu = &v->vcpu->cpu;
    uint64_t lin = x86_offset(cpu, insn);
    unsigned seg = insn->mem.seg;

    if (code_mode(&cpu->s) != X86_MODE_64 || seg == X86_FS || seg == X86_GS) {
        hw_need(v, HW_SEGMENTS);
        lin += cpu->s.seg[seg].base;
    }
    return !((lin ^ gpa) & (MEM_PAGE - 1));
}

/*
 * MOV between a register (or constant) and memory, which drivers use for device
 * registers, needs no translation of its address: the processor told it. False: it is something else.
 */
static bool mov_device(struct hw_vcpu *v, uint64_t gpa, bool write)
{
    struct x86_cpu *cpu = &v->vcpu->cpu;
    const struct x86_operand *reg, *mem;
    struct x86_insn insn;
    uint64_t next = 1;

    if (!is_plain(v, &next) || !decode(v, &insn) || insn.id != X86_MOV)
        return false;
    mem = &insn.op[write ? 0 : 1];
    reg = &insn.op[write ? 1 : 0];
    if (mem->kind != X86_OP_MEM || !mem->size || mem->size > 8 ||
        (gpa & (MEM_PAGE - 1)) + mem->size > MEM_PAGE || !begins_at(v, &insn, gpa))
        return false;
    if (!is_gpr(reg) && !(write && reg->kind == X86_OP_IMM))
        return false;
    if (!(gpa & (MEM_PAGE - 1)) && !begins_page(v, &insn)) /* the second half of an access over two pages */
        return false;
    if (!write)
        set_low(&cpu->s.gpr[reg->reg], vcpu_mmio_read(v->vcpu, gpa, mem->size), mem->size);
    else
        vcpu_mmio_write(v->vcpu, gpa,
                        low_bytes(is_gpr(reg) ? cpu->s.gpr[reg->reg] : (uint64_t)reg->imm, mem->size),
                        mem->size);
    next = cpu->s.rip + insn.length;
    advance(v, code_mode(&cpu->s) == X86_MODE_64 ? next : (uint32_t)next);
    v->changed |= HW_TPR;
    return true;
}

void hw_nested_fault(struct hw_vcpu *v, uint64_t gpa, unsigned access, bool of_data)
{
    struct vm *vm = v->vcpu->vm;

    if (hw_pages_fill(hw_vm_of(vm), gpa, access)) {
        v->count[HW_N_PAGES]++;
        return;
    }
    v->count[HW_N_MMIO]++;
    if (of_data && !v->delivering && !mem_find(vm, gpa) && mov_device(v, gpa, access & HW_WRITE))
        return;
    hw_step(v);
}
