/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/vmx/vmx-insn.h"

uint64_t vmcs_read(uint32_t field)
{
    uint64_t value = 0;

    __asm__ volatile("vmread %1, %0" : "+r"(value) : "r"((uint64_t)field) : "cc");
    return value;
}

void vmcs_write(uint32_t field, uint64_t value)
{
    bool failed;

    __asm__ volatile("vmwrite %1, %2" : "=@ccbe"(failed) : "r"(value), "r"((uint64_t)field));
    base_assert(!failed); /* there is no such field */
}

bool vmx_on(uint64_t phys)
{
    bool failed;

    __asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(phys) : "memory");
    return !failed;
}

void vmx_off(void)
{
    __asm__ volatile("vmxoff" : : : "cc", "memory");
}

bool vmcs_load(uint64_t phys)
{
    bool failed;

    __asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(phys) : "memory");
    return !failed;
}

bool vmcs_clear(uint64_t phys)
{
    bool failed;

    __asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(phys) : "memory");
    return !failed;
}

void vmx_invept(uint64_t ept_pointer)
{
    struct {
        uint64_t ept_pointer, zero;
    } what = {ept_pointer, 0};

    __asm__ volatile("invept %0, %1" : : "m"(what), "r"(ept_pointer ? 1ULL : 2ULL) : "cc", "memory");
}

void vmx_invvpid_all(void)
{
    uint64_t what[2] = {0, 0};

    __asm__ volatile("invvpid %0, %1" : : "m"(what), "r"(2ULL) : "cc", "memory");
}
