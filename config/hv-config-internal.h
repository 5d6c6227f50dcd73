/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of reading the hypervisor's configuration share. */
#ifndef CONFIG_HV_CONFIG_INTERNAL_H
#define CONFIG_HV_CONFIG_INTERNAL_H

#include "config/hv-config.h"

/* To whom mistakes are told. */
struct hv_reporter {
    struct hv_config *config;
    hv_report_fn *fn;
    void *opaque;
};

void hv_mistake(const struct hv_reporter *to, unsigned line, const char *vm, const struct error *err);

/* How errors speak of keys. */
struct option_source hv_source(struct hv_config *config);

/* ---- hv-vm.c ---- */
extern const struct option_table hv_vm_options;
void hv_vm_init(struct hv_vm *vm);
/* Do its values fit together? *line: of the key that is wrong. */
int hv_vm_check(const struct hv_vm *vm, const struct option_list *list, const struct option_source *source,
                unsigned *line, struct error *err);
/* Where the key stands, or the section. */
unsigned hv_vm_line(const struct hv_vm *vm, const struct option_list *list, const char *key);

/* ---- hv-port.c ---- */
int hv_parse_net(void *object, const struct option *option, const char *value,
                 const struct option_source *source, struct error *err);
int hv_port_vlan(struct hv_port *port, const char *value, struct error *err);
/* 10+20-29 */
int hv_port_vlans(struct hv_port *port, const char *value, const struct option_source *source,
                  struct error *err);
/* Do a port's settings fit together? */
int hv_port_check(const struct hv_port *port, struct error *err);

/* ---- hv-value.c ---- */
/* 50% or 12.5%, as thousandths. */
int hv_percent(const char *text, uint64_t *thousandths);
/* 2ms/10ms, ns each. */
int hv_budget(const char *text, uint64_t *budget, uint64_t *period);
/* A list like 0,2-5: bits 0 to limit - 1. -ERANGE: a number is too large. */
int hv_ranges(const char *text, char separator, unsigned limit, uint8_t *bits);
int hv_ipv4(const char *text, uint32_t *address);
int hv_ipv6(const char *text, uint8_t address[16]);

/* ---- hv-cross.c ---- */
/* What VMs may not share; MAC addresses for those that have none. */
void hv_cross_check(const struct hv_reporter *to);
/* Takes vm[i] away. */
void hv_leave_out(struct hv_config *config, unsigned i);

#endif
