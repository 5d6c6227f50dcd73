/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What only several VMs together can do wrong: the later one in the file is left out. */
#include "base/bytes.h"
#include "base/fmt.h"
#include "base/hash.h"
#include "base/text.h"
#include "config/hv-config-internal.h"

void hv_leave_out(struct hv_config *config, unsigned i)
{
    memmove(&config->vm[i], &config->vm[i + 1], (config->vm_count - i - 1) * sizeof(config->vm[0]));
    config->vm_count--;
    config->left_out++;
}

/* ---- network cards ---- */

/* The card among the first `count` VMs (the last one: only its first `nets`) that has the address. */
static const struct hv_vm *mac_owner(const struct hv_config *config, unsigned count, unsigned nets,
                                     const uint8_t mac[6])
{
    for (unsigned i = 0; i < count; i++) {
        const struct hv_vm *vm = config->vm[i];
        unsigned n = i == count - 1 ? nets : vm->net_count;

        for (unsigned j = 0; j < n; j++) {
            if (vm->net[j].has_mac && !memcmp(vm->net[j].mac, mac, 6))
                return vm;
        }
    }
    return NULL;
}

static int check_mac(const struct hv_config *config, unsigned index, unsigned n, struct error *err)
{
    const struct hv_vm_net *net = &config->vm[index]->net[n];
    const struct hv_vm *other = net->has_mac ? mac_owner(config, index + 1, n, net->mac) : NULL;

    if (!other)
        return 0;
    return error_set(
        err, EINVAL, "net: mac=%02x:%02x:%02x:%02x:%02x:%02x is also an address of vm %s: choose another one",
        net->mac[0], net->mac[1], net->mac[2], net->mac[3], net->mac[4], net->mac[5], other->machine.name);
}

/* An address that both may send from in one VLAN, as text. */
static bool common_ip(const struct hv_vm_net *a, const struct hv_vm_net *b, char *text, size_t size)
{
    for (unsigned i = 0; a->port.vlan == b->port.vlan && i < a->ip_count; i++) {
        for (unsigned j = 0; j < b->ip_count; j++) {
            if (a->ip[i] != b->ip[j])
                continue;
            fmt_print(text, size, "%u.%u.%u.%u", a->ip[i] >> 24, a->ip[i] >> 16 & 255, a->ip[i] >> 8 & 255,
                      a->ip[i] & 255);
            return true;
        }
    }
    for (unsigned i = 0; a->port.vlan == b->port.vlan && i < a->ip6_count; i++) {
        for (unsigned j = 0; j < b->ip6_count; j++) {
            if (memcmp(a->ip6[i], b->ip6[j], 16) != 0)
                continue;
            for (unsigned k = 0, n = 0; k < 8; k++)
                n += (unsigned)fmt_print(text + n, size - n, "%s%x", k ? ":" : "",
                                         load_be16(a->ip6[i] + 2 * k));
            return true;
        }
    }
    return false;
}

static int check_ips(const struct hv_config *config, unsigned index, unsigned n, struct error *err)
{
    const struct hv_vm_net *net = &config->vm[index]->net[n];
    char text[48];

    for (unsigned i = 0; i <= index; i++) {
        const struct hv_vm *vm = config->vm[i];

        for (unsigned j = 0; j < (i == index ? n : vm->net_count); j++) {
            if (common_ip(&vm->net[j], net, text, sizeof(text)))
                return error_set(err, EINVAL, "net: ip=%s is also an address of vm %s: choose another one",
                                 text, vm->machine.name);
        }
    }
    return 0;
}

static int check_nets(const struct hv_config *config, unsigned index, unsigned *line, struct error *err)
{
    const struct hv_vm *vm = config->vm[index];
    int r = 0;

    for (unsigned n = 0; r == 0 && n < vm->net_count; n++) {
        *line = vm->net[n].line;
        r = check_mac(config, index, n, err);
        r = r < 0 ? r : check_ips(config, index, n, err);
    }
    return r;
}

/* From the VM's name: the same at every boot, whatever else the file says. */
static void make_mac(struct hv_config *config, unsigned index, unsigned n)
{
    const struct hv_vm *vm = config->vm[index];
    struct hv_vm_net *net = &config->vm[index]->net[n];
    uint64_t h = hash_bytes(HASH_BEGIN + n, vm->machine.name, text_length(vm->machine.name));

    /* Not one more try than there are others. */
    for (unsigned i = 0; i <= HV_MAX_VMS * HV_MAX_NETS; i++, h++) {
        const uint8_t mac[6] = {0x52, 0x54, 0x00, (uint8_t)(h >> 16), (uint8_t)(h >> 8), (uint8_t)h};

        if (mac_owner(config, config->vm_count, config->vm[config->vm_count - 1]->net_count, mac))
            continue;
        memcpy(net->mac, mac, 6);
        net->has_mac = true; /* for the next one */
        return;
    }
}

/* ---- disks ---- */

static bool slices_overlap(const struct hv_vm_disk *a, const struct hv_vm_disk *b)
{
    const struct hv_vm_disk *first = a->offset <= b->offset ? a : b, *second = first == a ? b : a;

    return !first->size || second->offset < first->offset + first->size;
}

/* Modules and RAM disks are a VM's own: what it writes lies in its memory. */
static bool same_disk(const struct hv_vm_disk *a, const struct hv_vm_disk *b)
{
    return a->kind == HV_DISK_VIRTIO && b->kind == HV_DISK_VIRTIO && a->index == b->index &&
           !(a->read_only && b->read_only) && slices_overlap(a, b);
}

static const struct hv_vm *disk_owner(const struct hv_config *config, unsigned index, unsigned n)
{
    for (unsigned i = 0; i <= index; i++) {
        const struct hv_vm *vm = config->vm[i];

        for (unsigned j = 0; j < (i == index ? n : vm->disk_count); j++) {
            if (same_disk(&vm->disk[j], &config->vm[index]->disk[n]))
                return vm;
        }
    }
    return NULL;
}

static int check_disks(const struct hv_config *config, unsigned index, unsigned *line, struct error *err)
{
    const struct hv_vm *vm = config->vm[index];

    for (unsigned n = 0; n < vm->disk_count; n++) {
        const struct hv_vm *other = disk_owner(config, index, n);

        *line = vm->disk[n].line;
        if (other)
            return error_set(err, EINVAL,
                             "disk = virtio:%u: is a disk of vm %s, too: make both ro, or slices apart",
                             vm->disk[n].index, other->machine.name);
    }
    return 0;
}

void hv_cross_check(const struct hv_reporter *to)
{
    struct hv_config *config = to->config;

    for (unsigned i = 0; i < config->vm_count;) {
        struct error err = {0};
        unsigned line = 0;
        int r = check_nets(config, i, &line, &err);

        r = r < 0 ? r : check_disks(config, i, &line, &err);
        if (r < 0) {
            hv_mistake(to, line, config->vm[i]->machine.name, &err);
            hv_leave_out(config, i);
        } else {
            i++;
        }
    }
    for (unsigned i = 0; i < config->vm_count; i++) {
        for (unsigned n = 0; n < config->vm[i]->net_count; n++) {
            if (!config->vm[i]->net[n].has_mac)
                make_mac(config, i, n);
        }
    }
    if (!config->vm_count && !config->mistakes) {
        struct error err = {0};

        error_set(&err, ENOENT, "describes no VM: add a section [vm NAME]");
        hv_mistake(to, 0, NULL, &err);
    }
}
