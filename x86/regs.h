/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control bits, exceptions and MSR numbers, spelled as in Intel's SDM volume 3
 * (chapters 2, 6) and volume 4, and in AMD's APM volume 2.
 */
#ifndef X86_REGS_H
#define X86_REGS_H

#include "x86/insn.h"

/* RFLAGS beyond the arithmetic ones (SDM 3A 2.3) */
#define X86_FL_FIXED       BIT(1)
#define X86_FL_TF          BIT(8)
#define X86_FL_IF          BIT(9)
#define X86_FL_DF          BIT(10)
#define X86_FL_IOPL        (3U << 12)
#define X86_FL_NT          BIT(14)
#define X86_FL_RF          BIT(16)
#define X86_FL_VM          BIT(17)
#define X86_FL_AC          BIT(18)
#define X86_FL_VIF         BIT(19)
#define X86_FL_VIP         BIT(20)
#define X86_FL_ID          BIT(21)

#define X86_CR0_PE         BIT(0)
#define X86_CR0_MP         BIT(1)
#define X86_CR0_EM         BIT(2)
#define X86_CR0_TS         BIT(3)
#define X86_CR0_ET         BIT(4)
#define X86_CR0_NE         BIT(5)
#define X86_CR0_WP         BIT(16)
#define X86_CR0_AM         BIT(18)
#define X86_CR0_NW         BIT(29)
#define X86_CR0_CD         BIT(30)
#define X86_CR0_PG         BIT(31)

#define X86_CR4_VME        BIT(0)
#define X86_CR4_PVI        BIT(1)
#define X86_CR4_TSD        BIT(2)
#define X86_CR4_DE         BIT(3)
#define X86_CR4_PSE        BIT(4)
#define X86_CR4_PAE        BIT(5)
#define X86_CR4_MCE        BIT(6)
#define X86_CR4_PGE        BIT(7)
#define X86_CR4_PCE        BIT(8)
#define X86_CR4_OSFXSR     BIT(9)
#define X86_CR4_OSXMMEXCPT BIT(10)
#define X86_CR4_UMIP       BIT(11)
#define X86_CR4_LA57       BIT(12)
#define X86_CR4_FSGSBASE   BIT(16)
#define X86_CR4_PCIDE      BIT(17)
#define X86_CR4_OSXSAVE    BIT(18)
#define X86_CR4_SMEP       BIT(20)
#define X86_CR4_SMAP       BIT(21)
#define X86_CR4_PKE        BIT(22)

#define X86_EFER_SCE       BIT(0)
#define X86_EFER_LME       BIT(8)
#define X86_EFER_LMA       BIT(10)
#define X86_EFER_NXE       BIT(11)
#define X86_EFER_SVME      BIT(12)
#define X86_EFER_FFXSR     BIT(14)
#define X86_EFER_AUTOIBRS  BIT(21)

#define X86_XCR0_X87       BIT(0)
#define X86_XCR0_SSE       BIT(1)
#define X86_XCR0_AVX       BIT(2)

#define X86_DR6_FIXED      0xffff0ff0U
#define X86_DR6_BD         BIT(13)
#define X86_DR6_BS         BIT(14)
#define X86_DR6_BT         BIT(15)
#define X86_DR7_FIXED      BIT(10)
#define X86_DR7_GD         BIT(13)

/* Exception vectors (SDM 3A 6.3.1) */
enum x86_vector {
    X86_DE = 0,
    X86_DB = 1,
    X86_NMI = 2,
    X86_BP = 3,
    X86_OF = 4,
    X86_BR = 5,
    X86_UD = 6,
    X86_NM = 7,
    X86_DF = 8,
    X86_TS = 10,
    X86_NP = 11,
    X86_SS_FAULT = 12,
    X86_GP = 13,
    X86_PF = 14,
    X86_MF = 16,
    X86_AC = 17,
    X86_MC = 18,
    X86_XM = 19,
};

/* Page-fault error code (SDM 3A 4.7) */
#define X86_PF_P    BIT(0)
#define X86_PF_W    BIT(1)
#define X86_PF_U    BIT(2)
#define X86_PF_RSVD BIT(3)
#define X86_PF_I    BIT(4)

/* Segment attributes: the descriptor's bits 40..47 and 52..55 as KVM, VMCB and VMCS also order them. */
#define X86_SEG_TYPE     0x000fU
#define X86_SEG_S        BIT(4)
#define X86_SEG_DPL      (3U << 5)
#define X86_SEG_P        BIT(7)
#define X86_SEG_AVL      BIT(12)
#define X86_SEG_L        BIT(13)
#define X86_SEG_DB       BIT(14)
#define X86_SEG_G        BIT(15)
#define X86_SEG_UNUSABLE BIT(16)

