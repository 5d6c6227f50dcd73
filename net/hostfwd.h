/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The words of port forwarding, as net.h describes them. */
#ifndef NET_HOSTFWD_H
#define NET_HOSTFWD_H

#include <netinet/in.h>

#include "base/error.h"

struct hostfwd {
    bool udp;
    struct in_addr host, guest;
    uint16_t host_port, guest_port;
};

/* One rule of `len` characters. */
int hostfwd_parse(const char *text, size_t len, struct hostfwd *out, struct error *err);

#endif
