/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control block of AMD-V and what surrounds it (APM 2, chapter 15 and appendices B, C). */
#ifndef ENGINE_SVM_VMCB_H
#define ENGINE_SVM_VMCB_H

#include "base/base.h"

struct vmcb_segment {
    uint16_t selector;
    uint16_t attr; /* the descriptor's bits 40..47 and 52..55 */
    uint32_t limit;
    uint64_t base;
};

#define SVM_SEG_L_DB 0x600U /* in attr: L and D */

struct vmcb {
    uint16_t cr_read, cr_write, dr_read, dr_write;
    uint32_t exceptions;
    uint32_t intercept[3]; /* offsets 0c, 10, 14 */
    uint8_t reserved_018[0x3c - 0x18];
    uint16_t pause_threshold, pause_count;
    uint64_t iopm, msrpm;
    uint64_t tsc_offset;
    uint32_t asid;
    uint8_t tlb_control;
    uint8_t reserved_05d[3];
    uint32_t vintr;
    uint8_t vintr_vector;
    uint8_t reserved_065[3];
    uint64_t shadow; /* bit 0 */
    uint64_t exit_code, exit_info1, exit_info2, exit_event;
    uint64_t nested; /* bit 0: nested paging */
    uint8_t reserved_098[0xa8 - 0x98];
    uint64_t inject;
    uint64_t nested_cr3;
    uint64_t virtualize; /* bit 0: last branch records */
    uint32_t clean;
    uint32_t reserved_0c4;
    uint64_t next_rip;
    uint8_t byte_count;
    uint8_t bytes[15];
    uint8_t reserved_0e0[0x400 - 0xe0];

