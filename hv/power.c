/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Switching the machine off: the sleeping state S5 of ACPI (6.4, section 4.8.3.2), whose
 * type is the first number of the package \_S5 in the DSDT. That is looked for as bytes,
 * not evaluated: firmware writes it as a constant.
 */
#include "base/bytes.h"
#include "hv/boot/acpi.h"
#include "hv/cpu/insn.h"
#include "hv/log.h"
#include "hv/panic.h"

#define AML_ZERO    0x00U
#define AML_ONE     0x01U
#define AML_BYTE    0x0aU
#define AML_PACKAGE 0x12U

#define SLP_EN      BIT(13)
#define SLP_TYPE(n) ((uint16_t)((n) << 10))

/* -1: it is not there, or not as simple as that. */
static int s5_type(const uint8_t *aml, size_t len)
{
    for (size_t i = 0; i + 16 < len; i++) {
        const uint8_t *p = aml + i + 4;

        if (memcmp(aml + i, "_S5_", 4) || *p++ != AML_PACKAGE)
            continue;
        p += 1 + (*p >> 6); /* the package's length */
        p++;                /* and how many it holds */
        if (*p == AML_ZERO || *p == AML_ONE)
            return *p;
        if (*p == AML_BYTE)
            return p[1];
    }
    return -1;
}

void machine_off(void)
{
    int type = acpi.dsdt ? s5_type(acpi.dsdt, acpi.dsdt_len) : -1;

    if (type < 0 || !acpi.pm1_control[0]) {
        hv_log(LOG_ERROR, "the firmware does not say how the machine is switched off: do it by hand");
    } else {
        for (unsigned i = 0; i < 2 && acpi.pm1_control[i]; i++)
            outw(acpi.pm1_control[i],
                 (uint16_t)((inw(acpi.pm1_control[i]) & ~SLP_TYPE(7)) | SLP_TYPE(type & 7)));
        for (unsigned i = 0; i < 2 && acpi.pm1_control[i]; i++)
            outw(acpi.pm1_control[i], (uint16_t)(inw(acpi.pm1_control[i]) | SLP_EN));
    }
    for (;;)
        __asm__ volatile("cli; hlt");
}
