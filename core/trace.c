/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/trace.h"

#include "base/error.h"
#include "base/fmt.h"
#include "core/vm.h"

static const char *const names[TRACE_COUNT] = {
#define TRACE_NAME(id, name, help) [TRACE_##id] = (name),
    TRACE_EVENTS(TRACE_NAME)
#undef TRACE_NAME
};

const char *trace_name(enum trace_event event)
{
    return names[event];
}

int trace_enable(struct trace *trace, const char *name)
{
    for (unsigned i = 0; i < TRACE_COUNT; i++) {
        const char *a = names[i];
        const char *b = name;

        while (*a && *a == *b) {
            a++;
            b++;
        }
        if (*a == *b) {
            trace->mask |= BIT64(i);
            return 0;
        }
    }
    return -ENOENT;
}

void trace_print(struct vm *vm, enum trace_event event, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    if (!vm->trace.emit)
        return;
    va_start(ap, fmt);
    fmt_vprint(text, sizeof(text), fmt, ap);
    va_end(ap);
    vm->trace.emit(vm->trace.opaque, event, text);
}
