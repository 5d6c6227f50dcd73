/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/diff/zydis.h"

#include <errno.h>

static bool is_extension(const struct pair *p, enum difference d)
{
    if (d != ONLY_THEIRS || p->ours_result != -EINVAL)
        return false;
    if (p->theirs.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY && p->theirs.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
        return true;
    switch (p->theirs.meta.isa_ext) {
    case ZYDIS_ISA_EXT_AMD3DNOW:
    case ZYDIS_ISA_EXT_AMX_BF16:
    case ZYDIS_ISA_EXT_AMX_INT8:
    case ZYDIS_ISA_EXT_AMX_TILE:
    case ZYDIS_ISA_EXT_AVX512VEX:
    case ZYDIS_ISA_EXT_AVX_VNNI:
    case ZYDIS_ISA_EXT_FMA4:
    case ZYDIS_ISA_EXT_AMD_INVLPGB:
    case ZYDIS_ISA_EXT_CET:
    case ZYDIS_ISA_EXT_ENQCMD:
    case ZYDIS_ISA_EXT_HRESET:
    case ZYDIS_ISA_EXT_KEYLOCKER:
    case ZYDIS_ISA_EXT_KEYLOCKER_WIDE:
    case ZYDIS_ISA_EXT_KNC:
    case ZYDIS_ISA_EXT_MCOMMIT:
    case ZYDIS_ISA_EXT_MOVDIR:
    case ZYDIS_ISA_EXT_PADLOCK:
    case ZYDIS_ISA_EXT_PCONFIG:
    case ZYDIS_ISA_EXT_PT:
    case ZYDIS_ISA_EXT_SGX:
    case ZYDIS_ISA_EXT_SGX_ENCLV:
    case ZYDIS_ISA_EXT_SNP:
    case ZYDIS_ISA_EXT_TDX:
    case ZYDIS_ISA_EXT_TSX_LDTRK:
    case ZYDIS_ISA_EXT_UINTR:
    case ZYDIS_ISA_EXT_WAITPKG:
        return true;
    default:
        return false;
    }
}

const struct allowance zydis_allowances[] = {
    {"extension", "an extension that the table does not have", is_extension},
};
const unsigned zydis_allowance_count = ARRAY_SIZE(zydis_allowances);
