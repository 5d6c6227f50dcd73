/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which guest registers of the frame rax and rcx still hold, so that the next instruction
 * need not wait for a store to come back from memory.
 *
 * What is known holds for one place in the code, and only if control comes to it from
 * above: whoever writes code and says nothing here has ended it.
 */
#include "engine/bt/translate.h"

static unsigned index_of(unsigned host)
{
    return host == HOST_RCX;
}

/* Nothing is known any more if something was written since. */
static void look(struct bt_translation *t)
{
    if (t->mirror_at != emit_offset(&t->e))
        t->mirror[0] = t->mirror[1] = HOST_NONE;
}

unsigned bt_mirror_of(const struct bt_translation *t, unsigned guest)
{
    if (t->mirror_at != emit_offset(&t->e))
        return HOST_NONE;
    return t->mirror[0] == guest ? HOST_RAX : t->mirror[1] == guest ? HOST_RCX : HOST_NONE;
}

void bt_mirror_forget(struct bt_translation *t)
{
    t->mirror_at = 0;
}

void bt_mirror_open(struct bt_translation *t)
{
    look(t);
    t->mirror_at = emit_offset(&t->e);
}

void bt_mirror_close(struct bt_translation *t)
{
    t->mirror_at = emit_offset(&t->e);
}

void bt_mirror_lose(struct bt_translation *t, unsigned host)
{
    t->mirror[index_of(host)] = HOST_NONE;
}

void bt_mirror_changed(struct bt_translation *t, unsigned guest)
{
    for (unsigned i = 0; i < 2; i++) {
        if (t->mirror[i] == guest)
            t->mirror[i] = HOST_NONE;
    }
}

void bt_mirror_set(struct bt_translation *t, unsigned host, unsigned guest)
{
    t->mirror[index_of(host)] = (uint8_t)guest;
    t->mirror_last = (uint8_t)host;
}

void bt_mirror_load(struct bt_translation *t, unsigned host, unsigned guest)
{
    unsigned from = bt_mirror_of(t, guest);

    if (from == host)
        return;
    bt_mirror_open(t);
    if (from == HOST_NONE)
        emit_load(&t->e, host, bt_frame_gpr(guest));
    else
        emit_mov_rr(&t->e, host, from);
    bt_mirror_set(t, host, guest);
    bt_mirror_close(t);
}
