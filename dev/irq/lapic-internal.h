/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the local APIC: lapic.c (registers), lapic-deliver.c (messages), lapic-timer.c. */
#ifndef DEV_IRQ_LAPIC_INTERNAL_H
#define DEV_IRQ_LAPIC_INTERNAL_H

#include "core/device.h"
#include "dev/irq/lapic.h"

/* Registers by x2APIC number, which is the xAPIC offset / 16 (SDM tables 11-1, 11-6) */
enum lapic_register {
    APIC_ID = 0x02,
    APIC_VERSION = 0x03,
    APIC_TPR = 0x08,
    APIC_APR = 0x09,
    APIC_PPR = 0x0a,
    APIC_EOI = 0x0b,
    APIC_LDR = 0x0d,
    APIC_DFR = 0x0e,
    APIC_SVR = 0x0f,
    APIC_ISR = 0x10,
    APIC_TMR = 0x18,
    APIC_IRR = 0x20,
    APIC_ESR = 0x28,
    APIC_ICR = 0x30,
    APIC_ICR_HIGH = 0x31,
    APIC_LVT_TIMER = 0x32,
    APIC_LVT_ERROR = 0x37,
    APIC_INITIAL_COUNT = 0x38,
    APIC_CURRENT_COUNT = 0x39,
    APIC_DIVIDE = 0x3e,
    APIC_SELF_IPI = 0x3f,
};

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define LVT_MASKED          BIT(16)
#define LVT_TIMER_MODE      (3U << 17)
#define LVT_TIMER_ONE_SHOT  0U
#define LVT_TIMER_PERIODIC  BIT(17)
#define LVT_TIMER_DEADLINE  BIT(18)

#define SVR_ENABLED         BIT(8)
#define SVR_WRITABLE        0x3ffU /* vector, enable, focus */
#define ICR_WRITABLE        0xccfffU

#define ESR_SEND_ILLEGAL    BIT(5)
#define ESR_RECEIVE_ILLEGAL BIT(6)
#define ESR_REGISTER        BIT(7)

/* Delivery modes (ICR, LVT, MSI) */
enum lapic_delivery {
    DELIVER_FIXED,
    DELIVER_LOWEST,
    DELIVER_SMI,
    DELIVER_RESERVED,
    DELIVER_NMI,
    DELIVER_INIT,
    DELIVER_STARTUP,
    DELIVER_EXTINT,
};

/* IA32_APIC_BASE (SDM 11.4.4, 11.12.1) */
#define APIC_BASE_BSP     BIT64(8)
#define APIC_BASE_X2APIC  BIT64(10)
#define APIC_BASE_ENABLED BIT64(11)

struct lapics;

struct lapic {
    struct lapics *all;
    struct vcpu *vcpu;
    uint64_t base; /* IA32_APIC_BASE */
    uint32_t ldr, dfr, svr;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t esr;         /* as read */
    uint32_t esr_pending; /* until the next write of ESR */
    uint64_t icr;
    uint32_t lvt[LVT_COUNT];

    uint32_t initial_count, divide;
    bool timer_running;
    uint64_t timer_start; /* VM clock, when the count was at initial_count */
    uint64_t tsc_deadline;
    struct timer timer;

    /* Written with the lock, read without by the vCPU's thread. */
    uint32_t tpr;     /* written by that thread, without the lock too */
    int32_t irr_high; /* highest vector, -1: none */
    int32_t isr_high;
};

struct lapics {
    struct device dev;
    struct io_region region;
    unsigned count;
    bool engine_has;      /* they run in the engine; this is for their state only */
    bool extint;          /* the 8259's INTR */
    uint32_t lowest_next; /* where the search for a lowest-priority target starts */
    struct lapic cpu[VM_MAX_VCPUS];
};

struct lapic_message {
    uint32_t dest;
    bool logical;
    bool wide; /* dest has 32 bits: from an x2APIC's ICR */
    bool level;
    uint8_t mode; /* enum lapic_delivery */
    uint8_t vector;
};

static inline bool lapic_enabled(const struct lapic *apic)
{
    return apic->base & APIC_BASE_ENABLED;
}

static inline bool lapic_x2apic(const struct lapic *apic)
{
    return apic->base & APIC_BASE_X2APIC;
}

extern const uint32_t lapic_lvt_writable[LVT_COUNT];

/* lapic-engine.c: from the engine that has them, and to it. 0 or a negative errno. */
int lapics_fetch(struct lapics *all);
int lapics_give(struct lapics *all);

/* lapic-deliver.c */
void lapic_deliver(struct lapics *all, const struct lapic_message *msg);
void lapic_icr_send(struct lapic *apic);
void lapic_accept(struct lapic *apic, uint8_t vector, bool level);
void lapic_lvt_fire(struct lapic *apic, enum lapic_lvt lvt);
void lapic_error(struct lapic *apic, uint32_t esr);
void lapic_eoi(struct lapic *apic);
/* Recomputes irr_high and isr_high. */
void lapic_cache(struct lapic *apic);
/* Tells the vCPU to look at pending() if there is something to find. */
void lapic_poke(struct lapic *apic);
bool lapic_pending(struct vcpu *vcpu);
int lapic_acknowledge(struct vcpu *vcpu);
uint32_t lapic_ppr(const struct lapic *apic);

/* lapic-timer.c */
void lapic_timer_init(struct lapic *apic);
void lapic_timer_stop(struct lapic *apic);
void lapic_timer_start(struct lapic *apic, uint32_t initial_count);
void lapic_timer_divide(struct lapic *apic, uint32_t divide);
uint32_t lapic_timer_count(const struct lapic *apic);
void lapic_timer_deadline(struct lapic *apic, uint64_t tsc);
/* log2 of what the input is divided by. */
unsigned lapic_timer_shift(const struct lapic *apic);
/* Arms the host's timer as the registers say. */
void lapic_timer_arm(struct lapic *apic);

#endif
