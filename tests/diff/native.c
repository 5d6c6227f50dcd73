/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One instruction on the processor that we run on, in this process. All
 * registers are loaded, the instruction is jumped to, and the bytes behind it
 * jump back; or it faults, and the signal's frame has its state.
 *
 * The guest's FS base is in force meanwhile, so the signal handler restores ours
 * before it does anything: this file must not use thread-local storage there,
 * the stack protector's included.
 */
#include "tests/diff/diff.h"

#include "base/bytes.h"
#include "x86/regs.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE_SPAN    0x3000ULL /* from DIFF_CODE to the end of DIFF_BRANCH's page */
#define SIGNAL_STACK KIB(256)

#ifndef HWCAP2_FSGSBASE
#define HWCAP2_FSGSBASE (1 << 1)
#endif

struct native {
    struct diff_state state; /* first: the assembly knows its layout */
    uint64_t host_rsp;
    uint64_t host_fs, host_gs;
    uint64_t target;
    uint32_t mxcsr;
    uint32_t fault; /* set by the handler */
    uint16_t fault_cs, fault_ss;
    bool running;
    const struct diff_case *test; /* the latest */
};

/* One a process, as is the set of signal handlers. */
extern struct native native_context __asm__("native_context");
struct native native_context;
static uint8_t *code_write;
static uint8_t *data_write;

_Static_assert(offsetof(struct diff_state, gpr) == 832, "the assembly's offsets");
_Static_assert(offsetof(struct diff_state, rip) == 960, "the assembly's offsets");
_Static_assert(offsetof(struct diff_state, rflags) == 968, "the assembly's offsets");
_Static_assert(offsetof(struct diff_state, fs_base) == 976, "the assembly's offsets");
_Static_assert(offsetof(struct diff_state, selector) == 992, "the assembly's offsets");
_Static_assert(offsetof(struct native, host_rsp) == 1024, "the assembly's offsets");

void native_enter(void) __asm__("native_enter");
void native_exit(void) __asm__("native_exit");
void native_fault_exit(void) __asm__("native_fault_exit");

#define STR2(x)      #x
#define STR(x)       STR2(x)
#define HOST_RSP     1024
#define HOST_FS      1032
#define HOST_GS      1040
#define TARGET       1048
#define HOST_MXCSR   1056

#define AT(offset)   "native_context+" STR(offset) "(%rip)"
#define LOAD(reg, n) "mov native_context+832+8*" #n "(%rip), %" #reg "\n"
#define SAVE(reg, n) "mov %" #reg ", native_context+832+8*" #n "(%rip)\n"

__asm__(
    ".text\n"
    ".globl native_enter, native_exit, native_fault_exit\n"
    "native_enter:\n"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "mov %rsp, " AT(
        HOST_RSP) "\n"
                  "mov $7, %eax; xor %edx, %edx\n"
                  "xrstor64 native_context(%rip)\n"
                  "mov " AT(
                      976) ", %rax; wrfsbase %rax\n"
                           "mov " AT(
                               984) ", %rax; wrgsbase %rax\n"
                                    "pushq " AT(968) "; popfq\n" LOAD(rax, 0) LOAD(rcx, 1) LOAD(rdx, 2) LOAD(
                                        rbx,
                                        3) LOAD(rsp, 4)
                                        LOAD(rbp, 5) LOAD(rsi, 6)
                                            LOAD(rdi, 7) LOAD(r8, 8) LOAD(r9, 9) LOAD(r10, 10) LOAD(
                                                r11,
                                                11) LOAD(r12, 12)
                                                LOAD(r13,
                                                     13) LOAD(r14, 14)
                                                    LOAD(r15, 15) "jmp *" AT(
                                                        TARGET) "\n"

                                                                "native_exit:\n" SAVE(rax, 0) SAVE(rcx, 1) SAVE(
                                                                    rdx,
                                                                    2) SAVE(rbx, 3)
                                                                    SAVE(rsp, 4) SAVE(
                                                                        rbp,
                                                                        5) SAVE(rsi, 6)
                                                                        SAVE(rdi, 7) SAVE(r8, 8) SAVE(r9, 9) SAVE(
                                                                            r10,
                                                                            10) SAVE(r11, 11)
                                                                            SAVE(r12,
                                                                                 12) SAVE(r13,
                                                                                          13) SAVE(r14, 14)
                                                                                SAVE(r15, 15) "mov " AT(
                                                                                    HOST_RSP) ", %rsp\n"
                                                                                              "pushfq; "
                                                                                              "popq " AT(
                                                                                                  968) "\n"
                                                                                                       "rdfsb"
                                                                                                       "ase "
                                                                                                       "%rax;"
                                                                                                       " mov "
                                                                                                       "%rax,"
                                                                                                       " " AT(
                                                                                                           976) "\n"
                                                                                                                "rdgsbase %rax; mov %rax, " AT(
                                                                                                                    984) "\n"
                                                                                                                         "mov $7, %eax; xor %edx, %edx\n"
                                                                                                                         "xsave64 native_context(%rip)\n"
                                                                                                                         "mov " AT(
                                                                                                                             HOST_FS) ", %rax; wrfsbase %rax\n"
                                                                                                                                      "native_fault_exit:\n"
                                                                                                                                      "mov %es, native_context+992(%rip); mov %cs, native_context+994(%rip); mov %ss, native_context+996(%rip)\n"
                                                                                                                                      "mov %ds, native_context+998(%rip); mov %fs, native_context+1000(%rip); mov %gs, native_context+1002(%rip)\n"
                                                                                                                                      "pushq $0x202; popfq\n"
                                                                                                                                      "fninit; ldmxcsr " AT(
                                                                                                                                          HOST_MXCSR) "; vzeroupper\n"
                                                                                                                                                      "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
                                                                                                                                                      "ret\n");

