/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/boot/acpi.h"

#include "base/bytes.h"
#include "hv/boot/boot-info.h"
#include "hv/log.h"
#include "hv/mem/map.h"

#define HEADER    36U
#define TABLE_MAX MIB(1)

struct acpi acpi = {.lapic = 0xfee00000, .reset_space = 0xff};

static bool sums_to_zero(const uint8_t *p, uint64_t len)
{
    uint8_t sum = 0;

    while (len--)
        sum = (uint8_t)(sum + *p++);
    return sum == 0;
}

/* ---- MADT (5.2.12) ---- */

static void add_cpu(uint32_t apic_id, uint32_t flags)
{
    if (!(flags & BIT(0)))
        return;
    for (unsigned i = 0; i < acpi.cpu_count; i++) {
        if (acpi.cpus[i].apic_id == apic_id)
            return; /* said twice: as local APIC and as x2APIC */
    }
    if (acpi.cpu_count == HV_MAX_CPUS)
        acpi.cpus_dropped++;
    else
        acpi.cpus[acpi.cpu_count++].apic_id = apic_id;
}

static void madt_entry(const uint8_t *e, unsigned len)
{
    if (e[0] == 0 && len >= 8) {
        add_cpu(e[3], load_le32(e + 4));
    } else if (e[0] == 9 && len >= 16) {
        add_cpu(load_le32(e + 4), load_le32(e + 8));
    } else if (e[0] == 1 && len >= 12 && acpi.ioapic_count < ACPI_MAX_IOAPICS) {
        acpi.ioapics[acpi.ioapic_count].address = load_le32(e + 4);
        acpi.ioapics[acpi.ioapic_count++].first_gsi = load_le32(e + 8);
    } else if (e[0] == 2 && len >= 10 && e[3] < 16) {
        uint16_t flags = load_le16(e + 8);

        /* Polarity and trigger; 0: as on the ISA bus, active high, edge. */
        acpi.isa[e[3]] = (struct acpi_isa){load_le32(e + 4), (flags >> 2 & 3) == 3, (flags & 3) == 3};
    } else if (e[0] == 5 && len >= 12) {
        acpi.lapic = load_le64(e + 4);
    }
}

/* ---- SRAT (5.2.16) ---- */

static void srat_entry(const uint8_t *e, unsigned len)
{
    uint32_t id, node;

    if (e[0] == 0 && len >= 16 && e[4] & 1) {
        id = e[3];
        node = e[2] | (uint32_t)e[9] << 8 | (uint32_t)e[10] << 16 | (uint32_t)e[11] << 24;
    } else if (e[0] == 2 && len >= 24 && e[12] & 1) {
        id = load_le32(e + 8);
        node = load_le32(e + 4);
    } else {
        return;
    }
    for (unsigned i = 0; i < acpi.cpu_count; i++) {
        if (acpi.cpus[i].apic_id == id)
            acpi.cpus[i].node = node;
    }
}

static void for_entries(const uint8_t *t, uint32_t len, uint32_t at,
                        void (*fn)(const uint8_t *e, unsigned len))
{
    while (at + 2 <= len && t[at + 1] >= 2 && at + t[at + 1] <= len) {
        fn(t + at, t[at + 1]);
        at += t[at + 1];
    }
}

/* ---- MCFG (PCI firmware specification 4.1.2), HPET, FADT (5.2.9) ---- */

static void read_mcfg(const uint8_t *t, uint32_t len)
{
    for (uint32_t at = 44; at + 16 <= len && acpi.ecam_count < ACPI_MAX_ECAMS; at += 16) {
        acpi.ecams[acpi.ecam_count++] =
            (struct acpi_ecam){load_le64(t + at), load_le16(t + at + 8), t[at + 10], t[at + 11]};
    }
}

static void read_fadt(const uint8_t *t, uint32_t len)
{
    uint32_t flags;

    if (len < 116)
        return;
    flags = load_le32(t + 112);
    acpi.pm_timer = (uint16_t)load_le32(t + 76);
    acpi.pm_timer_32 = flags & BIT(8);
    acpi.century = t[108];
    acpi.pm1_control[0] = (uint16_t)load_le32(t + 64);
    acpi.pm1_control[1] = (uint16_t)load_le32(t + 68);
    acpi.dsdt_phys = len >= 148 && load_le64(t + 140) ? load_le64(t + 140) : load_le32(t + 40);
    /* The extended address, where it is a port. */
    if (len >= 220 && t[208] == 1 && load_le64(t + 212))
        acpi.pm_timer = (uint16_t)load_le64(t + 212);
    if (len >= 129 && flags & BIT(10)) {
        acpi.reset_space = t[116];
        acpi.reset_address = load_le64(t + 120);
        acpi.reset_value = t[128];
    }
}

