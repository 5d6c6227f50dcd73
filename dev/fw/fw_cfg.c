/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Items are the machine's description, not state: a snapshot holds only what is selected, and where. */
#include "dev/fw/fw_cfg.h"

#include "base/bytes.h"
#include "dev/regions.h"

#define KEYS           0x20U /* numbered items */
#define FIRST_FILE     0x20U /* then files */
#define KEY_NONE       0xffffU
#define KEY_FLAGS      0xc000U /* architecture-local, write channel: there is nothing */

#define DMA_PORT       0x514U
#define DMA_SIGNATURE  0x51454d5520434647ULL /* "QEMU CFG" */
#define DMA_ERROR      BIT(0)
#define DMA_READ       BIT(1)
#define DMA_SKIP       BIT(2)
#define DMA_SELECT     BIT(3)
#define DMA_WRITE      BIT(4)
#define DMA_TAIL_MAX   KIB(64) /* zeroes behind an item that a request may ask for: its work is bounded */

#define ID_TRADITIONAL BIT(0)
#define ID_DMA         BIT(1)

#define DIR_ENTRY      64U

struct item {
    const uint8_t *data;
    size_t len;
    uint8_t own[8]; /* where integers live */
};

struct fw_cfg {
    struct device dev;
    struct io_region region, dma_region;
    struct item item[KEYS + FW_CFG_FILES_MAX];
    char name[FW_CFG_FILES_MAX][FW_CFG_NAME_MAX];
    unsigned files;
    uint8_t dir[4 + FW_CFG_FILES_MAX * DIR_ENTRY];
    uint16_t selected; /* KEY_NONE: nothing */
    uint32_t offset;
    uint32_t dma_high;
};

static const struct state_field fw_cfg_fields[] = {
    STATE_INT(struct fw_cfg, selected),
    STATE_INT(struct fw_cfg, offset),
    STATE_INT(struct fw_cfg, dma_high),
    STATE_END,
};

/* ---- items ---- */

static const struct item *current(const struct fw_cfg *fw)
{
    return fw->selected < ARRAY_SIZE(fw->item) ? &fw->item[fw->selected] : NULL;
}

static int add(struct fw_cfg *fw, unsigned key, const void *data, size_t len)
{
    if (key >= ARRAY_SIZE(fw->item) || len > UINT32_MAX)
        return -ENOSPC;
    if (fw->item[key].data)
        return -EEXIST;
    fw->item[key].data = data;
    fw->item[key].len = len;
    return 0;
}

int fw_cfg_add_item(struct fw_cfg *fw, uint16_t key, const void *data, size_t len)
{
    return key < KEYS ? add(fw, key, data, len) : -ENOSPC;
}

int fw_cfg_add_integer(struct fw_cfg *fw, uint16_t key, uint64_t value, unsigned size)
{
    if (key >= KEYS || size > 8)
        return -ENOSPC;
    store_le64(fw->item[key].own, value);
    return add(fw, key, fw->item[key].own, size);
}

static int compare(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

/* The directory is big-endian, sorted by name (guests that number files rely on nothing but this order being
 * stable). */
static void build_directory(struct fw_cfg *fw)
{
    uint8_t order[FW_CFG_FILES_MAX];

    for (unsigned i = 0; i < fw->files; i++) {
        unsigned at = i;

        for (; at && compare(fw->name[order[at - 1]], fw->name[i]) > 0; at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)i;
    }
    store_be32(fw->dir, fw->files);
    for (unsigned i = 0; i < fw->files; i++) {
        uint8_t *e = fw->dir + 4 + i * DIR_ENTRY;

        store_be32(e, (uint32_t)fw->item[FIRST_FILE + order[i]].len);
        store_be16(e + 4, (uint16_t)(FIRST_FILE + order[i]));
        store_be16(e + 6, 0);
        memcpy(e + 8, fw->name[order[i]], FW_CFG_NAME_MAX);
    }
}

int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len)
{
    size_t n = 0;
    int r;

    while (name[n])
        n++;
    if (fw->files == FW_CFG_FILES_MAX || n >= FW_CFG_NAME_MAX)
        return -ENOSPC;
    for (unsigned i = 0; i < fw->files; i++)
        if (!compare(fw->name[i], name))
            return -EEXIST;
    r = add(fw, FIRST_FILE + fw->files, data, len);
    if (r)
        return r;
    memcpy(fw->name[fw->files], name, n + 1);
    fw->files++;
    build_directory(fw);
    return 0;
}

/* ---- access ---- */

static void select_item(struct fw_cfg *fw, uint16_t key)
{
    fw->selected = key & KEY_FLAGS ? KEY_NONE : key;
    fw->offset = 0;
}

/* How many bytes of the item are left. */
static uint32_t remaining(const struct fw_cfg *fw)
{
    const struct item *item = current(fw);

    return item && fw->offset < item->len ? (uint32_t)item->len - fw->offset : 0;
}

static uint64_t fw_cfg_read(void *opaque, uint64_t offset, unsigned size)
{
    struct fw_cfg *fw = opaque;

    if (size != 1 || offset != 1 || !remaining(fw))
        return 0;
    return current(fw)->data[fw->offset++];
}

static void fw_cfg_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    if (size == 2 && offset == 0)
        select_item(opaque, (uint16_t)value);
}

