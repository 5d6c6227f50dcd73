/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the loader to 64 bits. Both multiboot protocols enter here in 32-bit protected
 * mode without paging (multiboot2 3.3, multiboot 3.2). The image may have been moved by
 * a multiple of 2 MiB (multiboot 2's relocatable tag): ebp is that distance, and
 * nothing here is used at a fixed address before paging is on.
 */
#define KERNEL_BASE 0xffffffff80000000
#define PHYS(sym)   ((sym) - KERNEL_BASE)

#define MB1_FLAGS   0x00010003 /* page-aligned modules, memory map, address fields */
#define MB2_LENGTH  (mb2_end - mb2_header)

    .section .boot, "ax", @progbits
    .balign 8
mb1_header:
    .long 0x1badb002, MB1_FLAGS, 0x100000000 - (0x1badb002 + MB1_FLAGS)
    .long PHYS(mb1_header), PHYS(image_start), PHYS(image_loaded), PHYS(image_end), PHYS(boot_entry)

    .balign 8
mb2_header:
    .long 0xe85250d6, 0, MB2_LENGTH, 0x100000000 - (0xe85250d6 + MB2_LENGTH)
    /* Information request, optional: command line, modules, memory map, framebuffer, RSDP 1 and 2. */
    .short 1, 1
    .long 32, 1, 3, 6, 8, 14, 15
    /* Console flags: VGA text will do; without this tag's sibling for graphics, UEFI gives a framebuffer. */
    .short 4, 1
    .long 12, 2
    .balign 8
    .short 3, 0 /* entry address */
    .long 12, PHYS(boot_entry)
    .balign 8
    .short 6, 0 /* modules on page boundaries */
    .long 8
    .short 10, 1 /* relocatable: 2 MiB aligned, as low as possible */
    .long 24, 0x200000, 0xffffffff, 0x200000, 1
    .short 0, 0
    .long 8
mb2_end:

    .code32
    .globl boot_entry
boot_entry:
    cld
    cli
    mov %eax, %esi
    /* A stack of one word to learn where we are: the loader's own structure, put back at once. */
    mov 4(%ebx), %edi
    lea 8(%ebx), %esp
    call 1f
1:  pop %ebp
    mov %edi, 4(%ebx)
    sub $PHYS(1b), %ebp
    lea PHYS(boot_stack_top)(%ebp), %esp
    push %ebx
    push %esi

    mov $0x80000000, %eax
    cpuid
    cmp $0x80000001, %eax
    jb no_long_mode
    mov $0x80000001, %eax
    cpuid
    bt $29, %edx
    jnc no_long_mode

    /* The first 4 GiB at 0 and at DIRECT_BASE, the image's gigabyte at KERNEL_BASE. */
    lea PHYS(boot_pml4)(%ebp), %edi
    lea PHYS(boot_pdpt) + 3(%ebp), %eax
    mov %eax, (%edi)
    mov %eax, 273 * 8(%edi)
    lea PHYS(boot_pdpt_high) + 3(%ebp), %eax
    mov %eax, 511 * 8(%edi)
    lea PHYS(boot_pdpt)(%ebp), %edi
    lea PHYS(boot_pd) + 3(%ebp), %eax
    mov $4, %ecx
1:  mov %eax, (%edi)
    add $8, %edi
    add $4096, %eax
    loop 1b
    lea PHYS(boot_pdpt_high)(%ebp), %edi
    lea PHYS(boot_pd_high) + 3(%ebp), %eax
    mov %eax, 510 * 8(%edi)
    lea PHYS(boot_pd)(%ebp), %edi
    mov $0x83, %eax
    mov $2048, %ecx
    call fill
    lea PHYS(boot_pd_high)(%ebp), %edi
    lea 0x83(%ebp), %eax
    mov $512, %ecx
    call fill

    mov $0x20, %eax /* PAE */
    mov %eax, %cr4
    lea PHYS(boot_pml4)(%ebp), %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx /* EFER.LME */
    rdmsr
    bts $8, %eax
    wrmsr
    mov $0x80010011, %eax /* PG, WP, ET, PE */
    mov %eax, %cr0

    pop %esi
    pop %ebx
    lea PHYS(boot_gdt)(%ebp), %eax
    push $0
    push %eax
    sub $2, %esp
    movw $23, (%esp)
    lgdt (%esp)
    lea PHYS(boot_entry64)(%ebp), %eax
    push $8
    push %eax
    lret

fill:
    mov %eax, (%edi)
    add $8, %edi
    add $0x200000, %eax
    loop fill
    ret

no_long_mode:
    lea PHYS(no_long_mode_text)(%ebp), %esi
    mov $0xb8000, %edi
    mov $0x4f, %ah
1:  lodsb
    test %al, %al
    jz 2f
    stosw
    mov $0x3f8, %dx
    outb %al, %dx
    jmp 1b
2:  hlt
    jmp 2b

    .code64
boot_entry64:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov %esi, %edi
    mov %ebx, %esi
    mov %ebp, %edx
    mov $boot_stack_top, %rsp
    xor %ebp, %ebp
    mov $hv_start, %rax
    call *%rax
    ud2

no_long_mode_text:
    .asciz "batuta-hv: this processor has no 64-bit mode"

    .balign 8
    .globl boot_gdt
boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff

    .section .bss.boot, "aw", @nobits
    .balign 4096
    .globl boot_pml4, boot_pages_end
boot_pml4:
    .skip 4096
boot_pdpt:
    .skip 4096
boot_pdpt_high:
    .skip 4096
boot_pd_high:
    .skip 4096
boot_pd:
    .skip 4 * 4096
boot_pages_end:

    /* The first stack; the page below it is not mapped once the page tables are ours. */
    .section .bss.stack, "aw", @nobits
    .balign 4096
    .globl boot_guard, boot_stack, boot_stack_top
boot_guard:
    .skip 4096
boot_stack:
    .skip 16384
boot_stack_top:

    .section .note.GNU-stack, "", @progbits