static void read_table(const uint8_t *t, uint32_t len)
{
    uint32_t name = load_le32(t);

    if (name == load_le32("APIC") && len >= 44) {
        acpi.lapic = load_le32(t + 36);
        for_entries(t, len, 44, madt_entry);
    } else if (name == load_le32("SRAT")) {
        for_entries(t, len, 48, srat_entry);
    } else if (name == load_le32("MCFG")) {
        read_mcfg(t, len);
    } else if (name == load_le32("HPET") && len >= 56 && t[40] == 0) {
        acpi.hpet = load_le64(t + 44);
    } else if (name == load_le32("FACP")) {
        read_fadt(t, len);
    }
}

/* ---- finding them ---- */

/* The table, of *len bytes; NULL: it cannot be trusted. */
static const uint8_t *table_at(uint64_t phys, uint32_t *len)
{
    const uint8_t *t = phys ? map_read_only(phys, HEADER) : NULL;
    uint32_t n = t ? load_le32(t + 4) : 0;

    if (n < HEADER || n > TABLE_MAX)
        return NULL;
    t = map_read_only(phys, n);
    if (!t || !sums_to_zero(t, n)) {
        hv_log(LOG_WARN, "ACPI: the table at 0x%llx has a wrong checksum: not used",
               (unsigned long long)phys);
        return NULL;
    }
    *len = n;
    return t;
}

static void read_root(uint64_t phys, unsigned width)
{
    uint32_t len, table_len;
    const uint8_t *root = table_at(phys, &len);

    /* Twice: the SRAT speaks of the MADT's processors. */
    for (unsigned pass = 0; root && pass < 2; pass++) {
        for (uint32_t at = HEADER; at + width <= len; at += width) {
            uint64_t table = width == 8 ? load_le64(root + at) : load_le32(root + at);
            const uint8_t *t = table_at(table, &table_len);

            if (t && (load_le32(t) == load_le32("SRAT")) == (pass == 1))
                read_table(t, table_len);
        }
    }
}

static bool rsdp_valid(const uint8_t *p)
{
    return !memcmp(p, "RSD PTR ", 8) && sums_to_zero(p, 20);
}

/* A BIOS has it on a paragraph in its last 128 KiB, or in the first KiB of the EBDA (5.2.5.1). */
static const uint8_t *rsdp_search(void)
{
    const uint8_t *bios = map_read_only(0xe0000, 0x20000), *bda = map_read_only(0x400, 0x100), *ebda;

    for (unsigned at = 0; bios && at < 0x20000; at += 16) {
        if (rsdp_valid(bios + at))
            return bios + at;
    }
    if (!bda || !load_le16(bda + 0xe))
        return NULL;
    ebda = map_read_only((uint64_t)load_le16(bda + 0xe) << 4, 1024);
    for (unsigned at = 0; ebda && at < 1024; at += 16) {
        if (rsdp_valid(ebda + at))
            return ebda + at;
    }
    return NULL;
}

void acpi_init(void)
{
    const uint8_t *rsdp = rsdp_valid(boot_info.rsdp) ? boot_info.rsdp : rsdp_search();

    for (unsigned i = 0; i < 16; i++)
        acpi.isa[i].gsi = i;
    if (!rsdp) {
        hv_log(LOG_WARN, "ACPI: no tables; one processor will be used");
        return;
    }
    if (rsdp[15] >= 2 && load_le64(rsdp + 24))
        read_root(load_le64(rsdp + 24), 8);
    else
        read_root(load_le32(rsdp + 16), 4);
    if (acpi.dsdt_phys)
        acpi.dsdt = table_at(acpi.dsdt_phys, &acpi.dsdt_len);
    if (acpi.cpus_dropped)
        hv_log(LOG_WARN, "ACPI: %u processors more than the %u that can be used", acpi.cpus_dropped,
               HV_MAX_CPUS);
}
