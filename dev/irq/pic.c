/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slave's INT is the master's input 2. Requests are kept apart by kind: edges
 * are latched until acknowledged, level inputs count as long as they are up.
 * Deliberately not modelled: the MCS-80 mode, buffered mode, and an edge's
 * withdrawal before its acknowledge (software could only see it as spurious).
 */
#include "dev/irq/pic.h"

#include "dev/regions.h"

#define CASCADE 2U

enum init_step { INIT_DONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };

struct pic;

struct pic_chip {
    struct pic *pic;
    bool slave;
    uint8_t lines; /* input levels */
    uint8_t edges; /* latched requests */
    uint8_t elcr;  /* 1: by level */
    uint8_t isr, imr;
    uint8_t base;   /* vector of input 0 */
    uint8_t lowest; /* the input of lowest priority */
    uint8_t step;   /* enum init_step */
    bool icw4_wanted;
    bool auto_eoi, rotate_on_aeoi;
    bool fully_nested; /* special fully nested mode */
    bool special_mask;
    bool read_isr, poll;
    struct io_region region, elcr_region;
};

struct pic {
    struct device dev;
    struct pic_chip chip[2]; /* master, slave */
    bool intr;
};

static const struct state_field chip_fields[] = {
    STATE_INT(struct pic_chip, lines),
    STATE_INT(struct pic_chip, edges),
    STATE_INT(struct pic_chip, elcr),
    STATE_INT(struct pic_chip, isr),
    STATE_INT(struct pic_chip, imr),
    STATE_INT(struct pic_chip, base),
    STATE_INT(struct pic_chip, lowest),
    STATE_INT(struct pic_chip, step),
    STATE_BOOL(struct pic_chip, icw4_wanted),
    STATE_BOOL(struct pic_chip, auto_eoi),
    STATE_BOOL(struct pic_chip, rotate_on_aeoi),
    STATE_BOOL(struct pic_chip, fully_nested),
    STATE_BOOL(struct pic_chip, special_mask),
    STATE_BOOL(struct pic_chip, read_isr),
    STATE_BOOL(struct pic_chip, poll),
    STATE_END,
};

static const struct state_field pic_fields[] = {
    STATE_STRUCT(struct pic, chip, struct pic_chip, chip_fields),
    STATE_END,
};

static int request(const struct pic_chip *chip);

static uint8_t irr(const struct pic_chip *chip)
{
    uint8_t bits = chip->edges | (chip->lines & chip->elcr);

    if (!chip->slave && request(&chip->pic->chip[1]) >= 0)
        bits |= BIT(CASCADE);
    return bits;
}

/* 0 is the highest priority, 8 that of no input at all. */
static unsigned priority(const struct pic_chip *chip, uint8_t bits)
{
    for (unsigned i = 0; i < 8; i++)
        if (bits & BIT((chip->lowest + 1 + i) & 7))
            return i;
    return 8;
}

/* The input that INT stands for, or -1. */
static int request(const struct pic_chip *chip)
{
    uint8_t serving = chip->isr;
    unsigned wanted = priority(chip, irr(chip) & (uint8_t)~chip->imr);

    if (chip->special_mask)
        serving &= (uint8_t)~chip->imr;
    if (chip->fully_nested && !chip->slave)
        serving &= (uint8_t)~BIT(CASCADE);
    if (wanted >= priority(chip, serving))
        return -1;
    return (chip->lowest + 1 + wanted) & 7;
}

static void drive_intr(struct pic *pic)
{
    struct vm *vm = pic->dev.vm;

    if (vm->irqs.lapic)
        vm->irqs.lapic->extint(vm, pic->intr);
    else if (vm->engine && vm->engine->extint)
        vm->engine->extint(vm, pic->intr);
}

static void update(struct pic *pic)
{
    bool intr = request(&pic->chip[0]) >= 0;

    if (intr == pic->intr)
        return;
    pic->intr = intr;
    drive_intr(pic);
}

static void pic_set(void *opaque, unsigned pin, bool level)
{
    struct pic *pic = opaque;
    struct pic_chip *chip = &pic->chip[pin >> 3 & 1];
    uint8_t bit = (uint8_t)BIT(pin & 7);

    if (level) {
        if (!(chip->lines & bit) && !(chip->elcr & bit))
            chip->edges |= bit;
        chip->lines |= bit;
    } else {
        chip->lines &= (uint8_t)~bit;
    }
    update(pic);
}

