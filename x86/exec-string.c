/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MOVS, STOS, LODS, SCAS, CMPS, with and without REP.
 *
 * A repetition works through runs: the elements that lie in one page on either
 * side, if the TLB knows these pages as plain memory, are done by the host's own
 * string instruction of the same element size, and so have its results with
 * overlap and either direction. Whatever is not such a run goes element by
 * element through the ordinary accessors: MMIO, page crossings, watched pages,
 * wraps of the offset, and the first access to a page, which fills the TLB.
 *
 * Registers are brought up to date after each run, so a fault or a request from
 * outside finds a state from which the instruction goes on.
 */
#include "x86/exec-alu-internal.h"
#include "x86/exec-sys.h"

/* What one call may cost before the engine looks at requests: an element in a run is 1, one by itself more.
 */
#define SLICE       8192
#define SINGLE_COST 8

struct string {
    struct x86_cpu *cpu;
    const struct x86_insn *insn;
    unsigned size;     /* of an element */
    unsigned addrsize; /* of rSI, rDI, rCX */
    bool down;         /* DF */
    bool repne;        /* for SCAS and CMPS, with REP */
};

struct string_op {
    bool uses_si, uses_di;
    bool compares; /* SCAS, CMPS: ZF can end the repetition */
    /* Does up to max elements as a run; returns how many were done, 0 if there is no run here. */
    uint64_t (*run)(const struct string *s, uint64_t max);
    /* Does one element; false: fault, nothing changed. Neither moves rSI, rDI, rCX. */
    bool (*one)(const struct string *s);
};

ALU_ANY_BINARY(sub)

static uint64_t source(const struct string *s)
{
    return x86_reg_read(s->cpu, X86_RSI, s->addrsize);
}

static uint64_t destination(const struct string *s)
{
    return x86_reg_read(s->cpu, X86_RDI, s->addrsize);
}

static void move_index(const struct string *s, unsigned reg, uint64_t elements)
{
    uint64_t distance = elements * s->size;
    uint64_t now = s->cpu->s.gpr[reg];

    x86_reg_write(s->cpu, reg, s->addrsize, s->down ? now - distance : now + distance);
}

/*
 * How many of max elements from seg:offset on are in one page that the TLB has
 * for this access, with no wrap of the offset between; *host is the first one.
 */
static uint64_t find_run(const struct string *s, unsigned seg, uint64_t offset, enum x86_mem_access access,
                         uint64_t max, uint8_t **host)
{
    struct x86_cpu *cpu = s->cpu;
    uint64_t room = (s->down ? offset : x86_size_mask(s->addrsize) - offset) / s->size;
    const struct x86_tlb_entry *e;
    uint64_t lin, low, unused;

    if (unlikely(cpu->s.rflags & X86_FL_AC && cpu->cpl == 3))
        return 0;
    if (room == 0 || !x86_linear(cpu, seg, offset, s->size, access, &lin))
        return 0;
    e = x86_tlb_slot(cpu, lin);
    if (lin - (access == X86_MEM_READ ? e->tag_read : e->tag_write) > 4096 - s->size)
        return 0;
    max = MIN(max, room);
    if (s->down)
        max = MIN(max, (lin & 4095) / s->size + 1);
    else
        max = MIN(max, (4096 - (lin & 4095)) / s->size);
    low = s->down ? offset - (max - 1) * s->size : offset;
    if (cpu->mode != X86_MODE_64 && !x86_linear(cpu, seg, low, (unsigned)(max * s->size), access, &unused))
        return 0;
    *host = (uint8_t *)(uintptr_t)(lin + e->addend);
    return max;
}

/* The host's instruction with DF as the guest has it. */
#define HOST_STRING(name, sfx, ...)                                                                          \
    do {                                                                                                     \
        if (s->down)                                                                                         \
            __asm__ volatile("std\n\t" name sfx "\n\tcld" __VA_ARGS__);                                      \
        else                                                                                                 \
            __asm__ volatile(name sfx __VA_ARGS__);                                                          \
    } while (0)

