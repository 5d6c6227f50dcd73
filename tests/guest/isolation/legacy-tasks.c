/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tasks of 32-bit protected mode: the processor saves all registers in one TSS and loads them from another.
 */
#include "tests/guest/isolation/legacy.h"

/* Fields of a TSS, in dwords */
enum { LINK, EIP = 8, EFLAGS, EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI, ES, CS, SS, DS, FS, GS, LDT };

#define CR0_TS    8U
#define NT        0x4000U
#define BUSY      (2ULL << 40)
#define THE_STACK ((uint32_t)(uintptr_t)legacy_area + 0x1800)

static uint32_t address(const void *p)
{
    return (uint32_t)(uintptr_t)p;
}

/* What the other task found, in the order in which it stored it. */
uint32_t task_found[16], task_entries;
uint32_t task_mine[8]; /* this task's, when it was back */
extern const uint8_t other_task[], other_task_error[];

__asm__(
    ".text; .code32\n"
    "other_task:\n"
    "mov %eax, task_found; mov %ecx, task_found + 4; mov %edx, task_found + 8; mov %ebx, task_found + 12\n"
    "mov %esp, task_found + 16; mov %ebp, task_found + 20; mov %esi, task_found + 24; mov %edi, task_found + "
    "28\n"
    "pushfl; pop %eax; mov %eax, task_found + 32; str %ax; movzx %ax, %eax; mov %eax, task_found + 36\n"
    "sldt %ax; movzx %ax, %eax; mov %eax, task_found + 40; mov %cr0, %eax; mov %eax, task_found + 44\n"
    "mov %fs, %eax; mov %eax, task_found + 48; mov legacy_tss + 8800, %eax; mov %eax, task_found + 52\n"
    "clts; incl task_entries; iretl\n"
    /* the second time it goes on here */
    "incl task_entries; ljmp $0x30, $0\n"
    "other_task_error:\n"
    "popl task_found; mov legacy_tss + 32, %eax; mov %eax, task_found + 4; add $2, %eax; mov %eax, "
    "legacy_tss + 32\n"
    "clts; incl task_entries; iretl; jmp other_task_error\n"
    ".code64\n");

static void make_other_task(const uint8_t *code)
{
    uint32_t *t = legacy_tss[1];

    for (unsigned r = EAX; r <= EDI; r++)
        t[r] = 0x11111111 * (r - EAX + 1);
    t[ESP] = THE_STACK;
    t[EIP] = address(code);
    t[EFLAGS] = 2;
    t[ES] = t[SS] = t[DS] = SEL_DATA;
    t[CS] = SEL_CODE;
    t[FS] = SEL_SMALL;
    t[LDT] = SEL_LDT;
    task_entries = 0;
}

static void check_other(const char *name, bool nested)
{
    for (unsigned r = 0; r < 8; r++)
        expect_of(name, r, task_found[r], r == 4 ? THE_STACK : 0x11111111 * (r + 1));
    expect("NT", task_found[8] & NT, nested ? NT : 0);
    expect("TR", task_found[9], SEL_OTHER_TSS);
    expect("LDTR", task_found[10], SEL_LDT);
    expect("CR0.TS", task_found[11] & CR0_TS, CR0_TS);
    expect("FS", task_found[12], SEL_SMALL);
    if (nested)
        expect("link", task_found[13] & 0xffff, SEL_TSS);
}

void code_tasks(void);
__asm__(".text; code_tasks: .code32\n"
        "mov $0xaaaa5555, %ebx; mov $0x77778888, %esi; stc\n"
        "lcall $0x38, $0\n"
        "sbb %eax, %eax; mov %eax, task_mine; mov %ebx, task_mine + 4; mov %esi, task_mine + 8\n"
        "str %ax; movzx %ax, %eax; mov %eax, task_mine + 12; mov %cr0, %eax; mov %eax, task_mine + 16; clts\n"
        "ljmp $0x38, $0\n"
        "mov %ebx, task_mine + 20; str %ax; movzx %ax, %eax; mov %eax, task_mine + 24; clts\n"
        "jmp legacy_return; .code64\n");