    /* saved state */
    struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved_4a0[0x4cb - 0x4a0];
    uint8_t cpl;
    uint32_t reserved_4cc;
    uint64_t efer;
    uint8_t reserved_4d8[0x548 - 0x4d8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t reserved_580[0x5d8 - 0x580];
    uint64_t rsp;
    uint8_t reserved_5e0[0x5f8 - 0x5e0];
    uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    uint8_t reserved_648[0x668 - 0x648];
    uint64_t pat, debugctl;
    uint8_t reserved_678[0x6e0 - 0x678];
    uint64_t spec_ctrl;
    uint8_t reserved_6e8[0x1000 - 0x6e8];
};

_Static_assert(offsetof(struct vmcb, iopm) == 0x40 && offsetof(struct vmcb, asid) == 0x58 &&
                   offsetof(struct vmcb, vintr) == 0x60 && offsetof(struct vmcb, exit_code) == 0x70 &&
                   offsetof(struct vmcb, nested) == 0x90 && offsetof(struct vmcb, inject) == 0xa8 &&
                   offsetof(struct vmcb, clean) == 0xc0 && offsetof(struct vmcb, bytes) == 0xd1 &&
                   offsetof(struct vmcb, es) == 0x400 && offsetof(struct vmcb, efer) == 0x4d0 &&
                   offsetof(struct vmcb, rip) == 0x578 && offsetof(struct vmcb, rax) == 0x5f8 &&
                   offsetof(struct vmcb, cr2) == 0x640 && offsetof(struct vmcb, pat) == 0x668 &&
                   sizeof(struct vmcb) == 0x1000,
               "the layout is the processor's");

/* intercept[0] */
#define SVM_I_INTR      BIT(0)
#define SVM_I_NMI       BIT(1)
#define SVM_I_INIT      BIT(3)
#define SVM_I_VINTR     BIT(4)
#define SVM_I_CR0_WRITE BIT(5) /* of other bits than TS and MP */
#define SVM_I_RDPMC     BIT(15)
#define SVM_I_CPUID     BIT(18)
#define SVM_I_RSM       BIT(19)
#define SVM_I_IRET      BIT(20)
#define SVM_I_INVD      BIT(22)
#define SVM_I_PAUSE     BIT(23)
#define SVM_I_HLT       BIT(24)
#define SVM_I_INVLPGA   BIT(26)
#define SVM_I_IO        BIT(27)
#define SVM_I_MSR       BIT(28)
#define SVM_I_TASK      BIT(29)
#define SVM_I_FERR      BIT(30)
#define SVM_I_SHUTDOWN  BIT(31)
/* intercept[1] */
#define SVM_I_VMRUN    BIT(0)
#define SVM_I_VMMCALL  BIT(1)
#define SVM_I_VMLOAD   BIT(2)
#define SVM_I_VMSAVE   BIT(3)
#define SVM_I_STGI     BIT(4)
#define SVM_I_CLGI     BIT(5)
#define SVM_I_SKINIT   BIT(6)
#define SVM_I_RDTSCP   BIT(7)
#define SVM_I_ICEBP    BIT(8)
#define SVM_I_WBINVD   BIT(9)
#define SVM_I_MONITOR  BIT(10)
#define SVM_I_MWAIT    BIT(11)
#define SVM_I_MWAIT_IF BIT(12)
#define SVM_I_XSETBV   BIT(13)
#define SVM_I_RDPRU    BIT(14)
/* intercept[2] */
#define SVM_I_INVPCID   BIT(2)
#define SVM_I_MCOMMIT   BIT(3)

#define SVM_TLB_ALL     1 /* tlb_control */
#define SVM_TLB_ASID    3

#define SVM_V_IRQ       BIT(8)
#define SVM_V_IGN_TPR   BIT(20)
#define SVM_V_MASKING   BIT(24) /* the guest's IF does not mask the machine's interrupts */

#define SVM_EVENT_NMI   (2U << 8)
#define SVM_EVENT_FAULT (3U << 8)
#define SVM_EVENT_SOFT  (4U << 8)
#define SVM_EVENT_TYPE  (7U << 8)
#define SVM_EVENT_ERROR BIT(11)
#define SVM_EVENT_VALID BIT(31)

/* clean: these parts are as the processor left them */
#define SVM_CLEAN_INTERCEPTS BIT(0) /* and the TSC's offset */
#define SVM_CLEAN_MAPS       BIT(1)
#define SVM_CLEAN_ASID       BIT(2)
#define SVM_CLEAN_VINTR      BIT(3)
#define SVM_CLEAN_NESTED     BIT(4)
#define SVM_CLEAN_CR         BIT(5)
#define SVM_CLEAN_DR         BIT(6)
#define SVM_CLEAN_TABLES     BIT(7)
#define SVM_CLEAN_SEGMENTS   BIT(8)
#define SVM_CLEAN_CR2        BIT(9)
#define SVM_CLEAN_ALL        (BIT(10) - 1)

enum svm_exit {
    SVM_EXIT_CR_READ = 0x00,
    SVM_EXIT_CR_WRITE = 0x10,
    SVM_EXIT_DR_READ = 0x20,
    SVM_EXIT_DR_WRITE = 0x30,
    SVM_EXIT_EXCEPTION = 0x40,
    SVM_EXIT_INTR = 0x60,
    SVM_EXIT_NMI = 0x61,
    SVM_EXIT_SMI = 0x62,
    SVM_EXIT_INIT = 0x63,
    SVM_EXIT_VINTR = 0x64,
    SVM_EXIT_CR0_WRITE = 0x65,
    SVM_EXIT_CPUID = 0x72,
    SVM_EXIT_IRET = 0x74,
    SVM_EXIT_PAUSE = 0x77,
    SVM_EXIT_HLT = 0x78,
    SVM_EXIT_IO = 0x7b,
    SVM_EXIT_MSR = 0x7c,
    SVM_EXIT_TASK = 0x7d,
    SVM_EXIT_SHUTDOWN = 0x7f,
    SVM_EXIT_LAST_INSTRUCTION = 0xa3,
    SVM_EXIT_NESTED_FAULT = 0x400,
};
#define SVM_EXIT_INVALID  0xffffffffU /* VMRUN refuses the state; in QEMU the upper half is clear */

#define SVM_FAULT_WRITE   BIT64(1) /* exit_info1 of nested page faults */
#define SVM_FAULT_FETCH   BIT64(4)
#define SVM_FAULT_FINAL   BIT64(32) /* at the address itself, not on the walk to it */

#define SVM_IO_IN         BIT64(0)
#define SVM_IO_STRING     BIT64(2)

#define SVM_MSR_TSC_RATIO 0xc0000104U
#define SVM_MSR_VM_CR     0xc0010114U
#define SVM_MSR_HSAVE     0xc0010117U
#define SVM_VM_CR_SVMDIS  BIT64(4)
#define SVM_VM_CR_LOCK    BIT64(3)

#endif
