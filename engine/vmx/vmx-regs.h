/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x as the SDM (volume 3) spells it: capability MSRs (appendix A), VMCS fields
 * (appendix B), controls (24.6 to 24.8), exit reasons (appendix C).
 */
#ifndef ENGINE_VMX_VMX_REGS_H
#define ENGINE_VMX_VMX_REGS_H

#include "x86/regs.h"

/* ---- MSRs ---- */
#define VMX_MSR_FEATURE_CONTROL 0x3aU
#define VMX_MSR_BASIC           0x480U
#define VMX_MSR_PINBASED        0x481U /* … EXIT, ENTRY follow; TRUE_… from 0x48d in the same order */
#define VMX_MSR_MISC            0x485U
#define VMX_MSR_CR0_FIXED0      0x486U
#define VMX_MSR_CR0_FIXED1      0x487U
#define VMX_MSR_CR4_FIXED0      0x488U
#define VMX_MSR_CR4_FIXED1      0x489U
#define VMX_MSR_PROCBASED2      0x48bU
#define VMX_MSR_EPT_VPID        0x48cU
#define VMX_MSR_TRUE_PINBASED   0x48dU

#define VMX_FEATURE_LOCKED      BIT64(0)
#define VMX_FEATURE_OUTSIDE_SMX BIT64(2)
#define VMX_BASIC_TRUE          BIT64(55)
#define VMX_CR4_VMXE            BIT(13)

#define VMX_EPT_WALK4           BIT64(6)
#define VMX_EPT_WRITE_BACK      BIT64(14)
#define VMX_EPT_2M              BIT64(16)
#define VMX_EPT_1G              BIT64(17)
#define VMX_EPT_INVEPT          BIT64(20)
#define VMX_EPT_DIRTY           BIT64(21)
#define VMX_EPT_INVEPT_SINGLE   BIT64(25)
#define VMX_EPT_INVEPT_ALL      BIT64(26)
#define VMX_VPID_INVVPID        BIT64(32)
#define VMX_VPID_INVVPID_ALL    BIT64(42)

/* ---- controls ---- */
#define VMX_PIN_EXTERNAL         BIT(0)
#define VMX_PIN_NMI              BIT(3)
#define VMX_PIN_VIRTUAL_NMI      BIT(5)
#define VMX_PIN_TIMER            BIT(6)

#define VMX_CPU_INTERRUPT_WINDOW BIT(2)
#define VMX_CPU_TSC_OFFSET       BIT(3)
#define VMX_CPU_HLT              BIT(7)
#define VMX_CPU_INVLPG           BIT(9)
#define VMX_CPU_MWAIT            BIT(10)
#define VMX_CPU_RDPMC            BIT(11)
#define VMX_CPU_CR3_LOAD         BIT(15)
#define VMX_CPU_CR3_STORE        BIT(16)
#define VMX_CPU_CR8_LOAD         BIT(19)
#define VMX_CPU_CR8_STORE        BIT(20)
#define VMX_CPU_TPR_SHADOW       BIT(21)
#define VMX_CPU_NMI_WINDOW       BIT(22)
#define VMX_CPU_MOV_DR           BIT(23)
#define VMX_CPU_ALL_IO           BIT(24)
#define VMX_CPU_MSR_BITMAP       BIT(28)
#define VMX_CPU_MONITOR          BIT(29)
#define VMX_CPU_SECONDARY        BIT(31)

#define VMX_CPU2_EPT             BIT(1)
#define VMX_CPU2_RDTSCP          BIT(3)
#define VMX_CPU2_VPID            BIT(5)
#define VMX_CPU2_WBINVD          BIT(6)
#define VMX_CPU2_UNRESTRICTED    BIT(7)
#define VMX_CPU2_PAUSE_LOOP      BIT(10)
#define VMX_CPU2_INVPCID         BIT(12)
#define VMX_CPU2_TSC_SCALING     BIT(25)

#define VMX_EXIT_SAVE_DEBUG      BIT(2)
#define VMX_EXIT_HOST_64         BIT(9)
#define VMX_EXIT_SAVE_PAT        BIT(18)
#define VMX_EXIT_LOAD_PAT        BIT(19)
#define VMX_EXIT_SAVE_EFER       BIT(20)
#define VMX_EXIT_LOAD_EFER       BIT(21)

#define VMX_ENTRY_LOAD_DEBUG     BIT(2)
#define VMX_ENTRY_LONG_MODE      BIT(9)
#define VMX_ENTRY_LOAD_PAT       BIT(14)
#define VMX_ENTRY_LOAD_EFER      BIT(15)