void task_switch(void)
{
    for (unsigned i = 0; i < 300; i++) {
        legacy_prepare();
        make_other_task(other_task);
        legacy_run(code_tasks);
        check_other("register of the task that was called", true);
        expect("entries", task_entries, 2);
        expect("carry flag", task_mine[0], 0xffffffff);
        expect("EBX", task_mine[1], 0xaaaa5555);
        expect("ESI", task_mine[2], 0x77778888);
        expect("TR", task_mine[3], SEL_TSS);
        expect("CR0.TS", task_mine[4] & CR0_TS, CR0_TS);
        expect("EBX", task_mine[5], 0xaaaa5555);
        expect("TR", task_mine[6], SEL_TSS);
        expect("this task is busy", legacy_gdt[SEL_TSS / 8] & BUSY, BUSY);
        expect("the other is not", legacy_gdt[SEL_OTHER_TSS / 8] & BUSY, 0);
    }
}

void code_task_gate(void);
__asm__(".text; code_task_gate: .code32\n"
        "mov $0x12344321, %ebx; int $0x40; mov %ebx, task_mine; clts; jmp legacy_return; .code64\n");
void code_task_error(void);
extern const uint8_t task_error_at[];
__asm__(".text; code_task_error: .code32\n"
        "mov $0xfff8, %eax; task_error_at: mov %eax, %ds; incl task_mine; mov $0xeee0, %eax; mov %eax, %es; "
        "incl task_mine\n"
        "jmp legacy_return; .code64\n");

void task_gate(void)
{
    const uint64_t to_other = (uint64_t)SEL_OTHER_TSS << 16 | 0x85ULL << 40;

    for (unsigned i = 0; i < 300; i++) {
        legacy_prepare();
        make_other_task(other_task);
        legacy_idt[0x40] = to_other;
        legacy_run(code_task_gate);
        check_other("register of the task behind the gate", true);
        expect("EBX", task_mine[0], 0x12344321);
        legacy_prepare();
        make_other_task(other_task_error);
        legacy_idt[13] = to_other;
        task_mine[0] = 0;
        legacy_run(code_task_error);
        expect("faults", task_entries, 2);
        expect("instructions behind them", task_mine[0], 2);
        expect("error code", task_found[0], 0xeee0);
        legacy_idt[0x40] = 0;
    }
}

void code_wrong_task(void);
__asm__(".text; code_wrong_task: .code32\n" /* */
        LEGACY_TRY("ljmp $0x38, $0") LEGACY_TRY("lcall $0x38, $0")
            LEGACY_TRY("ljmp $0x80, $0") "jmp legacy_return; .code64\n");

/* Refused before anything is switched. */
void task_switch_wrong(void)
{
    static const struct {
        uint64_t clear, set;
        int32_t vector;
    } wrong[] = {{1ULL << 47, 0, 11},                 /* not present */
                 {0, BUSY, 13},                       /* busy */
                 {0xffff, 0x66, 10},                  /* too short */
                 {0x1fULL << 40, 0x12ULL << 40, 13},  /* data */
                 {0x1fULL << 40, 0x0eULL << 40, 13}}; /* an interrupt gate */

    for (unsigned i = 0; i < 500; i++) {
        unsigned n = i % 5;
        uint64_t *d = &legacy_gdt[SEL_OTHER_TSS / 8];

        legacy_prepare();
        make_other_task(other_task);
        *d = (*d & ~wrong[n].clear) | wrong[n].set;
        legacy_run(code_wrong_task);
        for (unsigned k = 0; k < 3; k++) {
            expect_of("switch to a wrong task", n * 16 + k, legacy_result[2 * k], (uint32_t)wrong[n].vector);
            expect_of("its error code", n * 16 + k, legacy_result[2 * k + 1], SEL_OTHER_TSS);
        }
        expect("entries", task_entries, 0);
    }
}
