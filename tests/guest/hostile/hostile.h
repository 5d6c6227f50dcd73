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
void calls_forward(void);
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
void accesses_far_apart(void);
void operand_at_end_of_ram(void);
void smap_after_call(void);
void smap_branch_nowhere(void);
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
void fw_cfg_dma_flood(void);
void acpi_pm_garbage(void);

/* virtio-queue.c */
void virtq_self_loop(void);
void virtq_long_loop(void);
void virtq_next_out_of_range(void);
void virtq_head_out_of_range(void);
void virtq_index_jumps(void);
void virtq_index_goes_back(void);
void virtq_zero_length(void);
void virtq_huge_length(void);
void virtq_huge_sum(void);
void virtq_buffer_beyond_ram(void);
void virtq_buffer_wraps(void);
void virtq_buffer_in_mmio(void);
void virtq_read_after_write(void);
void virtq_wrong_direction(void);
void virtq_same_buffer(void);
void virtq_indirect_in_indirect(void);
void virtq_indirect_length(void);
void virtq_indirect_address(void);
void virtq_indirect_loop(void);
void virtq_indirect_and_next(void);
void virtq_indirect_too_long(void);
void virtq_indirect_unnegotiated(void);
void virtq_random(void);
void virtq_random_event_index(void);
void virtq_random_all_features(void);
void virtq_change_under_way(void);

/* virtio-transport.c */
void virtq_sizes(void);
void virtq_rings_in_mmio(void);
void virtq_rings_beyond_ram(void);
void virtq_rings_wrap(void);
void virtq_rings_unaligned(void);
void virtq_rings_overlap(void);
void virtq_moves_while_live(void);
void virtio_notify_early(void);
void virtio_notify_no_such_queue(void);
void virtio_no_such_queue(void);
void virtio_features_not_offered(void);
void virtio_features_change_while_live(void);
void virtio_status_backwards(void);
void virtio_registers_random(void);
void virtio_config_out_of_range(void);
void virtio_config_window(void);
void virtio_vectors_out_of_range(void);
void virtio_dma_off_in_flight(void);
void virtio_reset_in_flight(void);
void virtio_all_at_once(void);

/* virtio-devices.c */
void blk_sectors(void);
void blk_lengths(void);
void blk_unknown_types(void);
void blk_no_status_byte(void);
void blk_no_header(void);
void blk_header_in_pieces(void);
void blk_direction_swapped(void);
void blk_discard_garbage(void);
void blk_id_short(void);
void blk_reset_stops_dma(void);
void blk_into_own_rings(void);
void dma_over_code(void);
void dma_over_running_code(void);
void balloon_beyond_ram(void);
void balloon_odd_lists(void);
void balloon_takes_code(void);
void balloon_takes_rings(void);
void balloon_takes_everything(void);
void balloon_reports_garbage(void);
void console_control_garbage(void);
void console_input_readable(void);
void console_flood(void);
void net_short_frames(void);
void net_long_frames(void);
void net_header_garbage(void);
void net_small_buffers(void);
void net_no_buffers(void);
void rng_huge(void);

/* smp.c */
void smp_port_storm(void);
void smp_mmio_storm(void);
void smp_ipi_storm(void);
void smp_deadline_storm(void);
void smp_nmi_unstarted(void);
void smp_nmi_halted(void);
void smp_cross_modifying(void);
void smp_init_storm(void);
void smp_old_modes(void);
void timer_storm(void);
void endless_strings(void);
void endless_port_strings(void);
void uart_flood(void);
void uart_flood_and_fault(void);

#endif