uint8_t *native_data(void)
{
    return data_write;
}

const uint8_t *native_code(void)
{
    return code_write;
}

static void take_registers(struct diff_state *s, const greg_t *regs)
{
    static const uint8_t number[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                       REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                       REG_R12, REG_R13, REG_R14, REG_R15};

    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = (uint64_t)regs[number[i]];
    s->rip = (uint64_t)regs[REG_RIP];
    s->rflags = (uint64_t)regs[REG_EFL];
    s->vector = (int)regs[REG_TRAPNO];
    s->error = (uint32_t)regs[REG_ERR];
    s->cr2 = (uint64_t)regs[REG_CR2];
}

/* A signal that is not the native run's: our side made the host fault, which no guest may. */
static void die(int number)
{
    const struct diff_case *test = native_context.test;

    signal(number, SIG_DFL);
    printf("OUR SIDE raised signal %d\n  again: host-diff --count 1 --row %u --seed %llu\n", number,
           test ? test->row_number : 0, test ? (unsigned long long)test->seed : 0ULL);
    fflush(stdout);
    raise(number);
}

__attribute__((no_stack_protector)) static void on_signal(int signal, siginfo_t *info, void *context)
{
    struct native *n = &native_context;
    uint64_t fs, gs;

    if (!n->running)
        die(signal);
    n->running = false;
    __asm__ volatile("rdfsbase %0; rdgsbase %1" : "=r"(fs), "=r"(gs));
    __asm__ volatile("wrfsbase %0" : : "r"(n->host_fs));
    ucontext_t *uc = context;
    greg_t *regs = uc->uc_mcontext.gregs;
    take_registers(&n->state, regs);
    n->state.fs_base = fs;
    n->state.gs_base = gs;
    memcpy(n->state.xsave, uc->uc_mcontext.fpregs, X86_XSAVE_SIZE);
    n->fault = 1;
    n->fault_cs = (uint16_t)regs[REG_CSGSFS];
    n->fault_ss = (uint16_t)((uint64_t)regs[REG_CSGSFS] >> 48);
    regs[REG_RIP] = (greg_t)(uintptr_t)native_fault_exit;
    regs[REG_RSP] = (greg_t)n->host_rsp;
    regs[REG_EFL] = 0x202;
    /* CS and SS, should a far transfer have changed them */
    regs[REG_CSGSFS] = (regs[REG_CSGSFS] & 0x0000ffffffff0000LL) | 0x33 | (0x2bLL << 48);
}

/* A writable alias of `size` bytes that appear at `at` with the rights `prot`; NULL: errno says why. */
static uint8_t *map_twice(int fd, off_t offset, uint64_t at, size_t size, int prot)
{
    void *alias = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);
    void *fixed = mmap((void *)at, size, prot, MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, offset);

    return alias == MAP_FAILED || fixed == MAP_FAILED ? NULL : alias;
}