static void acknowledge(struct pic_chip *chip, unsigned input)
{
    if (!chip->auto_eoi)
        chip->isr |= (uint8_t)BIT(input);
    else if (chip->rotate_on_aeoi)
        chip->lowest = (uint8_t)input;
    chip->edges &= (uint8_t)~BIT(input);
}

/* One INTA cycle of one chip; a request that is gone is answered with input 7 (spurious). */
static unsigned inta(struct pic_chip *chip)
{
    int input = request(chip);

    if (input < 0)
        return 7;
    /* The slave takes its part first: its request falls with that. */
    if (!chip->slave && input == CASCADE) {
        struct pic_chip *slave = &chip->pic->chip[1];
        unsigned vector = slave->base + inta(slave);

        acknowledge(chip, CASCADE);
        return vector | 0x100;
    }
    acknowledge(chip, (unsigned)input);
    return (unsigned)input;
}

static int pic_acknowledge(void *opaque)
{
    struct pic *pic = opaque;
    unsigned answer = inta(&pic->chip[0]);

    update(pic);
    return answer & 0x100 ? (int)(answer & 0xff) : (int)(pic->chip[0].base + answer);
}

static void icw1(struct pic_chip *chip, uint8_t value)
{
    chip->edges = 0;
    chip->isr = 0;
    chip->imr = 0;
    chip->lowest = 7;
    chip->auto_eoi = chip->rotate_on_aeoi = false;
    chip->fully_nested = chip->special_mask = false;
    chip->read_isr = chip->poll = false;
    chip->icw4_wanted = value & BIT(0);
    chip->step = INIT_ICW2;
}

/* Operation command word 2: ends of interrupts, and rotation. */
static void ocw2(struct pic_chip *chip, uint8_t value)
{
    bool rotate = value & BIT(7), specific = value & BIT(6), eoi = value & BIT(5);
    unsigned highest = priority(chip, chip->isr);
    uint8_t input = specific ? value & 7 : (chip->lowest + 1 + highest) & 7;

    if (!eoi && !specific) {
        chip->rotate_on_aeoi = rotate;
        return;
    }
    if (!specific && highest == 8)
        return; /* nothing in service */
    if (eoi)
        chip->isr &= (uint8_t)~BIT(input);
    if (rotate)
        chip->lowest = input;
}

static void ocw3(struct pic_chip *chip, uint8_t value)
{
    if (value & BIT(6))
        chip->special_mask = value & BIT(5);
    chip->poll = value & BIT(2);
    if (value & BIT(1))
        chip->read_isr = value & BIT(0);
}

static void write_data(struct pic_chip *chip, uint8_t value)
{
    switch (chip->step) {
    case INIT_DONE:
        chip->imr = value;
        break;
    case INIT_ICW2:
        chip->base = value & 0xf8;
        chip->step = INIT_ICW3;
        break;
    case INIT_ICW3: /* the wiring is what it is */
        chip->step = chip->icw4_wanted ? INIT_ICW4 : INIT_DONE;
        break;
    case INIT_ICW4:
        chip->fully_nested = value & BIT(4);
        chip->auto_eoi = value & BIT(1);
        chip->step = INIT_DONE;
        break;
    }
}

static void chip_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pic_chip *chip = opaque;
    uint8_t byte = (uint8_t)value;

    if (offset)
        write_data(chip, byte);
    else if (byte & BIT(4))
        icw1(chip, byte);
    else if (byte & BIT(3))
        ocw3(chip, byte);
    else
        ocw2(chip, byte);
    update(chip->pic);
}

static uint64_t chip_poll(struct pic_chip *chip)
{
    int input = request(chip);

    chip->poll = false;
    if (input < 0)
        return 0;
    acknowledge(chip, (unsigned)input);
    update(chip->pic);
    return 0x80U | (unsigned)input;
}

static uint64_t chip_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pic_chip *chip = opaque;

    if (chip->poll)
        return chip_poll(chip);
    if (offset)
        return chip->imr;
    return chip->read_isr ? chip->isr : irr(chip);
}