#define HOST_BY_SIZE(name, ...)                                                                              \
    do {                                                                                                     \
        if (s->size == 1)                                                                                    \
            HOST_STRING(name, "b", __VA_ARGS__);                                                             \
        else if (s->size == 2)                                                                               \
            HOST_STRING(name, "w", __VA_ARGS__);                                                             \
        else if (s->size == 4)                                                                               \
            HOST_STRING(name, "l", __VA_ARGS__);                                                             \
        else                                                                                                 \
            HOST_STRING(name, "q", __VA_ARGS__);                                                             \
    } while (0)

/* ---- MOVS ---- */

static uint64_t movs_run(const struct string *s, uint64_t max)
{
    uint8_t *from, *to;
    uint64_t n = find_run(s, s->insn->mem.seg, source(s), X86_MEM_READ, max, &from), count;

    if (n)
        n = find_run(s, X86_ES, destination(s), X86_MEM_WRITE, n, &to);
    if (!n)
        return 0;
    count = n;
    HOST_BY_SIZE("rep movs", : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    return n;
}

static bool movs_one(const struct string *s)
{
    uint64_t value;

    return x86_seg_load(s->cpu, s->insn->mem.seg, source(s), s->size, &value) &&
           x86_seg_store(s->cpu, X86_ES, destination(s), s->size, value);
}

/* ---- STOS ---- */

static uint64_t stos_run(const struct string *s, uint64_t max)
{
    uint8_t *to;
    uint64_t n = find_run(s, X86_ES, destination(s), X86_MEM_WRITE, max, &to), count = n;

    if (n)
        HOST_BY_SIZE("rep stos", : "+D"(to), "+c"(count) : "a"(s->cpu->s.gpr[X86_RAX]) : "memory");
    return n;
}

static bool stos_one(const struct string *s)
{
    return x86_seg_store(s->cpu, X86_ES, destination(s), s->size, s->cpu->s.gpr[X86_RAX]);
}

/* ---- LODS: only the last element counts, and nobody repeats it for speed ---- */

static uint64_t no_run(const struct string *s, uint64_t max)
{
    return 0;
}

static bool lods_one(const struct string *s)
{
    uint64_t value;

    if (!x86_seg_load(s->cpu, s->insn->mem.seg, source(s), s->size, &value))
        return false;
    x86_reg_write(s->cpu, X86_RAX, s->size, value);
    return true;
}

/* ---- SCAS ---- */

static uint64_t scas_run(const struct string *s, uint64_t max)
{
    uint64_t rax = s->cpu->s.gpr[X86_RAX], n, count;
    uint8_t *to;

    n = count = find_run(s, X86_ES, destination(s), X86_MEM_READ, max, &to);
    if (!n)
        return 0;
    if (s->repne)
        HOST_BY_SIZE("repne scas", "\n\tlahf\n\tseto %%al" : "+D"(to), "+c"(count), "+a"(rax) : : "memory");
    else
        HOST_BY_SIZE("repe scas", "\n\tlahf\n\tseto %%al" : "+D"(to), "+c"(count), "+a"(rax) : : "memory");
    s->cpu->cc = (uint16_t)rax;
    return n - count;
}

static bool scas_one(const struct string *s)
{
    struct x86_modify_args args = {0};

    if (!x86_seg_load(s->cpu, X86_ES, destination(s), s->size, &args.a))
        return false;
    sub_any(s->cpu->s.gpr[X86_RAX], &args, s->size, &s->cpu->cc);
    return true;
}

/* ---- CMPS ---- */

static uint64_t cmps_run(const struct string *s, uint64_t max)
{
    uint8_t *from, *to;
    uint64_t n = find_run(s, s->insn->mem.seg, source(s), X86_MEM_READ, max, &from), count;
    uint64_t rax;

    if (n)
        n = find_run(s, X86_ES, destination(s), X86_MEM_READ, n, &to);
    if (!n)
        return 0;
    count = n;
    if (s->repne)
        HOST_BY_SIZE("repne cmps", "\n\tlahf\n\tseto %%al"
                     : "+S"(from), "+D"(to), "+c"(count), "=a"(rax)
                     :
                     : "memory");
    else
        HOST_BY_SIZE("repe cmps", "\n\tlahf\n\tseto %%al"
                     : "+S"(from), "+D"(to), "+c"(count), "=a"(rax)
                     :
                     : "memory");
    s->cpu->cc = (uint16_t)rax;
    return n - count;
}

static bool cmps_one(const struct string *s)
{
    struct x86_modify_args args = {0};
    uint64_t value;

    if (!x86_seg_load(s->cpu, s->insn->mem.seg, source(s), s->size, &value) ||
        !x86_seg_load(s->cpu, X86_ES, destination(s), s->size, &args.a))
        return false;
    sub_any(value, &args, s->size, &s->cpu->cc);
    return true;
}

/* ---- the frame ---- */

static void advance(const struct string *s, const struct string_op *op, uint64_t elements)
{
    if (op->uses_si)
        move_index(s, X86_RSI, elements);
    if (op->uses_di)
        move_index(s, X86_RDI, elements);
}

static bool ends(const struct string *s, const struct string_op *op)
{
    return op->compares && !(s->cpu->cc & ALU_CC_ZF) != s->repne;
}

static enum x86_result repeat(const struct string *s, const struct string_op *op)
{
    struct x86_cpu *cpu = s->cpu;
    uint64_t count = x86_reg_read(cpu, X86_RCX, s->addrsize);
    uint64_t budget = SLICE;
    uint32_t old_cc = cpu->cc;
    bool debug = x86_debug_active(cpu);

    if (count == 0)
        return X86_NEXT;
    if (debug) /* traps come between the elements */
        budget = 1;
    for (;;) {
        uint64_t done = budget > 1 ? op->run(s, MIN(count, budget)) : 0, cost = done;

        if (done == 0) {
            if (!op->one(s)) {
                cpu->cc = old_cc; /* SDM 2A, REP: comparisons that fault leave the flags as they were */
                return X86_FAULT;
            }
            done = 1;
            cost = MIN(budget, (uint64_t)SINGLE_COST);
        }
        advance(s, op, done);
        count -= done;
        budget -= cost;
        x86_reg_write(cpu, X86_RCX, s->addrsize, count);
        if (count == 0 || ends(s, op))
            return X86_NEXT;
        if (budget == 0 || __atomic_load_n(&cpu->request, __ATOMIC_RELAXED) ||
            (cpu->must_yield && cpu->must_yield(cpu))) {
            /* Nor may a fault show where we have been interrupted, which is as chance would have it. */
            if (!debug)
                cpu->cc = old_cc;
            return X86_AGAIN;
        }
    }
}

static enum x86_result run_string(struct x86_cpu *cpu, const struct x86_insn *insn,
                                  const struct string_op *op)
{
    struct string s = {
        .cpu = cpu,
        .insn = insn,
        .size = insn->op[0].size,
        .addrsize = insn->addrsize,
        .down = cpu->s.rflags & X86_FL_DF,
        .repne = insn->prefixes & X86_PFX_REPNE,
    };

    if (insn->prefixes & (X86_PFX_REP | X86_PFX_REPNE))
        return repeat(&s, op);
    if (!op->one(&s))
        return X86_FAULT;
    advance(&s, op, 1);
    return X86_NEXT;
}

enum x86_result x86_exec_movs(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    static const struct string_op op = {.uses_si = true, .uses_di = true, .run = movs_run, .one = movs_one};

    return run_string(cpu, insn, &op);
}

enum x86_result x86_exec_stos(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    static const struct string_op op = {.uses_di = true, .run = stos_run, .one = stos_one};

    return run_string(cpu, insn, &op);
}

enum x86_result x86_exec_lods(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    static const struct string_op op = {.uses_si = true, .run = no_run, .one = lods_one};

    return run_string(cpu, insn, &op);
}

enum x86_result x86_exec_scas(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    static const struct string_op op = {.uses_di = true, .compares = true, .run = scas_run, .one = scas_one};

    return run_string(cpu, insn, &op);
}

enum x86_result x86_exec_cmps(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    static const struct string_op op = {
        .uses_si = true, .uses_di = true, .compares = true, .run = cmps_run, .one = cmps_one};

    return run_string(cpu, insn, &op);
}
