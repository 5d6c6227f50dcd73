/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests that attack their VMM. Each passes if it gets to its end; the harness looks at what became of the
 * VMM. */
#ifndef TESTS_GUEST_HOSTILE_H
#define TESTS_GUEST_HOSTILE_H

#include "tests/guest/kernel/kernel.h"

/* cpu.c */
void triple_fault(void);
void triple_fault_cr3(void);
void msr_read_sweep(void);
void msr_write_sweep(void);
void control_register_sweep(void);
void debug_register_sweep(void);
void random_opcodes_ring0(void);
void random_opcodes_ring3(void);
void cpuid_sweep(void);
void halt_forever(void);
void spin_forever(void);
void fxrstor_garbage(void);
void xsave_garbage(void);
void descriptor_garbage(void);
void task_switch_garbage(void);
void exception_storm(void);
void double_fault_loop(void);
void prefix_flood(void);

/* memory.c */
void page_table_loop(void);
void page_tables_in_mmio(void);
void page_tables_beyond_ram(void);
void page_tables_random(void);
void code_in_mmio(void);
void code_beyond_ram(void);
void stack_in_mmio(void);
void idt_in_mmio(void);
void string_into_mmio(void);
void string_wraps(void);
void locked_on_mmio(void);
void split_accesses(void);
void self_modifying_block(void);
void self_modifying_page(void);
void self_modifying_random(void);
void mmio_sweep(void);
void mmio_unaligned(void);
void rom_writes(void);

/* board.c */
void port_sweep(void);
void pci_config_sweep(void);
void pci_config_ecam_sweep(void);
void pci_bars_over_ram(void);
void pci_bars_over_each_other(void);
void pci_bars_wrap(void);
void msix_garbage(void);
void lapic_sweep(void);
void x2apic_sweep(void);
void ipi_storm(void);
void init_and_sipi_self(void);
void apic_base_moves(void);
void ioapic_garbage(void);
void pic_garbage(void);
void pit_storm(void);
void hpet_storm(void);
void rtc_storm(void);
void i8042_garbage(void);
void uart_garbage(void);
void fw_cfg_dma_garbage(void);
void acpi_pm_garbage(void);

#endif
