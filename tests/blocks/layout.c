/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Items to bytes: a few rounds, as a jump's length depends on where the others end up. */
#include "tests/blocks/blocks.h"

#define FILLER 0xcc /* INT3 */

unsigned block_standing(const struct block *block, unsigned i)
{
    while (i + 1 < block->count && block->item[i].dropped)
        i++;
    return i;
}

static uint64_t alias_of(uint64_t address)
{
    return address - CODE_BASE + CODE_ALIAS;
}

/* E9 and 0F 8x with 32 bits become EB and 7x with 8. */
static void shorten(struct item *it)
{
    it->placed[0] = it->bytes[0] == 0xe9 ? 0xeb : (uint8_t)(it->bytes[1] - 0x10);
    it->placed_length = 2;
}

static bool reaches(const struct block *block, const struct item *it)
{
    uint64_t to = block->item[block_standing(block, it->target)].address;
    int64_t distance = (int64_t)(to - (it->address + 2));

    return distance >= -128 && distance <= 127;
}

/* True: an item changed its length. */
static bool place(struct block *block)
{
    uint64_t at = block->start;
    bool moved = false;

    for (unsigned i = 0; i < block->count; i++) {
        struct item *it = &block->item[i];
        uint8_t length = it->dropped ? 0 : it->length;

        it->address = at;
        if (it->can_short && !it->dropped && reaches(block, it))
            length = 2;
        moved |= length != it->placed_length;
        it->placed_length = length;
        at += length;
    }
    return moved;
}

static void fix(const struct block *block, struct item *it)
{
    const struct item *to = &block->item[block_standing(block, it->target)];
    uint64_t end = it->address + it->fix_at + 4 + it->fix_tail, value = it->place;

    switch (it->fix) {
    case FIX_NONE:
        return;
    case FIX_ITEM:
        value = to->address - end;
        break;
    case FIX_ITEM_ABS:
        value = to->address;
        break;
    case FIX_CODE:
    case FIX_CODE_ABS:
        value = to->address + it->place;
        value = it->alias ? alias_of(value) : value;
        value -= it->fix == FIX_CODE ? end : 0;
        break;
    case FIX_DATA:
        value = it->place - end;
        break;
    }
    store_le32(it->placed + it->fix_at, (uint32_t)value);
}

void block_layout(struct block *block, uint8_t code[CODE_PAGES * 4096])
{
    unsigned rounds = 0;

    for (unsigned i = 0; i < block->count; i++)
        block->item[i].placed_length = 0;
    while (place(block) && ++rounds < 8) {
    }
    memset(code, FILLER, CODE_PAGES * 4096);
    for (unsigned i = 0; i < block->count; i++) {
        struct item *it = &block->item[i];

        memcpy(it->placed, it->bytes, sizeof(it->bytes));
        if (it->dropped)
            continue;
        if (it->placed_length == 2 && it->can_short) {
            uint64_t to = block->item[block_standing(block, it->target)].address;

            shorten(it);
            it->placed[1] = (uint8_t)(to - (it->address + 2));
        } else {
            fix(block, it);
        }
        memcpy(code + (it->address - CODE_BASE), it->placed, it->placed_length);
    }
}
