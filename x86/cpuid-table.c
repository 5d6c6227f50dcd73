/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The feature table: the one place that says where CPUID tells of a feature,
 * which level brings it, and what it needs (x86/cpuid.h).
 *
 * Deliberately absent, because nothing implements them: VME, MONITOR, performance
 * counters, OSVW, 3DNow!, SSE4A, TSX, MPX, protection keys, CET, SGX, AVX-512,
 * SVM, VMX. Of the bits about speculation, software engines claim those that
 * keep a guest's kernel from defending itself against what cannot happen in
 * them, and "enhanced IBRS", which spares it retpolines.
 */
#include "x86/cpuid.h"

enum { EAX, EBX, ECX, EDX };

#define ROW(feat, text, lf, sub, rg, bt, lvl, need, vend, flg)                                               \
    {                                                                                                        \
        .name = text, .leaf = lf, .feature = X86_FEAT_##feat, .subleaf = sub, .reg = rg, .bit = bt,          \
        .level = X86_CPU_##lvl, .needs = X86_NEEDS_##need, .vendor = X86_VENDOR_##vend, .flags = flg         \
    }

#define REQ  X86_FEATURE_REQUIRED
#define HARD X86_FEATURE_NO_SOFT

/* clang-format off */
const struct x86_feature_row x86_feature_table[] = {
    ROW(FPU,         "fpu",          1, 0, EDX,  0, V2, HOST,     ANY, REQ),
    ROW(DE,          "de",           1, 0, EDX,  2, V2, HARDWARE, ANY, REQ),
    ROW(PSE,         "pse",          1, 0, EDX,  3, V2, HARDWARE, ANY, REQ),
    ROW(TSC,         "tsc",          1, 0, EDX,  4, V2, HARDWARE, ANY, REQ),
    ROW(MSR,         "msr",          1, 0, EDX,  5, V2, HARDWARE, ANY, REQ),
    ROW(PAE,         "pae",          1, 0, EDX,  6, V2, HARDWARE, ANY, REQ),
    ROW(MCE,         "mce",          1, 0, EDX,  7, V2, HARDWARE, ANY, REQ),
    ROW(CX8,         "cx8",          1, 0, EDX,  8, V2, HARDWARE, ANY, REQ),
    ROW(APIC,        "apic",         1, 0, EDX,  9, V2, NOTHING,  ANY, 0),
    ROW(SEP,         "sep",          1, 0, EDX, 11, V2, HARDWARE, ANY, REQ),
    ROW(MTRR,        "mtrr",         1, 0, EDX, 12, V2, NOTHING,  ANY, 0),
    ROW(PGE,         "pge",          1, 0, EDX, 13, V2, HARDWARE, ANY, REQ),
    ROW(MCA,         "mca",          1, 0, EDX, 14, V2, HARDWARE, ANY, REQ),
    ROW(CMOV,        "cmov",         1, 0, EDX, 15, V2, HARDWARE, ANY, REQ),
    ROW(PAT,         "pat",          1, 0, EDX, 16, V2, HARDWARE, ANY, REQ),
    ROW(PSE36,       "pse36",        1, 0, EDX, 17, V2, HARDWARE, ANY, 0),
    ROW(CLFSH,       "clflush",      1, 0, EDX, 19, V2, HARDWARE, ANY, REQ),
    ROW(MMX,         "mmx",          1, 0, EDX, 23, V2, HOST,     ANY, REQ),
    ROW(FXSR,        "fxsr",         1, 0, EDX, 24, V2, HOST,     ANY, REQ),
    ROW(SSE,         "sse",          1, 0, EDX, 25, V2, HOST,     ANY, REQ),
    ROW(SSE2,        "sse2",         1, 0, EDX, 26, V2, HOST,     ANY, REQ),
    ROW(HTT,         "ht",           1, 0, EDX, 28, V2, NOTHING,  ANY, X86_FEATURE_SMP),

    ROW(SSE3,        "sse3",         1, 0, ECX,  0, V2, HOST,     ANY, REQ),
    ROW(PCLMULQDQ,   "pclmulqdq",    1, 0, ECX,  1, V3, HOST,     ANY, 0),
    ROW(SSSE3,       "ssse3",        1, 0, ECX,  9, V2, HOST,     ANY, REQ),
    ROW(FMA,         "fma",          1, 0, ECX, 12, V3, HOST,     ANY, REQ),
    ROW(CX16,        "cx16",         1, 0, ECX, 13, V2, HOST,     ANY, REQ),
    ROW(PCID,        "pcid",         1, 0, ECX, 17, V2, HARDWARE, ANY, 0),
    ROW(SSE4_1,      "sse4_1",       1, 0, ECX, 19, V2, HOST,     ANY, REQ),
    ROW(SSE4_2,      "sse4_2",       1, 0, ECX, 20, V2, HOST,     ANY, REQ),
    ROW(X2APIC,      "x2apic",       1, 0, ECX, 21, V2, NOTHING,  ANY, 0),
    ROW(MOVBE,       "movbe",        1, 0, ECX, 22, V3, HARDWARE, ANY, REQ),
    ROW(POPCNT,      "popcnt",       1, 0, ECX, 23, V2, HARDWARE, ANY, REQ),
    ROW(TSC_DEADLINE, "tsc_deadline", 1, 0, ECX, 24, V2, NOTHING, ANY, 0),
    ROW(AES,         "aes",          1, 0, ECX, 25, V3, HOST,     ANY, 0),
    ROW(XSAVE,       "xsave",        1, 0, ECX, 26, V3, HOST,     ANY, REQ),
    ROW(AVX,         "avx",          1, 0, ECX, 28, V3, HOST,     ANY, REQ),
    ROW(F16C,        "f16c",         1, 0, ECX, 29, V3,   HOST,   ANY, REQ),
    ROW(RDRAND,      "rdrand",       1, 0, ECX, 30, V2, HARDWARE, ANY, 0),
    ROW(HYPERVISOR,  "hypervisor",   1, 0, ECX, 31, V2, NOTHING,  ANY, 0),

    ROW(ARAT,        "arat",         6, 0, EAX,  2, V2, NOTHING,  ANY, 0),

    ROW(FSGSBASE,    "fsgsbase",     7, 0, EBX,  0, V2, HARDWARE, ANY, 0),
    ROW(TSC_ADJUST,  "tsc_adjust",   7, 0, EBX,  1, V2, NOTHING,  ANY, 0),
    ROW(BMI1,        "bmi1",         7, 0, EBX,  3, V3, HARDWARE, ANY, REQ),
    ROW(AVX2,        "avx2",         7, 0, EBX,  5, V3, HOST,     ANY, REQ),
    ROW(SMEP,        "smep",         7, 0, EBX,  7, V2, HARDWARE, ANY, 0),
    ROW(BMI2,        "bmi2",         7, 0, EBX,  8, V3, HARDWARE, ANY, REQ),
    ROW(ERMS,        "erms",         7, 0, EBX,  9, V2, HARDWARE, ANY, 0),
    ROW(INVPCID,     "invpcid",      7, 0, EBX, 10, V2, HARDWARE, ANY, 0),
    ROW(RDSEED,      "rdseed",       7, 0, EBX, 18, V2, HARDWARE, ANY, 0),
    ROW(ADX,         "adx",          7, 0, EBX, 19, HOST, HARDWARE, ANY, 0),
    ROW(SMAP,        "smap",         7, 0, EBX, 20, V2, HARDWARE, ANY, 0),
    ROW(CLFLUSHOPT,  "clflushopt",   7, 0, EBX, 23, V3, HARDWARE, ANY, 0),
    ROW(CLWB,        "clwb",         7, 0, EBX, 24, HOST, HARDWARE, ANY, 0),
    ROW(SHA,         "sha_ni",       7, 0, EBX, 29, V3,   HOST,   ANY, 0),
    ROW(UMIP,        "umip",         7, 0, ECX,  2, V2, HARDWARE, ANY, 0),
    ROW(GFNI,        "gfni",         7, 0, ECX,  8, HOST, HOST,   ANY, 0),
    ROW(VAES,        "vaes",         7, 0, ECX,  9, HOST, HOST,   ANY, 0),
    ROW(VPCLMULQDQ,  "vpclmulqdq",   7, 0, ECX, 10, HOST, HOST,   ANY, 0),
    ROW(LA57,        "la57",         7, 0, ECX, 16, HOST, HARDWARE, ANY, 0),
    ROW(RDPID,       "rdpid",        7, 0, ECX, 22, V2, HARDWARE, ANY, 0),
    ROW(FSRM,        "fsrm",         7, 0, EDX,  4, V2, HARDWARE, ANY, 0),
    ROW(MD_CLEAR,    "md_clear",     7, 0, EDX, 10, V2, HARDWARE, INTEL, HARD),
    ROW(SERIALIZE,   "serialize",    7, 0, EDX, 14, HOST, HARDWARE, ANY, 0),
    ROW(SPEC_CTRL,   "spec_ctrl",    7, 0, EDX, 26, V2, HARDWARE, INTEL, 0),
    ROW(STIBP,       "stibp",        7, 0, EDX, 27, V2, HARDWARE, INTEL, HARD),
    ROW(ARCH_CAPABILITIES, "arch_capabilities", 7, 0, EDX, 29, V2, HARDWARE, ANY, 0),
    ROW(SSBD,        "ssbd",         7, 0, EDX, 31, V2, HARDWARE, INTEL, HARD),

    ROW(BHI_CTRL,    "bhi_ctrl",     7, 2, EDX,  4, V2, HARDWARE, INTEL, 0), /* spares the loop that clears branch history */

    ROW(XSAVEOPT,    "xsaveopt",   0xd, 1, EAX,  0, V3, HOST,     ANY, 0),
    ROW(XSAVEC,      "xsavec",     0xd, 1, EAX,  1, V3, HOST,     ANY, 0),
    ROW(XGETBV1,     "xgetbv1",    0xd, 1, EAX,  2, V3, HOST,     ANY, 0),

    ROW(LAHF_LM,     "lahf_lm", 0x80000001, 0, ECX,  0, V2, HARDWARE, ANY, REQ),
    ROW(CMP_LEGACY,  "cmp_legacy", 0x80000001, 0, ECX, 1, V2, NOTHING, AMD, X86_FEATURE_SMP),
    ROW(LZCNT,       "lzcnt",   0x80000001, 0, ECX,  5, V3, HARDWARE, ANY, REQ),
    ROW(3DNOWPREFETCH, "3dnowprefetch", 0x80000001, 0, ECX, 8, V2, HARDWARE, ANY, 0),
    ROW(TOPOEXT,     "topoext", 0x80000001, 0, ECX, 22, V2, NOTHING,  AMD, 0),
    ROW(SYSCALL,     "syscall", 0x80000001, 0, EDX, 11, V2, HARDWARE, ANY, 0),
    ROW(NX,          "nx",      0x80000001, 0, EDX, 20, V2, HARDWARE, ANY, REQ),
    ROW(MMXEXT,      "mmxext",  0x80000001, 0, EDX, 22, V2, HOST,     AMD, 0),
    ROW(PDPE1GB,     "pdpe1gb", 0x80000001, 0, EDX, 26, V2, HARDWARE, ANY, 0),
    ROW(RDTSCP,      "rdtscp",  0x80000001, 0, EDX, 27, V2, HARDWARE, ANY, 0),
    ROW(LM,          "lm",      0x80000001, 0, EDX, 29, V2, HARDWARE, ANY, REQ),

    ROW(INVARIANT_TSC, "invtsc", 0x80000007, 0, EDX, 8, V2, HARDWARE, ANY, 0),

    ROW(XSAVEERPTR,  "xsaveerptr", 0x80000008, 0, EBX,  2, V2, HARDWARE, AMD, 0),
    ROW(AMD_IBPB,    "amd_ibpb",   0x80000008, 0, EBX, 12, V2, HARDWARE, AMD, HARD),
    ROW(AMD_IBRS,    "amd_ibrs",   0x80000008, 0, EBX, 14, V2, HARDWARE, AMD, 0),
    ROW(AMD_STIBP,   "amd_stibp",  0x80000008, 0, EBX, 15, V2, HARDWARE, AMD, HARD),
    ROW(AMD_SSBD,    "amd_ssbd",   0x80000008, 0, EBX, 24, V2, HARDWARE, AMD, HARD),
    ROW(SSB_NO,      "ssb_no",     0x80000008, 0, EBX, 26, V2, HARDWARE, AMD, 0),
    ROW(BTC_NO,      "btc_no",     0x80000008, 0, EBX, 29, V2, HARDWARE, AMD, 0),

    ROW(LFENCE_SERIALIZES, "lfence_serializes", 0x80000021, 0, EAX, 2, V2, HARDWARE, AMD, 0),
    ROW(NULL_SEL_CLEARS_BASE, "null_sel_clears_base", 0x80000021, 0, EAX, 6, V2, HARDWARE, AMD, 0),
    ROW(AUTOIBRS,    "autoibrs",   0x80000021, 0, EAX,  8, V2, HARDWARE, AMD, 0),
    ROW(SRSO_NO,     "srso_no",    0x80000021, 0, EAX, 29, V2, HARDWARE, AMD, 0),
    ROW(TSA_SQ_NO,   "tsa_sq_no",  0x80000021, 0, ECX,  1, V2, HARDWARE, AMD, 0),
    ROW(TSA_L1_NO,   "tsa_l1_no",  0x80000021, 0, ECX,  2, V2, HARDWARE, AMD, 0),
};
/* clang-format on */

const unsigned x86_feature_table_size = ARRAY_SIZE(x86_feature_table);