/* Behind an item's end come zeroes. */
static int dma_copy(struct fw_cfg *fw, uint64_t gpa, uint32_t len)
{
    static const uint8_t zeroes[256];
    struct vm *vm = fw->dev.vm;
    uint32_t have = MIN(remaining(fw), len);
    int r = have ? mem_write(vm, gpa, current(fw)->data + fw->offset, have) : 0;

    for (uint32_t done = have; !r && done < len;) {
        uint32_t n = (uint32_t)MIN(len - done, sizeof(zeroes));

        r = mem_write(vm, gpa + done, zeroes, n);
        done += n;
    }
    return r;
}

static bool dma_run(struct fw_cfg *fw, uint32_t control, uint32_t len, uint64_t gpa)
{
    if (control & DMA_SELECT)
        select_item(fw, (uint16_t)(control >> 16));
    if (control & DMA_WRITE || gpa + len < gpa)
        return false;
    if (control & DMA_READ && (len > (uint64_t)remaining(fw) + DMA_TAIL_MAX || dma_copy(fw, gpa, len)))
        return false;
    if (control & (DMA_READ | DMA_SKIP))
        fw->offset += MIN(len, remaining(fw));
    return true;
}

static void dma_start(struct fw_cfg *fw, uint64_t gpa)
{
    struct vm *vm = fw->dev.vm;
    uint8_t request[16], result[4];

    if (mem_read(vm, gpa, request, sizeof(request)))
        return; /* nowhere to report to */
    store_be32(result, dma_run(fw, load_be32(request), load_be32(request + 4), load_be64(request + 8))
                           ? 0
                           : DMA_ERROR);
    (void)mem_write(vm, gpa, result, sizeof(result));
}

static uint64_t dma_read(void *opaque, uint64_t offset, unsigned size)
{
    return __builtin_bswap32((uint32_t)(DMA_SIGNATURE >> (offset < 4 ? 32 : 0))); /* big-endian */
}

static void dma_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct fw_cfg *fw = opaque;
    uint32_t word = __builtin_bswap32((uint32_t)value);

    if (offset == 0) {
        fw->dma_high = word;
    } else if (offset == 4) {
        uint64_t gpa = (uint64_t)fw->dma_high << 32 | word;

        fw->dma_high = 0;
        dma_start(fw, gpa);
    }
}

static const struct io_ops fw_cfg_ops = {.read = fw_cfg_read, .write = fw_cfg_write, .max_size = 2};
static const struct io_ops dma_ops = {.read = dma_read, .write = dma_write, .min_size = 4, .max_size = 4};

/* ---- the device ---- */

static void fw_cfg_reset(struct device *dev)
{
    struct fw_cfg *fw = device_object(dev);

    select_item(fw, FW_CFG_SIGNATURE);
    fw->dma_high = 0;
}

static int fw_cfg_post_load(void *object, unsigned version)
{
    return 0; /* every selection and offset is checked when it is used */
}

static const struct state_table fw_cfg_state = {
    .name = "fw_cfg",
    .version = 1,
    .fields = fw_cfg_fields,
    .post_load = fw_cfg_post_load,
};

static void fw_cfg_destroy(struct device *dev)
{
    struct fw_cfg *fw = device_object(dev);

    bus_unmap(&dev->vm->pio, &fw->region);
    bus_unmap(&dev->vm->pio, &fw->dma_region);
    vm_free(dev->vm, fw);
}

static const struct device_ops fw_cfg_device = {
    .name = "fw_cfg",
    .state = &fw_cfg_state,
    .state_offset = offsetof(struct fw_cfg, dev),
    .reset = fw_cfg_reset,
    .destroy = fw_cfg_destroy,
};

static void add_standard_items(struct fw_cfg *fw)
{
    const struct vm *vm = fw->dev.vm;

    fw_cfg_add_item(fw, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add_integer(fw, FW_CFG_ID, ID_TRADITIONAL | ID_DMA, 4);
    fw_cfg_add_integer(fw, FW_CFG_RAM_SIZE, vm->mem.ram_size, 8);
    fw_cfg_add_integer(fw, FW_CFG_NOGRAPHIC, 1, 2);
    fw_cfg_add_integer(fw, FW_CFG_NB_CPUS, vm->vcpu_count, 2);
    fw_cfg_add_integer(fw, FW_CFG_MAX_CPUS, vm->vcpu_count, 2);
    fw_cfg_add_integer(fw, FW_CFG_BOOT_MENU, 0, 2);
    fw_cfg_add_item(fw, FW_CFG_FILE_DIR, fw->dir, sizeof(fw->dir));
}

int fw_cfg_create(struct vm *vm, struct fw_cfg **out)
{
    struct fw_cfg *fw = vm_alloc(vm, sizeof(*fw));
    int r;

    if (!fw)
        return -ENOMEM;
    r = device_add(&fw->dev, vm, &fw_cfg_device, "fw_cfg");
    if (r) {
        vm_free(vm, fw);
        return r;
    }
    r = region_map(&vm->pio, &fw->region, "fw_cfg", FW_CFG_PORT, 2, &fw_cfg_ops, fw);
    if (!r)
        r = region_map(&vm->pio, &fw->dma_region, "fw_cfg-dma", DMA_PORT, 8, &dma_ops, fw);
    if (r)
        return r;
    add_standard_items(fw);
    fw_cfg_reset(&fw->dev);
    *out = fw;
    return 0;
}
