/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/hostfwd.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_HOST  "127.0.0.1"
#define DEFAULT_GUEST "10.0.2.15"

static bool port_parse(const char *text, uint16_t *port)
{
    unsigned long n = 0;

    if (!*text || strlen(text) > 5)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        n = n * 10 + (unsigned long)(*text - '0');
    }
    if (!n || n > 65535)
        return false;
    *port = (uint16_t)n;
    return true;
}

/* "ADDR:PORT", ":PORT" or, where may_omit, "PORT". */
static bool end_parse(char *text, const char *fallback, bool may_omit, struct in_addr *addr, uint16_t *port)
{
    char *colon = strrchr(text, ':');

    if (!colon) {
        if (!may_omit)
            return false;
        inet_aton(fallback, addr);
        return port_parse(text, port);
    }
    *colon = '\0';
    return inet_pton(AF_INET, *text ? text : fallback, addr) == 1 && port_parse(colon + 1, port);
}

int hostfwd_parse(const char *text, size_t len, struct hostfwd *out, struct error *err)
{
    struct hostfwd f = {0};
    char buf[96], *rest, *dash;

    if (len >= sizeof(buf))
        goto bad;
    memcpy(buf, text, len);
    buf[len] = '\0';
    if (strncmp(buf, "tcp:", 4) != 0 && strncmp(buf, "udp:", 4) != 0)
        goto bad;
    f.udp = buf[0] == 'u';
    rest = buf + 4;
    dash = strchr(rest, '-');
    if (!dash)
        goto bad;
    *dash = '\0';
    if (!end_parse(rest, DEFAULT_HOST, true, &f.host, &f.host_port) ||
        !end_parse(dash + 1, DEFAULT_GUEST, false, &f.guest, &f.guest_port))
        goto bad;
    *out = f;
    return 0;
bad:
    return error_set(err, EINVAL,
                     "hostfwd %.*s: is not of the form tcp|udp:[HOSTADDR:]HOSTPORT-[GUESTADDR]:GUESTPORT, "
                     "as in tcp:2222-:22",
                     (int)MIN(len, 200U), text);
}
