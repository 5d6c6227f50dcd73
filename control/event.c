/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/control-internal.h"
#include "core/plat.h"

void control_event_begin(struct control_server *server, struct json_writer *w, const char *name)
{
    uint64_t now = server->plat->ops->realtime(server->plat) / 1000;

    json_writer_init(w, server->plat, CONTROL_MAX_ANSWER);
    json_open(w, '{');
    json_key(w, "timestamp");
    json_open(w, '{');
    json_add_uint(w, "seconds", now / 1000000);
    json_add_uint(w, "microseconds", now % 1000000);
    json_close(w, '{');
    json_add_text(w, "event", name);
}

void control_event_end(struct json_writer *w)
{
    json_close(w, '{');
    json_put_raw(w, "\r\n", 2);
}

/* ---- a VM's ---- */

static const char *shutdown_reason(enum vm_shutdown_cause cause, const char *host)
{
    switch (cause) {
    case VM_SHUTDOWN_GUEST:
    case VM_SHUTDOWN_DEBUG_EXIT:
        return "guest-shutdown";
    case VM_SHUTDOWN_HOST:
        return host;
    case VM_SHUTDOWN_PANIC:
        return "guest-panic";
    case VM_SHUTDOWN_TRIPLE_FAULT:
        return "guest-reset";
    case VM_SHUTDOWN_ERROR:
        return "host-error";
    }
    return "none";
}

static const char *event_name(enum vm_event event, uint64_t arg)
{
    switch (event) {
    case VM_EVENT_SHUTDOWN:
        return "SHUTDOWN";
    case VM_EVENT_RESET:
        return "RESET";
    case VM_EVENT_STOP:
        return "STOP";
    case VM_EVENT_RESUME:
        return "RESUME";
    case VM_EVENT_POWERDOWN:
        return "POWERDOWN";
    case VM_EVENT_PANIC: /* pvpanic's byte: bit 1: a crash kernel takes over by itself */
        return arg & BIT(1) ? "GUEST_CRASHLOADED" : "GUEST_PANICKED";
    case VM_EVENT_WATCHDOG:
        return "WATCHDOG";
    case VM_EVENT_DEBUG_EXIT:
    case VM_EVENT_ERROR:
        break;
    }
    return NULL;
}

static void put_data(struct json_writer *w, enum vm_event event, uint64_t arg, const char *reason)
{
    switch (event) {
    case VM_EVENT_SHUTDOWN:
        json_add_bool(w, "guest", arg != VM_SHUTDOWN_HOST && arg != VM_SHUTDOWN_ERROR);
        json_add_text(w, "reason", shutdown_reason((enum vm_shutdown_cause)arg, reason));
        break;
    case VM_EVENT_RESET:
        json_add_bool(w, "guest", arg != 0);
        json_add_text(w, "reason", arg ? "guest-reset" : "host-qmp-system-reset");
        break;
    case VM_EVENT_PANIC:
        json_add_text(w, "action", arg & BIT(1) ? "run" : "poweroff");
        break;
    case VM_EVENT_WATCHDOG:
        json_add_text(w, "action", "reset");
        break;
    default:
        break;
    }
}

bool control_vm_event(struct control_server *server, struct json_writer *w, const char *vm,
                      enum vm_event event, uint64_t arg, const char *reason)
{
    const char *name = event_name(event, arg);

    if (!name)
        return false;
    control_event_begin(server, w, name);
    if (vm || event == VM_EVENT_SHUTDOWN || event == VM_EVENT_RESET || event == VM_EVENT_PANIC ||
        event == VM_EVENT_WATCHDOG) {
        json_key(w, "data");
        json_open(w, '{');
        if (vm)
            json_add_text(w, "vm", vm);
        put_data(w, event, arg, reason);
        json_close(w, '{');
    }
    control_event_end(w);
    return true;
}
