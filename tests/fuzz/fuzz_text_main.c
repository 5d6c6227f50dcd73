/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a fuzz target for the hypervisor's configuration without libFuzzer: on the
 * files named, or with `-n COUNT` on that many files put together from words that
 * mean something to it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 16384U

static const char *const words[] = {
    "[hypervisor]\n",
    "[switch]\n",
    "[nic 0]\n",
    "[nic 7]\n",
    "[nic 8]\n",
    "[vm a]\n",
    "[vm b]\n",
    "[vm ",
    "]\n",
    "kernel = k\n",
    "kernel = vmlinuz\n",
    "initrd = k,cmdline=x\n",
    "memory = 16M\n",
    "memory = ",
    "cpus = 64\n",
    "disk = module:k,ro\n",
    "disk = ramdisk:8M\n",
    "disk = virtio:0\n",
    "disk = ",
    "net = switch\n",
    "net = switch,vlan=",
    "net = switch,mac=52:54:00:00:00:01,ip=10.0.0.1\n",
    "net = switch,trunk,vlans=1+5-9\n",
    "console = monitor\n",
    "console = none\n",
    "shares = 1\n",
    "cap = 50%\n",
    "reservation = 100%\n",
    "affinity = 0,2-3\n",
    "affinity = ",
    "realtime = 2ms/10ms\n",
    "realtime = ",
    "restart = always,max=3\n",
    "watchdog = 5\n",
    "autostart = off\n",
    "uplink = off\n",
    "vlan = 4094\n",
    "trunk = on\n",
    "age = 10\n",
    "panic = halt\n",
    "speed = 9600\n",
    "append = \"a b\"\n",
    "=",
    ",",
    ",,",
    "\"",
    "-",
    "0",
    "1",
    "63",
    "64",
    "18446744073709551616",
    "4294967295",
    "999999999",
    "%",
    ".",
    "+",
    ":",
    "/",
    "ms",
    "us",
    "s",
    " ",
    "\t",
    "\r\n",
    "\n",
    "# ",
    "\xef\xbb\xbf",
    "\xff",
    "0x",
    "on",
    "name = x\n",
};

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 16;
}

static size_t make_text(char *text, uint64_t *state)
{
    size_t count = next(state) % (next(state) % 8 ? 60 : 1000), len = 0;

    for (; count; count--) {
        const char *word = words[next(state) % ARRAY_SIZE(words)];
        size_t n = strlen(word);

        if (len + n > TEXT_MAX)
            break;
        memcpy(text + len, word, n);
        len += n;
    }
    for (uint64_t n = next(state) % 8 ? 0 : next(state) % 8; n && len; n--)
        text[next(state) % len] = (char)next(state);
    return len;
}

int main(int argc, char **argv)
{
    uint64_t state = 0x9e3779b97f4a7c15ULL;
    char *text = malloc(1U << 20);

    if (!text)
        return 1;
    if (argc == 3 && !strcmp(argv[1], "-n")) {
        for (unsigned long n = strtoul(argv[2], NULL, 0); n; n--)
            LLVMFuzzerTestOneInput((const uint8_t *)text, make_text(text, &state));
    }
    for (int i = 1; i < argc && argc != 3; i++) {
        FILE *f = fopen(argv[i], "rb");

        if (f) {
            LLVMFuzzerTestOneInput((const uint8_t *)text, fread(text, 1, 1U << 20, f));
            fclose(f);
        }
    }
    free(text);
    return 0;
}
