/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where interrupts are on: nowhere else. */
#include "hv/cpu/apic.h"
#include "hv/cpu/cpu.h"

void cpu_irq_window(void)
{
    /* One instruction behind STI runs before an interrupt is taken, and then all that wait. */
    __asm__ volatile("sti; nop; cli" : : : "memory");
}

void cpu_idle_wait(void)
{
    /* With interrupts off nothing comes between the question and HLT. */
    if (__atomic_load_n(&cpu_this()->must_yield, __ATOMIC_SEQ_CST))
        cpu_irq_window();
    else
        __asm__ volatile("sti; hlt; cli" : : : "memory");
}

void cpu_poke(struct cpu *cpu)
{
    /* Who has been asked and has not looked yet need not be asked again. */
    if (!__atomic_exchange_n(&cpu->must_yield, true, __ATOMIC_SEQ_CST) && cpu != cpu_this())
        apic_ipi(cpu->metal.apic_id, VECTOR_POKE);
}
