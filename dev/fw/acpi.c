/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/fw/acpi.h"

#include "base/bytes.h"
#include "dev/board.h"
#include "dev/fw/dsdt.h"
#include "dev/irq/ioapic.h"
#include "dev/irq/lapic.h"
#include "dev/timer/hpet.h"
#include "dev/timer/pm.h"
#include "dev/timer/rtc.h"
#include "dev/timer/tco.h"

#define RSDP_SIZE   36U
#define HEADER_SIZE 36U
#define FADT_SIZE   276U
#define FACS_SIZE   64U

/* FADT fields (ACPI 6.3 section 5.2.9) */
#define FADT_BOOT_LEGACY BIT(0)
#define FADT_BOOT_8042   BIT(1)
#define FADT_BOOT_NO_VGA BIT(2)
#define FADT_WBINVD      BIT(0)
#define FADT_PROC_C1     BIT(2)
#define FADT_SLP_BUTTON  BIT(5) /* there is none of the fixed kind */
#define FADT_FIX_RTC     BIT(6) /* RTC wake is not in the fixed registers */
#define FADT_RESET_REG   BIT(10)

#define GAS_MEMORY       0U
#define GAS_IO           1U

struct builder {
    struct vm *vm;
    const struct board *board;
    uint8_t *buf;
    size_t size, len;
    uint64_t base;
    bool full;
    struct acpi_tables *out;
};

/* Room for len bytes, zeroed; NULL: there is none. */
static uint8_t *reserve(struct builder *b, size_t len, size_t align)
{
    size_t at = ALIGN_UP(b->len, align);

    if (b->full || at > b->size || len > b->size - at) {
        b->full = true;
        return NULL;
    }
    memset(b->buf + b->len, 0, at + len - b->len);
    b->len = at + len;
    return b->buf + at;
}

static uint64_t gpa_of(const struct builder *b, const uint8_t *table)
{
    return table ? b->base + (uint64_t)(table - b->buf) : 0;
}

static uint8_t checksum(const uint8_t *p, size_t len)
{
    unsigned sum = 0;

    while (len--)
        sum += *p++;
    return (uint8_t)-sum;
}

static void note(struct builder *b, const uint8_t *table, size_t len)
{
    b->out->table[b->out->count].offset = (size_t)(table - b->buf);
    b->out->table[b->out->count].length = len;
    b->out->count++;
}

static void fill_header(uint8_t *t, const char *signature, size_t len, uint8_t revision)
{
    memcpy(t, signature, 4);
    store_le32(t + 4, (uint32_t)len);
    t[8] = revision;
    memcpy(t + 10, "BATUTA", 6);
    memcpy(t + 16, "BATUTAPC", 8);
    store_le32(t + 24, 1);
    memcpy(t + 28, "BTTA", 4);
    store_le32(t + 32, 1);
}

static uint8_t *begin(struct builder *b, const char *signature, size_t len, uint8_t revision)
{
    uint8_t *t = reserve(b, len, 16);

    if (t)
        fill_header(t, signature, len, revision);
    return t;
}

static uint64_t finish(struct builder *b, uint8_t *t)
{
    size_t len = load_le32(t + 4);

    t[9] = checksum(t, len);
    note(b, t, len);
    return gpa_of(b, t);
}

static uint64_t build_dsdt(struct builder *b)
{
    uint8_t *t = begin(b, "DSDT", HEADER_SIZE, 2);
    struct aml aml;

    if (!t)
        return 0;
    aml = (struct aml){.buf = b->buf + b->len, .size = b->size - b->len};
    dsdt_build(b->vm, b->board, &aml);
    b->len += aml.len;
    b->full |= aml.overflow;
    store_le32(t + 4, (uint32_t)(HEADER_SIZE + aml.len));
    return finish(b, t);
}

static uint64_t build_facs(struct builder *b)
{
    uint8_t *t = reserve(b, FACS_SIZE, 64);

    if (!t)
        return 0;
    memcpy(t, "FACS", 4);
    store_le32(t + 4, FACS_SIZE);
    t[32] = 2; /* version */
    note(b, t, FACS_SIZE);
    return gpa_of(b, t);
}

/* Generic address structure (section 5.2.3.2). access: 1 byte, 2 word, 3 dword, 0 undefined. */
static void gas(uint8_t *p, uint8_t space, uint8_t bits, uint8_t access, uint64_t address)
{
    p[0] = space;
    p[1] = bits;
    p[3] = access;
    store_le64(p + 4, address);
}

/* A register block: the old 32-bit field, its length, and the new one. */
static void block(uint8_t *t, unsigned old, unsigned length, unsigned extended, uint16_t port, uint8_t len,
                  uint8_t access)
{
    store_le32(t + old, port);
    t[length] = len;
    gas(t + extended, GAS_IO, (uint8_t)(len * 8), access, port);
}