static uint64_t elcr_read(void *opaque, uint64_t offset, unsigned size)
{
    return ((struct pic_chip *)opaque)->elcr;
}

static void elcr_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pic_chip *chip = opaque;

    /* Timer, keyboard, cascade, RTC and coprocessor are edges for ever. */
    chip->elcr = (uint8_t)value & (chip->slave ? 0xde : 0xf8);
    chip->edges &= (uint8_t)~chip->elcr;
    update(chip->pic);
}

static const struct io_ops chip_ops = {.read = chip_read, .write = chip_write, .max_size = 1};
static const struct io_ops elcr_ops = {.read = elcr_read, .write = elcr_write, .max_size = 1};

static void pic_reset(struct device *dev)
{
    struct pic *pic = device_object(dev);

    for (unsigned i = 0; i < 2; i++) {
        struct pic_chip *chip = &pic->chip[i];

        icw1(chip, 0);
        chip->lines = 0;
        chip->imr = 0xff; /* undefined on the chip; nobody wants vectors before ICW2 */
        chip->elcr = 0;
        chip->base = 0;
        chip->step = INIT_DONE;
    }
    pic->intr = false;
    drive_intr(pic);
}

static int pic_post_load(void *object, unsigned version)
{
    struct pic *pic = object;

    for (unsigned i = 0; i < 2; i++)
        if (pic->chip[i].step > INIT_ICW4 || pic->chip[i].lowest > 7 || pic->chip[i].base & 7)
            return -EINVAL;
    pic->intr = request(&pic->chip[0]) >= 0;
    drive_intr(pic);
    return 0;
}

static const struct state_table pic_state = {
    .name = "i8259",
    .version = 1,
    .fields = pic_fields,
    .post_load = pic_post_load,
};

static void pic_destroy(struct device *dev)
{
    struct pic *pic = device_object(dev);
    struct irqs *irqs = &dev->vm->irqs;

    irqs->pic = (struct irq_sink){0};
    irqs->pic_acknowledge = NULL;
    for (unsigned i = 0; i < 2; i++) {
        bus_unmap(&dev->vm->pio, &pic->chip[i].region);
        bus_unmap(&dev->vm->pio, &pic->chip[i].elcr_region);
    }
    vm_free(dev->vm, pic);
}

static const struct device_ops pic_device = {
    .name = "i8259",
    .state = &pic_state,
    .state_offset = offsetof(struct pic, dev),
    .reset = pic_reset,
    .destroy = pic_destroy,
};

int pic_create(struct vm *vm)
{
    struct pic *pic = vm_alloc(vm, sizeof(*pic));
    int r;

    if (!pic)
        return -ENOMEM;
    r = device_add(&pic->dev, vm, &pic_device, "pic");
    if (r) {
        vm_free(vm, pic);
        return r;
    }
    for (unsigned i = 0; i < 2 && !r; i++) {
        struct pic_chip *chip = &pic->chip[i];

        chip->pic = pic;
        chip->slave = i;
        r = region_map(&vm->pio, &chip->region, "pic", i ? 0xa0 : 0x20, 2, &chip_ops, chip);
        if (!r)
            r = region_map(&vm->pio, &chip->elcr_region, "elcr", 0x4d0 + i, 1, &elcr_ops, chip);
    }
    if (r)
        return r;
    vm->irqs.pic = (struct irq_sink){.set = pic_set, .opaque = pic};
    vm->irqs.pic_acknowledge = pic_acknowledge;
    vm->irqs.pic_opaque = pic;
    pic_reset(&pic->dev);
    return 0;
}

void pic_direct_boot(struct vm *vm)
{
    static const uint8_t setup[][2] = {{0x08, 0x04}, {0x70, 0x02}}; /* ICW2, ICW3 */
    struct pic *pic = vm->irqs.pic_opaque;

    for (unsigned i = 0; i < 2; i++) {
        struct pic_chip *chip = &pic->chip[i];

        chip_write(chip, 0, 0x11, 1);
        chip_write(chip, 1, setup[i][0], 1);
        chip_write(chip, 1, setup[i][1], 1);
        chip_write(chip, 1, 0x01, 1);
        chip_write(chip, 1, 0xff, 1);
    }
    elcr_write(&pic->chip[1], 0, BIT(9 - 8) | BIT(10 - 8) | BIT(11 - 8), 1);
}