/* ---- VMCS fields ---- */
enum vmcs_field {
    VMCS_VPID = 0x0000,
    VMCS_GUEST_SELECTOR = 0x0800, /* + 2 * n: ES CS SS DS FS GS LDTR TR */
    VMCS_HOST_ES = 0x0c00,
    VMCS_HOST_CS = 0x0c02,
    VMCS_HOST_SS = 0x0c04,
    VMCS_HOST_DS = 0x0c06,
    VMCS_HOST_FS = 0x0c08,
    VMCS_HOST_GS = 0x0c0a,
    VMCS_HOST_TR = 0x0c0c,
    VMCS_MSR_BITMAP = 0x2004,
    VMCS_TSC_OFFSET = 0x2010,
    VMCS_VIRTUAL_APIC = 0x2012,
    VMCS_EPT_POINTER = 0x201a,
    VMCS_TSC_MULTIPLIER = 0x2032,
    VMCS_GUEST_PHYSICAL = 0x2400,
    VMCS_LINK_POINTER = 0x2800,
    VMCS_GUEST_DEBUGCTL = 0x2802,
    VMCS_GUEST_PAT = 0x2804,
    VMCS_GUEST_EFER = 0x2806,
    VMCS_GUEST_PDPTE = 0x280a, /* + 2 * n */
    VMCS_HOST_PAT = 0x2c00,
    VMCS_HOST_EFER = 0x2c02,
    VMCS_PIN_CONTROLS = 0x4000,
    VMCS_CPU_CONTROLS = 0x4002,
    VMCS_EXCEPTIONS = 0x4004,
    VMCS_CR3_TARGETS = 0x400a,
    VMCS_EXIT_CONTROLS = 0x400c,
    VMCS_EXIT_STORE_COUNT = 0x400e,
    VMCS_EXIT_LOAD_COUNT = 0x4010,
    VMCS_ENTRY_CONTROLS = 0x4012,
    VMCS_ENTRY_LOAD_COUNT = 0x4014,
    VMCS_ENTRY_EVENT = 0x4016,
    VMCS_ENTRY_ERROR = 0x4018,
    VMCS_ENTRY_LENGTH = 0x401a,
    VMCS_TPR_THRESHOLD = 0x401c,
    VMCS_CPU2_CONTROLS = 0x401e,
    VMCS_PAUSE_GAP = 0x4020,
    VMCS_PAUSE_WINDOW = 0x4022,
    VMCS_INSTRUCTION_ERROR = 0x4400,
    VMCS_EXIT_REASON = 0x4402,
    VMCS_EXIT_EVENT = 0x4404,
    VMCS_EXIT_ERROR = 0x4406,
    VMCS_IDT_EVENT = 0x4408,
    VMCS_IDT_ERROR = 0x440a,
    VMCS_EXIT_LENGTH = 0x440c,
    VMCS_GUEST_LIMIT = 0x4800, /* + 2 * n; then GDTR, IDTR */
    VMCS_GUEST_GDTR_LIMIT = 0x4810,
    VMCS_GUEST_IDTR_LIMIT = 0x4812,
    VMCS_GUEST_RIGHTS = 0x4814, /* + 2 * n */
    VMCS_GUEST_BLOCKING = 0x4824,
    VMCS_GUEST_ACTIVITY = 0x4826,
    VMCS_TIMER = 0x482e,
    VMCS_GUEST_SYSENTER_CS = 0x482a,
    VMCS_HOST_SYSENTER_CS = 0x4c00,
    VMCS_CR0_MASK = 0x6000,
    VMCS_CR4_MASK = 0x6002,
    VMCS_CR0_SHADOW = 0x6004,
    VMCS_CR4_SHADOW = 0x6006,
    VMCS_QUALIFICATION = 0x6400,
    VMCS_GUEST_CR0 = 0x6800,
    VMCS_GUEST_CR3 = 0x6802,
    VMCS_GUEST_CR4 = 0x6804,
    VMCS_GUEST_BASE = 0x6806, /* + 2 * n; then GDTR, IDTR */
    VMCS_GUEST_GDTR_BASE = 0x6816,
    VMCS_GUEST_IDTR_BASE = 0x6818,
    VMCS_GUEST_DR7 = 0x681a,
    VMCS_GUEST_RSP = 0x681c,
    VMCS_GUEST_RIP = 0x681e,
    VMCS_GUEST_RFLAGS = 0x6820,
    VMCS_GUEST_PENDING_DEBUG = 0x6822,
    VMCS_GUEST_SYSENTER_ESP = 0x6824,
    VMCS_GUEST_SYSENTER_EIP = 0x6826,
    VMCS_HOST_CR0 = 0x6c00,
    VMCS_HOST_CR3 = 0x6c02,
    VMCS_HOST_CR4 = 0x6c04,
    VMCS_HOST_FS_BASE = 0x6c06,
    VMCS_HOST_GS_BASE = 0x6c08,
    VMCS_HOST_TR_BASE = 0x6c0a,
    VMCS_HOST_GDTR_BASE = 0x6c0c,
    VMCS_HOST_IDTR_BASE = 0x6c0e,
    VMCS_HOST_SYSENTER_ESP = 0x6c10,
    VMCS_HOST_SYSENTER_EIP = 0x6c12,
    VMCS_HOST_RSP = 0x6c14, /* enter.S knows these two */
    VMCS_HOST_RIP = 0x6c16,
};

