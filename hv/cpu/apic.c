/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/cpu/apic.h"

#include "hv/cpu/insn.h"
#include "hv/mem/map.h"
#include "hv/panic.h"

#define APIC_ID       0x20U
#define APIC_TPR      0x80U
#define APIC_EOI      0xb0U
#define APIC_SVR      0xf0U
#define APIC_ESR      0x280U
#define APIC_ICR      0x300U
#define APIC_ICR_HIGH 0x310U
#define APIC_TIMER    0x320U
#define APIC_THERMAL  0x330U
#define APIC_PERF     0x340U
#define APIC_LINT0    0x350U
#define APIC_LINT1    0x360U
#define APIC_ERROR    0x370U
#define APIC_INITIAL  0x380U
#define APIC_CURRENT  0x390U
#define APIC_DIVIDE   0x3e0U

#define LVT_MASKED    BIT(16)
#define LVT_NMI       (4U << 8)
#define LVT_TSC       (2U << 17)

#define ICR_PENDING   BIT(12)
#define ICR_ASSERT    BIT(14)
#define ICR_LEVEL     BIT(15)
#define ICR_NMI       (4U << 8)
#define ICR_INIT      (5U << 8)
#define ICR_STARTUP   (6U << 8)
#define ICR_OTHERS    (3U << 18)

static struct {
    volatile uint8_t *registers; /* NULL: x2APIC, by MSRs */
    bool deadline;
} apic;

static uint32_t read(uint32_t reg)
{
    return apic.registers ? mmio_read32(apic.registers + reg) : (uint32_t)rdmsr(MSR_X2APIC + (reg >> 4));
}

static void write(uint32_t reg, uint32_t value)
{
    if (apic.registers)
        mmio_write32(apic.registers + reg, value);
    else
        wrmsr(MSR_X2APIC + (reg >> 4), value);
}

void apic_init(uint64_t address)
{
    uint32_t features = cpuid(1, 0).ecx;

    apic.deadline = features & BIT(24);
    if (features & BIT(21))
        return;
    apic.registers = map_device(address, 4096);
    if (!apic.registers)
        panic("no memory for the local APIC's registers");
}

void apic_init_cpu(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    wrmsr(MSR_APIC_BASE, base | BIT(11)); /* first xAPIC, then x2APIC */
    if (!apic.registers)
        wrmsr(MSR_APIC_BASE, base | BIT(11) | BIT(10));
    write(APIC_SVR, BIT(8) | VECTOR_SPURIOUS);
    write(APIC_TPR, 0);
    write(APIC_TIMER, apic.deadline ? LVT_TSC | VECTOR_TIMER : VECTOR_TIMER);
    write(APIC_DIVIDE, 0xb); /* by 1 */
    write(APIC_LINT0, LVT_MASKED);
    write(APIC_LINT1, LVT_NMI);
    write(APIC_ERROR, LVT_MASKED);
    /* The timer's mode before its first deadline (SDM 3A 10.5.4.1). */
    __asm__ volatile("mfence" : : : "memory");
}

uint32_t apic_id(void)
{
    return apic.registers ? read(APIC_ID) >> 24 : read(APIC_ID);
}

void apic_eoi(void)
{
    write(APIC_EOI, 0);
}

/* ---- to other processors ---- */

static void send(uint32_t id, uint32_t command)
{
    if (!apic.registers) {
        /* What was stored is seen by who gets it. */
        __asm__ volatile("mfence; lfence" : : : "memory");
        wrmsr(MSR_X2APIC + (APIC_ICR >> 4), (uint64_t)id << 32 | command);
        return;
    }
    for (unsigned i = 0; i < 1000000 && read(APIC_ICR) & ICR_PENDING; i++)
        cpu_pause();
    write(APIC_ICR_HIGH, id << 24);
    write(APIC_ICR, command);
}

void apic_ipi(uint32_t id, uint8_t vector)
{
    send(id, ICR_ASSERT | vector);
}

void apic_nmi_others(void)
{
    send(0, ICR_OTHERS | ICR_ASSERT | ICR_NMI);
}

void apic_send_init(uint32_t id)
{
    send(id, ICR_LEVEL | ICR_ASSERT | ICR_INIT);
}

void apic_send_startup(uint32_t id, uint8_t page)
{
    send(id, ICR_ASSERT | ICR_STARTUP | page);
}

/* ---- the timer ---- */

bool apic_timer_is_tsc(void)
{
    return apic.deadline;
}

void apic_timer_set_tsc(uint64_t tsc)
{
    wrmsr(MSR_TSC_DEADLINE, tsc);
}

void apic_timer_set_ticks(uint32_t ticks)
{
    write(APIC_INITIAL, ticks);
}

uint32_t apic_timer_ticks_left(void)
{
    return read(APIC_CURRENT);
}