/* Page-table entries */
#define X86_PTE_P   BIT64(0)
#define X86_PTE_W   BIT64(1)
#define X86_PTE_U   BIT64(2)
#define X86_PTE_PWT BIT64(3)
#define X86_PTE_PCD BIT64(4)
#define X86_PTE_A   BIT64(5)
#define X86_PTE_D   BIT64(6)
#define X86_PTE_PS  BIT64(7)
#define X86_PTE_G   BIT64(8)
#define X86_PTE_NX  BIT64(63)

/* MSRs */
#define X86_MSR_TSC               0x10
#define X86_MSR_PLATFORM_ID       0x17
#define X86_MSR_APIC_BASE         0x1b
#define X86_MSR_FEATURE_CONTROL   0x3a
#define X86_MSR_TSC_ADJUST        0x3b
#define X86_MSR_SPEC_CTRL         0x48
#define X86_MSR_PRED_CMD          0x49
#define X86_MSR_BIOS_SIGN_ID      0x8b
#define X86_MSR_MTRRCAP           0xfe
#define X86_MSR_ARCH_CAPABILITIES 0x10a
#define X86_MSR_FLUSH_CMD         0x10b
#define X86_MSR_SYSENTER_CS       0x174
#define X86_MSR_SYSENTER_ESP      0x175
#define X86_MSR_SYSENTER_EIP      0x176
#define X86_MSR_MCG_CAP           0x179
#define X86_MSR_MCG_STATUS        0x17a
#define X86_MSR_MISC_ENABLE       0x1a0
#define X86_MSR_MTRR_PHYSBASE0    0x200 /* base, mask pairs to 0x20f */
#define X86_MSR_MTRR_FIX64K_00000 0x250
#define X86_MSR_MTRR_FIX16K_80000 0x258
#define X86_MSR_MTRR_FIX16K_A0000 0x259
#define X86_MSR_MTRR_FIX4K_C0000  0x268 /* to 0x26f */
#define X86_MSR_PAT               0x277
#define X86_MSR_MTRR_DEF_TYPE     0x2ff
#define X86_MSR_TSC_DEADLINE      0x6e0
#define X86_MSR_X2APIC_FIRST      0x800
#define X86_MSR_X2APIC_LAST       0x8ff
#define X86_MSR_EFER              0xc0000080U
#define X86_MSR_STAR              0xc0000081U
#define X86_MSR_LSTAR             0xc0000082U
#define X86_MSR_CSTAR             0xc0000083U
#define X86_MSR_SFMASK            0xc0000084U
#define X86_MSR_FS_BASE           0xc0000100U
#define X86_MSR_GS_BASE           0xc0000101U
#define X86_MSR_KERNEL_GS_BASE    0xc0000102U
#define X86_MSR_TSC_AUX           0xc0000103U
/* KVM's paravirtual clock and steal time (Linux Documentation/virt/kvm/x86/msr.rst) */
#define X86_MSR_KVM_WALL_CLOCK_NEW  0x4b564d00U
#define X86_MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01U
#define X86_MSR_KVM_STEAL_TIME      0x4b564d03U

/* IA32_ARCH_CAPABILITIES */
#define X86_ARCH_RDCL_NO        BIT64(0)
#define X86_ARCH_IBRS_ALL       BIT64(1)
#define X86_ARCH_RSBA           BIT64(2)
#define X86_ARCH_SKIP_L1DFL     BIT64(3)
#define X86_ARCH_SSB_NO         BIT64(4)
#define X86_ARCH_MDS_NO         BIT64(5)
#define X86_ARCH_PSCHANGE_MC_NO BIT64(6)
#define X86_ARCH_TAA_NO         BIT64(8)
#define X86_ARCH_SBDR_SSDP_NO   BIT64(13)
#define X86_ARCH_FBSDP_NO       BIT64(14)
#define X86_ARCH_PSDP_NO        BIT64(15)
#define X86_ARCH_FB_CLEAR       BIT64(17)
#define X86_ARCH_RRSBA          BIT64(19)
#define X86_ARCH_BHI_NO         BIT64(20)
#define X86_ARCH_PBRSB_NO       BIT64(24)
#define X86_ARCH_GDS_NO         BIT64(26)
#define X86_ARCH_RFDS_NO        BIT64(27)
#define X86_ARCH_RFDS_CLEAR     BIT64(28)
#define X86_ARCH_ITS_NO         BIT64(62)

#endif