/* Interruptibility (24.4.2) */
#define VMX_BLOCKED_STI BIT(0)
#define VMX_BLOCKED_SS  BIT(1)
#define VMX_BLOCKED_NMI BIT(3)

/* Events, on their way in or out (24.8.3, 24.9.2, 24.9.3) */
#define VMX_EVENT_VALID         BIT(31)
#define VMX_EVENT_HAS_ERROR     BIT(11)
#define VMX_EVENT_NMI_UNBLOCKED BIT(12) /* exits only: an IRET had ended the blocking */
#define VMX_EVENT_TYPE          (7U << 8)
#define VMX_EVENT_EXTERNAL      (0U << 8)
#define VMX_EVENT_NMI           (2U << 8)
#define VMX_EVENT_EXCEPTION     (3U << 8)
#define VMX_EVENT_INT_N         (4U << 8)
#define VMX_EVENT_INT1          (5U << 8)
#define VMX_EVENT_INT3          (6U << 8) /* and INTO */

/* ---- exits ---- */
enum vmx_reason {
    VMX_REASON_EXCEPTION = 0, /* or NMI */
    VMX_REASON_EXTERNAL = 1,
    VMX_REASON_TRIPLE_FAULT = 2,
    VMX_REASON_INIT = 3,
    VMX_REASON_SIPI = 4,
    VMX_REASON_IO_SMI = 5,
    VMX_REASON_SMI = 6,
    VMX_REASON_INTERRUPT_WINDOW = 7,
    VMX_REASON_NMI_WINDOW = 8,
    VMX_REASON_TASK_SWITCH = 9,
    VMX_REASON_CPUID = 10,
    VMX_REASON_GETSEC = 11,
    VMX_REASON_HLT = 12,
    VMX_REASON_INVD = 13,
    VMX_REASON_RDPMC = 15,
    VMX_REASON_RSM = 17,
    VMX_REASON_VMCALL = 18, /* … to VMXON: the instructions of VMX */
    VMX_REASON_VMXON = 27,
    VMX_REASON_CR = 28,
    VMX_REASON_DR = 29,
    VMX_REASON_IO = 30,
    VMX_REASON_RDMSR = 31,
    VMX_REASON_WRMSR = 32,
    VMX_REASON_GUEST_STATE = 33,
    VMX_REASON_MSR_LOAD = 34,
    VMX_REASON_MWAIT = 36,
    VMX_REASON_MONITOR = 39,
    VMX_REASON_PAUSE = 40,
    VMX_REASON_MACHINE_CHECK = 41,
    VMX_REASON_TPR = 43, /* below its threshold */
    VMX_REASON_EPT_VIOLATION = 48,
    VMX_REASON_EPT_MISCONFIGURED = 49,
    VMX_REASON_INVEPT = 50,
    VMX_REASON_TIMER = 52,
    VMX_REASON_INVVPID = 53,
    VMX_REASON_WBINVD = 54,
    VMX_REASON_XSETBV = 55,
    VMX_REASON_VMFUNC = 59,
};
#define VMX_REASON_ENTRY_FAILED BIT(31)

/* Qualification of an EPT violation (table 27-7) */
#define VMX_EPT_READ          BIT(0)
#define VMX_EPT_WRITE         BIT(1)
#define VMX_EPT_FETCH         BIT(2)
#define VMX_EPT_NMI_UNBLOCKED BIT(12)

/* EPT entries (28.2.2) */
#define EPT_READ       BIT64(0)
#define EPT_WRITE      BIT64(1)
#define EPT_EXECUTE    BIT64(2)
#define EPT_WRITE_BACK (6ULL << 3)
#define EPT_IGNORE_PAT BIT64(6)
#define EPT_LARGE      BIT64(7)
#define EPT_ACCESSED   BIT64(8)
#define EPT_DIRTY      BIT64(9)

#endif
