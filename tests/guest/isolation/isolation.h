/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests that try whether VMs are alone: with what they were given, and with nothing
 * of anybody else's. Each names its law in main.c. Those of law 1 must also be true
 * on a processor of its own.
 */
#ifndef TESTS_GUEST_ISOLATION_H
#define TESTS_GUEST_ISOLATION_H

#include "tests/guest/isolation/machine.h"

/* witness.c */
void witness(void);

/* secrets.c */
void leave_secrets(void);
void keep_secrets(void);
void find_secrets(void);
void find_secrets_beside(void);

/* hidden.c */
void svm_instructions(void);
void vmx_instructions(void);
void smx_instructions(void);
void monitor_and_mwait(void);
void user_waits(void);
void hidden_instructions(void);
void transactions(void);
void cpuid_hides(void);
void cpuid_is_constant(void);

/* registers.c */
void cr0_bits(void);
void cr4_bits(void);
void cr8_bits(void);
void efer_bits(void);
void xcr0_values(void);
void debug_register_bits(void);
void la57_attempts(void);
void cache_control(void);

/* msrs.c */
void msr_virtualization(void);
void msr_smm(void);
void msr_microcode(void);
void msr_debugctl(void);
void msr_performance(void);
void msr_mtrrs(void);
void msr_speculation(void);
void msr_addresses(void);
void msr_apic_base(void);
void tsc_is_its_own(void);

/* events.c */
void db_forever(void);
void nmi_storm(void);
void nmi_is_blocked(void);
void faults_in_delivery(void);
void delivery_on_bad_stacks(void);
void interrupt_stack_table(void);
void shadow_of_sti(void);
void shadow_of_mov_ss(void);
void interrupts_by_priority(void);
void interrupts_exactly_once(void);
void timer_exactly_once(void);
void hpet_and_pit_interrupts(void);

/* debug.c */
void single_step(void);
void single_step_in_ring3(void);
void single_step_over_sti(void);
void breakpoints(void);
void int1_traps(void);
void watchpoints(void);
void general_detect(void);

/* memory.c */
void memory_beyond_ram(void);
void every_physical_address(void);
void huge_pages(void);
void tables_beyond_ram(void);
void accessed_and_dirty(void);
void page_rights(void);
void smep_and_smap(void);
void tlb_is_kept_and_flushed(void);
void pcids(void);
void ram_is_ones_own(void);
void atomic_between_cpus(void);

/* devices.c */
void pci_own_devices(void);
void ports_own(void);
void windows_own(void);
void host_addresses(void);
void time_sources_agree(void);
void rtc_agrees(void);

/* results.c */
void flags_across_exits(void);
void registers_across_exits(void);
void string_io(void);
void string_io_faults(void);
void mmio_arithmetic(void);
void syscall_and_sysret(void);
void sysenter(void);
void x87_exceptions(void);
void sse_exceptions(void);
void lazy_fpu(void);
void lazy_mmx(void);
void vectors_in_mmio(void);
void privileged_in_ring3(void);
void alignment_checks(void);

/* legacy.c */
void legacy_segments(void);
void legacy_limits(void);
void legacy_code16(void);
void legacy_ac_forever(void);
void legacy_paging(void);
void legacy_pae(void);
/* legacy-real.c */
void real_mode(void);
void real_mode_interrupts(void);
void real_mode_limits(void);
void virtual_8086(void);
/* legacy-tasks.c */
void task_switch(void);
void task_gate(void);
void task_switch_wrong(void);

/* storms.c */
void storm_cpuid(void);
void storm_ports(void);
void storm_mmio(void);
void storm_msr(void);
void storm_halt(void);
void storm_pause(void);
void storm_ipi(void);
void storm_page_faults(void);
void storm_nested_faults(void);
void storm_tlb(void);
void storm_timer(void);
void storm_console(void);
void storm_disk(void);
void storm_network(void);
void storm_cache(void);
void storm_modes(void);
void storm_spin(void);
void storm_crash(void);
void reboot_at_once(void);

/* efficiency.c */
void free_user_code(void);
void free_cr3_loads(void);
void free_invlpg(void);
void free_page_faults(void);
void free_syscalls(void);
void free_rdtsc(void);
void free_fpu(void);
void free_memory(void);

#endif
