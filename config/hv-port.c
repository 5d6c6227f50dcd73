/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports of the switch: a VM's network cards, and what is common with the host's. */
#include "base/bytes.h"
#include "base/text.h"
#include "config/hv-config-internal.h"
#include "config/parts.h"
#include "config/value.h"

int hv_port_vlan(struct hv_port *port, const char *value, struct error *err)
{
    uint64_t v;

    if (value_uint(value, HV_VLAN_MAX, &v) < 0 || !v)
        return error_set(err, EINVAL, "vlan %s: must be 1 to %u", value, HV_VLAN_MAX);
    port->vlan = (uint16_t)v;
    return 0;
}

int hv_port_vlans(struct hv_port *port, const char *value, const struct option_source *source,
                  struct error *err)
{
    uint8_t *bits = config_alloc(source->pool, (HV_VLAN_MAX + 8) / 8);

    if (!bits)
        return error_set(err, ENOMEM, "out of memory");
    if (hv_ranges(value, '+', HV_VLAN_MAX + 1, bits) < 0 || bits[0] & 1)
        return error_set(err, EINVAL, "vlans %s: not a list of 1 to %u like 10+20-29", value, HV_VLAN_MAX);
    port->vlans = bits;
    return 0;
}

int hv_port_check(const struct hv_port *port, struct error *err)
{
    if (port->vlans && !port->trunk)
        return error_set(err, EINVAL, "vlans are those of a trunk: say trunk, too, or vlan for just one");
    return 0;
}

static int net_vlan(void *object, const char *value, const struct option_source *source, struct error *err)
{
    return hv_port_vlan(&((struct hv_vm_net *)object)->port, value, err);
}

static int net_vlans(void *object, const char *value, const struct option_source *source, struct error *err)
{
    return hv_port_vlans(&((struct hv_vm_net *)object)->port, value, source, err);
}

static int net_trunk(void *object, const char *value, const struct option_source *source, struct error *err)
{
    ((struct hv_vm_net *)object)->port.trunk = true;
    return 0;
}

static int net_mac(void *object, const char *value, const struct option_source *source, struct error *err)
{
    struct hv_vm_net *net = object;

    net->has_mac = true;
    return value_mac(value, net->mac, err);
}

static int net_any_mac(void *object, const char *value, const struct option_source *source, struct error *err)
{
    ((struct hv_vm_net *)object)->any_mac = true;
    return 0;
}

static int net_router(void *object, const char *value, const struct option_source *source, struct error *err)
{
    ((struct hv_vm_net *)object)->router = true;
    return 0;
}

static int net_dhcp_server(void *object, const char *value, const struct option_source *source,
                           struct error *err)
{
    ((struct hv_vm_net *)object)->dhcp_server = true;
    return 0;
}

/* 0.x, loopback, multicast and above are nobody's. */
static bool host_ipv4(const char *text, uint32_t *address)
{
    return hv_ipv4(text, address) == 0 && *address >> 24 != 0 && *address >> 24 != 127 &&
           *address >> 28 < 0xe;
}

static bool host_ipv6(const char *text, uint8_t address[16])
{
    return hv_ipv6(text, address) == 0 && address[0] != 0 && address[0] != 0xff;
}

static int net_ip(void *object, const char *value, const struct option_source *source, struct error *err)
{
    struct hv_vm_net *net = object;
    bool v6 = text_find(value, ':');
    uint8_t ip6[16];
    uint32_t ip;

    if (v6 ? !host_ipv6(value, ip6) : !host_ipv4(value, &ip))
        return error_set(err, EINVAL, "ip=%s: not an address of a host like 10.0.0.5 or fd00::5", value);
    if ((v6 ? net->ip6_count : net->ip_count) == HV_MAX_IPS)
        return error_set(err, EINVAL, "more than %d addresses", HV_MAX_IPS);
    if (v6)
        memcpy(net->ip6[net->ip6_count++], ip6, sizeof(ip6));
    else
        net->ip[net->ip_count++] = ip;
    return 0;
}

static int net_flood(void *object, const char *value, const struct option_source *source, struct error *err)
{
    if (value_uint(value, 1000000, &((struct hv_vm_net *)object)->flood) < 0 ||
        !((struct hv_vm_net *)object)->flood)
        return error_set(err, EINVAL, "flood=%s: must be 1 to 1000000 frames a second", value);
    return 0;
}

int hv_parse_net(void *object, const struct option *option, const char *value,
                 const struct option_source *source, struct error *err)
{
    static const struct part_desc desc[] = {
        {"vlan", true, net_vlan},        {"trunk", false, net_trunk},
        {"vlans", true, net_vlans},      {"mac", true, net_mac},
        {"any-mac", false, net_any_mac}, {"ip", true, net_ip},
        {"router", false, net_router},   {"dhcp-server", false, net_dhcp_server},
        {"flood", true, net_flood},
    };
    struct hv_vm *vm = object;
    struct hv_vm_net net = {.line = source->line};
    struct parts p;
    int r;

    if (vm->net_count == HV_MAX_NETS)
        return option_too_many(option, source, HV_MAX_NETS, err);
    r = parts_split(&p, option, value, source, err);
    if (r < 0)
        return r;
    if (text_equal(value, "none"))
        return 0;
    if (!text_equal(p.part[0], "switch"))
        return error_set(err, EINVAL, "net: there is no '%s': say switch or none", p.part[0]);
    r = parts_apply(&p, option, desc, ARRAY_SIZE(desc), &net, source, err);
    if (r == 0) {
        r = hv_port_check(&net.port, err);
        error_prefix(err, "net");
    }
    if (r == 0)
        vm->net[vm->net_count++] = net;
    return r;
}