static uint64_t build_fadt(struct builder *b, uint64_t facs, uint64_t dsdt)
{
    uint8_t *t = begin(b, "FACP", FADT_SIZE, 6);

    if (!t)
        return 0;
    store_le32(t + 36, (uint32_t)facs);
    store_le32(t + 40, (uint32_t)dsdt);
    store_le64(t + 140, dsdt);
    t[45] = 4; /* enterprise server */
    store_le16(t + 46, PM_SCI_GSI);
    /* SMI_CMD 0: ACPI mode is all there is. */
    block(t, 56, 88, 148, PM_BASE + PM1_STS, 4, 2);
    block(t, 64, 89, 172, PM_BASE + PM1_CNT, 2, 2);
    block(t, 76, 91, 208, PM_BASE + PM1_TMR, 4, 3);
    block(t, 80, 92, 220, PM_BASE + PM_GPE0, 16, 1);
    store_le16(t + 96, 0xfff); /* no C2, no C3 */
    store_le16(t + 98, 0xfff);
    t[108] = RTC_CENTURY;
    store_le16(t + 109, FADT_BOOT_LEGACY | FADT_BOOT_NO_VGA | (b->board->i8042 ? FADT_BOOT_8042 : 0));
    store_le32(t + 112, FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_RESET_REG);
    gas(t + 116, GAS_IO, 8, 1, PM_RESET_PORT);
    t[128] = PM_RESET_VALUE;
    t[131] = 3; /* ACPI 6.3 */
    return finish(b, t);
}

static uint64_t build_madt(struct builder *b)
{
    unsigned cpus = b->vm->vcpu_count;
    size_t len = HEADER_SIZE + 8 + cpus * 8 + 12 + 2 * 10 + 6;
    uint8_t *t = begin(b, "APIC", len, 5);
    uint8_t *p;

    if (!t)
        return 0;
    store_le32(t + 36, (uint32_t)LAPIC_BASE);
    store_le32(t + 40, 1); /* the 8259s are there too */
    p = t + 44;
    for (unsigned i = 0; i < cpus; i++, p += 8)
        memcpy(p, (uint8_t[8]){0, 8, (uint8_t)i, (uint8_t)i, 1}, 8); /* local APIC, enabled */
    memcpy(p, (uint8_t[4]){1, 12, IOAPIC_ID}, 4);
    store_le32(p + 4, (uint32_t)IOAPIC_BASE);
    store_le32(p + 8, 0);
    p += 12;
    memcpy(p, (uint8_t[10]){2, 10, 0, 0, 2}, 10); /* the 8254 is on pin 2 */
    p += 10;
    memcpy(p, (uint8_t[10]){2, 10, 0, PM_SCI_GSI, PM_SCI_GSI, 0, 0, 0, 0x0d}, 10); /* by level, active high */
    p += 10;
    memcpy(p, (uint8_t[6]){4, 6, 0xff, 0, 0, 1}, 6); /* LINT1 is NMI everywhere */
    return finish(b, t);
}

static uint64_t build_mcfg(struct builder *b)
{
    uint8_t *t = begin(b, "MCFG", HEADER_SIZE + 8 + 16, 1);

    if (!t)
        return 0;
    store_le64(t + 44, MEM_ECAM_BASE);
    t[55] = 255; /* segment 0, buses 0 to 255 */
    return finish(b, t);
}

static uint64_t build_hpet(struct builder *b)
{
    uint8_t *t = begin(b, "HPET", 56, 1);

    if (!t)
        return 0;
    store_le32(t + 36, HPET_ID);
    gas(t + 40, GAS_MEMORY, 64, 0, HPET_BASE);
    store_le16(t + 53, HPET_MIN_TICKS);
    return finish(b, t);
}

/* The watchdog's registers as actions (Microsoft, "Hardware Watchdog Timers Design Specification" 1.01). */
enum wdat_action {
    WDAT_RESET = 0x01,
    WDAT_QUERY_CURRENT = 0x04,
    WDAT_QUERY_COUNTDOWN = 0x05,
    WDAT_SET_COUNTDOWN = 0x06,
    WDAT_QUERY_RUNNING = 0x08,
    WDAT_SET_RUNNING = 0x09,
    WDAT_QUERY_STOPPED = 0x0a,
    WDAT_SET_STOPPED = 0x0b,
    WDAT_QUERY_STATUS = 0x20,
    WDAT_SET_STATUS = 0x21,
};

enum { WDAT_READ_VALUE, WDAT_READ_COUNT, WDAT_WRITE_VALUE, WDAT_WRITE_COUNT, WDAT_PRESERVE = 0x80 };

