/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/cpu/trap.h"

#include "base/fmt.h"
#include "hv/boot/boot-info.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/irq.h"
#include "hv/mem/ram.h"
#include "hv/panic.h"
#include "hv/thread.h"

struct idt_gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

struct fixup {
    uint64_t at, to;
};

extern const uint8_t trap_stubs[], trap_debug[];
extern const struct fixup fixup_start[], fixup_end[];

static struct idt_gate idt[256] __attribute__((aligned(16)));

void trap_init(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t stub = (uint64_t)(uintptr_t)(i == TRAP_DB ? trap_debug : trap_stubs + i * 16);

        idt[i] = (struct idt_gate){
            .offset_low = (uint16_t)stub,
            .selector = SEL_CODE,
            .type = 0x8e, /* interrupt gate, DPL 0 */
            .offset_middle = (uint16_t)(stub >> 16),
            .offset_high = (uint32_t)(stub >> 32),
        };
    }
    idt[TRAP_NMI].ist = TRAP_IST_NMI;
    idt[TRAP_DF].ist = TRAP_IST_DF;
    idt[TRAP_MC].ist = TRAP_IST_MC;
}

void trap_use(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

    __asm__ volatile("lidt %0" : : "m"(idtr));
}

static bool fix_up(struct trap_frame *frame, uint64_t at)
{
    for (uint64_t i = 0; i < (SYMBOL(fixup_end) - SYMBOL(fixup_start)) / sizeof(*fixup_start); i++) {
        if (fixup_start[i].at == at) {
            frame->rip = fixup_start[i].to;
            return true;
        }
    }
    return false;
}

/* A jump to where nothing can be executed: the caller is on the stack. */
static bool fix_up_call(struct trap_frame *frame, uint64_t address)
{
    if (frame->rip != address || !fix_up(frame, *(uint64_t *)frame->rsp))
        return false;
    frame->rsp += 8;
    return true;
}

static const char *describe_page_fault(const struct trap_frame *frame, uint64_t address, char *buf,
                                       size_t size)
{
    const char *what = frame->error & BIT(4) ? "execution" : frame->error & BIT(1) ? "write" : "read";
    const char *why = frame->error & BIT(3)   ? "reserved bits are set in a page table"
                      : frame->error & BIT(0) ? "forbidden"
                                              : "nothing is mapped there";

    fmt_print(buf, size, "page fault: %s at 0x%llx, %s%s", what, (unsigned long long)address, why,
              thread_guard_hit(address) ? ": this thread's stack is full" : "");
    return buf;
}

static void page_fault(struct trap_frame *frame)
{
    uint64_t address = read_cr2();
    char text[128];

    /* Bit 0: a page is there, it is the access that is wrong. */
    if (!(frame->error & (BIT(0) | BIT(3))) && guest_ram_fault(address))
        return;
    if (fix_up(frame, frame->rip) || (frame->error & BIT(4) && fix_up_call(frame, address)))
        return;
    panic_trap(frame, describe_page_fault(frame, address, text, sizeof(text)));
}

static void exception(struct trap_frame *frame)
{
    static const char *const names[] = {
        [0] = "division by zero",
        [1] = "debug exception",
        [2] = "NMI",
        [3] = "breakpoint",
        [4] = "overflow",
        [5] = "BOUND",
        [6] = "invalid instruction (or a broken assertion)",
        [7] = "no coprocessor",
        [8] = "double fault",
        [10] = "invalid TSS",
        [11] = "segment not present",
        [12] = "stack fault",
        [13] = "general protection",
        [16] = "x87 error",
        [17] = "alignment check",
        [18] = "machine check",
        [19] = "SIMD error",
        [20] = "virtualization exception",
        [21] = "control protection",
    };
    const char *name = frame->vector < ARRAY_SIZE(names) ? names[frame->vector] : NULL;
    char text[128];

    switch (frame->vector) {
    case TRAP_PF:
        page_fault(frame);
        return;
    case TRAP_NMI:
        if (panicking())
            panic_stop(frame->rip, frame->rbp);
        break;
    case TRAP_DF: /* most often a stack that ran into its guard page: the page fault had no stack */
        if (thread_guard_hit(read_cr2()))
            panic_trap(frame, "this thread's stack is full");
        break;
    case TRAP_MC:
        break;
    default:
        if (fix_up(frame, frame->rip))
            return;
        break;
    }
    fmt_print(text, sizeof(text), "%s, error code 0x%llx", name ? name : "unknown exception",
              (unsigned long long)frame->error);
    panic_trap(frame, text);
}

void trap_handle(struct trap_frame *frame)
{
    if (frame->vector < 32)
        exception(frame);
    else
        irq_handle((unsigned)frame->vector);
}
