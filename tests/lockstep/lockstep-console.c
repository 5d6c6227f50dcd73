/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The person at the serial line, who types as a function of what was read. */
#include <stdlib.h>
#include <string.h>

#include "tests/lockstep/lockstep.h"

static struct console *console_of(struct chardev *chardev)
{
    return container_of(chardev, struct console, chardev);
}

/* Has the text come since the last one that was waited for? */
static bool seen(struct console *c, const char *text)
{
    const char *at = memmem(c->text + c->seen, c->len - c->seen, text, strlen(text));

    if (at)
        c->seen = (size_t)(at - c->text) + strlen(text);
    return at != NULL;
}

static void look(struct console *c)
{
    const struct description *d = c->side->pair->d;
    struct vm *vm = &c->side->vm;

    if (c->typing && *c->typing)
        return;
    if (c->next < d->sends) {
        if (seen(c, d->send[c->next].expect)) {
            c->typing = d->send[c->next++].text;
            vm_defer(vm, &c->type);
        }
    } else if (d->until && seen(c, d->until)) {
        vm_request_shutdown(vm, VM_SHUTDOWN_HOST);
    }
}

static size_t op_write(struct chardev *chardev, const uint8_t *buf, size_t len)
{
    struct console *c = console_of(chardev);
    size_t n = MIN(len, CONSOLE_MAX - c->len);

    memcpy(c->text + c->len, buf, n);
    c->len += n;
    if (c->side->pair->d->verbose && c->side->index == 0) {
        fwrite(buf, 1, len, stderr);
        fflush(stderr);
    }
    look(c);
    return len;
}

static void type(void *opaque)
{
    struct console *c = opaque;
    size_t left = c->typing ? strlen(c->typing) : 0, taken;

    if (left && c->chardev.receive) {
        taken = c->chardev.receive(c->chardev.device, (const uint8_t *)c->typing, left);
        c->typing += MIN(left, taken);
    }
    look(c);
}

static void op_resume(struct chardev *chardev)
{
    struct console *c = console_of(chardev);

    if (c->typing && *c->typing)
        vm_defer(&c->side->vm, &c->type);
}

static void op_close(struct chardev *chardev)
{
}

void console_init(struct console *c, struct side *side)
{
    static const struct chardev_ops ops = {
        .name = "lockstep", .write = op_write, .resume = op_resume, .close = op_close};

    c->chardev = (struct chardev){.ops = &ops, .connected = true};
    c->side = side;
    c->text = calloc(1, CONSOLE_MAX);
    if (!c->text)
        abort();
    c->type = (struct plat_work){.fn = type, .opaque = c};
}

void console_finish(struct console *c)
{
    free(c->text);
}