static const struct wdat_entry {
    uint8_t action, instruction;
    uint16_t offset, value, mask;
} wdat_entries[] = {
    {WDAT_RESET, WDAT_WRITE_VALUE, TCO_RLD, 1, TCO_TICKS_MAX},
    {WDAT_QUERY_CURRENT, WDAT_READ_COUNT, TCO_RLD, 0, TCO_TICKS_MAX},
    {WDAT_QUERY_COUNTDOWN, WDAT_READ_COUNT, TCO_TMR, 0, TCO_TICKS_MAX},
    {WDAT_SET_COUNTDOWN, WDAT_WRITE_COUNT, TCO_TMR, 0, TCO_TICKS_MAX},
    {WDAT_QUERY_RUNNING, WDAT_READ_VALUE, TCO1_CNT, 0, TCO1_CNT_HALT},
    {WDAT_SET_RUNNING, WDAT_WRITE_VALUE | WDAT_PRESERVE, TCO1_CNT, 0, TCO1_CNT_HALT},
    {WDAT_QUERY_STOPPED, WDAT_READ_VALUE, TCO1_CNT, TCO1_CNT_HALT, TCO1_CNT_HALT},
    {WDAT_SET_STOPPED, WDAT_WRITE_VALUE | WDAT_PRESERVE, TCO1_CNT, TCO1_CNT_HALT, TCO1_CNT_HALT},
    {WDAT_QUERY_STATUS, WDAT_READ_VALUE, TCO2_STS, TCO2_STS_SECOND, TCO2_STS_SECOND},
    {WDAT_SET_STATUS, WDAT_WRITE_VALUE, TCO2_STS, TCO2_STS_SECOND, TCO2_STS_SECOND},
};

static uint64_t build_wdat(struct builder *b)
{
    uint8_t *t = begin(b, "WDAT", 68 + ARRAY_SIZE(wdat_entries) * 24, 1), *e;

    if (!t)
        return 0;
    store_le32(t + 36, 32);     /* of this header */
    store_le16(t + 40, 0xffff); /* no PCI device */
    t[42] = t[43] = t[44] = 0xff;
    store_le32(t + 48, 2 * TCO_TICK_MS); /* it resets when it has run out twice */
    store_le32(t + 52, TCO_TICKS_MAX);
    store_le32(t + 56, TCO_TICKS_MIN);
    t[60] = 1; /* enabled */
    store_le32(t + 64, ARRAY_SIZE(wdat_entries));
    for (size_t i = 0; i < ARRAY_SIZE(wdat_entries); i++) {
        e = t + 68 + i * 24;
        e[0] = wdat_entries[i].action;
        e[1] = wdat_entries[i].instruction;
        gas(e + 4, GAS_IO, 16, 2, PM_BASE + TCO_OFFSET + wdat_entries[i].offset);
        store_le32(e + 16, wdat_entries[i].value);
        store_le32(e + 20, wdat_entries[i].mask);
    }
    return finish(b, t);
}

static uint64_t build_xsdt(struct builder *b, const uint64_t *tables, unsigned count)
{
    uint8_t *t = begin(b, "XSDT", HEADER_SIZE + count * 8, 1);

    if (!t)
        return 0;
    for (unsigned i = 0; i < count; i++)
        store_le64(t + HEADER_SIZE + i * 8, tables[i]);
    return finish(b, t);
}

static void fill_rsdp(uint8_t *p, uint64_t xsdt)
{
    memcpy(p, "RSD PTR ", 8);
    memcpy(p + 9, "BATUTA", 6);
    p[15] = 2; /* revision: no RSDT, an XSDT */
    store_le32(p + 20, RSDP_SIZE);
    store_le64(p + 24, xsdt);
    p[8] = checksum(p, 20);
    p[32] = checksum(p, RSDP_SIZE);
}

int acpi_build(struct vm *vm, const struct board *board, uint8_t *buf, size_t size, uint64_t gpa_base,
               struct acpi_tables *out)
{
    struct builder b = {.vm = vm, .board = board, .buf = buf, .size = size, .base = gpa_base, .out = out};
    uint64_t tables[ACPI_TABLES_MAX];
    unsigned count = 0;
    uint8_t *rsdp;
    uint64_t dsdt;

    base_assert(!(gpa_base & 63));
    out->count = 0;
    rsdp = reserve(&b, RSDP_SIZE, 16);
    dsdt = build_dsdt(&b);
    tables[count++] = build_fadt(&b, build_facs(&b), dsdt);
    tables[count++] = build_madt(&b);
    tables[count++] = build_mcfg(&b);
    if (board->hpet)
        tables[count++] = build_hpet(&b);
    if (board->tco)
        tables[count++] = build_wdat(&b);
    fill_rsdp(rsdp ? rsdp : (uint8_t[RSDP_SIZE]){0}, build_xsdt(&b, tables, count));
    if (b.full)
        return -ENOSPC;
    out->length = b.len;
    out->rsdp = gpa_base;
    return 0;
}