static int map_memory(void)
{
    int fd = memfd_create("host-diff", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)(CODE_SPAN + DIFF_DATA_SIZE)))
        return -errno;
    code_write = map_twice(fd, 0, DIFF_CODE, CODE_SPAN, PROT_READ | PROT_EXEC);
    data_write = map_twice(fd, (off_t)CODE_SPAN, DIFF_RW, DIFF_DATA_SIZE, PROT_READ | PROT_WRITE);
    close(fd);
    if (!code_write || !data_write || mprotect((void *)DIFF_RO, DIFF_DATA_SIZE - DIFF_RW_SIZE, PROT_READ))
        return -errno;
    memset(code_write, 0xcc, CODE_SPAN);
    return 0;
}

int native_init(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    stack_t stack = {.ss_size = SIGNAL_STACK, .ss_sp = malloc(SIGNAL_STACK)};
    struct native *n = &native_context;

    if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE))
        return -ENOTSUP;
    int error = map_memory();
    if (error)
        return error;
    if (!stack.ss_sp || sigaltstack(&stack, NULL))
        return -errno;
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        if (sigaction(signals[i], &action, NULL))
            return -errno;
    __asm__ volatile("rdfsbase %0; rdgsbase %1" : "=r"(n->host_fs), "=r"(n->host_gs));
    n->mxcsr = X86_MXCSR_INIT;
    return 0;
}

static void put_code(const struct diff_case *test)
{
    uint8_t *at = code_write + (test->in.rip - DIFF_CODE);

    memcpy(at, test->bytes, test->insn.length);
    if (test->branch)
        return;
    at += test->insn.length;
    at[0] = 0xff; /* jmp [rip + 0] */
    at[1] = 0x25;
    store_le32(at + 2, 0);
    store_le64(at + 6, (uintptr_t)native_exit);
}

/* The XSAVE image may leave out what is initial. */
static void complete_xsave(uint8_t *image)
{
    struct x86_state s;

    if ((image[X86_XSAVE_HEADER] & 7) == 7)
        return;
    uint32_t mxcsr = load_le32(image + 24);
    x86_xsave_unpack(&s, image, 7);
    s.mxcsr = mxcsr;
    x86_xsave_pack(&s, image, 7);
}

/* Loading a selector changes the base: ours follows. */
static void reset_selectors(void)
{
    const uint16_t *sel = native_context.state.selector;

    if (!(sel[X86_ES] | sel[X86_DS] | sel[X86_FS] | sel[X86_GS]))
        return;
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs; wrfsbase %1; wrgsbase %2"
                     :
                     : "r"(0), "r"(native_context.host_fs), "r"(native_context.host_gs));
}

/* Code of our side that 32-bit addresses reach: the translator's. */
static struct {
    void *at;
    size_t size;
} foreign_code[4];

void native_find_code(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long long first, last;
    char rights[5], line[512];
    unsigned n = 0;

    while (maps && fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%llx-%llx %4s", &first, &last, rights) != 3 || rights[2] != 'x' ||
            first >= BIT64(32) || (first >= DIFF_CODE && first < DIFF_CODE + CODE_SPAN))
            continue;
        base_assert(n < ARRAY_SIZE(foreign_code));
        foreign_code[n].at = (void *)(uintptr_t)first;
        foreign_code[n++].size = (size_t)(last - first);
    }
    if (maps)
        fclose(maps);
}

static void hide_code(bool hide)
{
    for (unsigned i = 0; i < ARRAY_SIZE(foreign_code) && foreign_code[i].at; i++)
        base_assert(
            !mprotect(foreign_code[i].at, foreign_code[i].size, hide ? PROT_NONE : PROT_READ | PROT_EXEC));
}

void native_run(const struct diff_case *test, bool hidden, struct diff_state *out)
{
    struct native *n = &native_context;

    put_code(test);
    if (test->branch || hidden)
        hide_code(true);
    n->state = test->in;
    n->state.vector = -1;
    n->fault = 0;
    n->target = test->in.rip;
    n->test = test;
    n->running = true;
    native_enter();
    n->running = false;
    reset_selectors();
    *out = n->state;
    complete_xsave(out->xsave);
    if (n->fault) {
        out->selector[X86_CS] = n->fault_cs;
        out->selector[X86_SS] = n->fault_ss;
    } else {
        out->rip = test->in.rip + test->insn.length;
    }
    if (test->branch || hidden)
        hide_code(false);
    if (test->branch)
        memset(code_write + (test->in.rip - DIFF_CODE), 0xcc, test->insn.length);
}
