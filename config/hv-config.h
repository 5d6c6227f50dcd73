/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypervisor's configuration (docs/formats/hv-file.md): one text file, given as a
 * boot module. hv/ reads it at boot and `batuta hv check` on the host, with the code
 * here, so that both say the same lines.
 *
 * What is wrong with a VM is reported, and that VM is left out; the others stay. What
 * is wrong elsewhere is reported, and that line left out. The file is trusted not to
 * be malicious, but reading it is bounded and linear in its size all the same.
 */
#ifndef CONFIG_HV_CONFIG_H
#define CONFIG_HV_CONFIG_H

#include "config/machine.h"

#define HV_MAX_VMS        64
#define HV_MAX_DISKS      8
#define HV_MAX_NETS       4
#define HV_MAX_CONSOLES   1
#define HV_MAX_NICS       8  /* of the host */
#define HV_MAX_PROCESSORS 64 /* that affinity can name */
#define HV_MAX_NAME       31 /* of a VM */
#define HV_MAX_MODULE     63 /* of a module's name */
#define HV_MAX_RESTARTS   16 /* that are counted */
#define HV_MAX_MISTAKES   64 /* then reading ends */

#define HV_MAX_IPS        8

#define HV_VLAN_DEFAULT   0
#define HV_VLAN_MAX       4094

enum hv_disk_kind {
    HV_DISK_MODULE,  /* a boot module's bytes; what is written is beside them, and gone when the hypervisor
                        ends */
    HV_DISK_RAMDISK, /* zeroes at the VM's start; kept over its restarts */
    HV_DISK_VIRTIO,  /* a disk of the host, or a slice of it */
};

struct hv_vm_disk {
    enum hv_disk_kind kind;
    const char *module; /* HV_DISK_MODULE */
    unsigned index;     /* HV_DISK_VIRTIO: which one, in the order of PCI addresses */
    uint64_t offset;    /* … and where in it, bytes of whole MiB */
    uint64_t size;      /* … how much of it, 0: the rest. HV_DISK_RAMDISK: never 0 */
    bool read_only;
    const char *serial; /* NULL: made up */
    unsigned line;
};

/* A port of the switch: a VM's, or a card of the host. */
struct hv_port {
    uint16_t vlan;        /* of untagged frames, 1..HV_VLAN_MAX; HV_VLAN_DEFAULT: not said */
    bool trunk;           /* tagged frames pass, too: of all VLANs, or those in `vlans` */
    const uint8_t *vlans; /* a bit for each of 0..4095; NULL: all */
};

struct hv_vm_net {
    struct hv_port port;
    bool has_mac;             /* always: one is made of the VM's name if none is given */
    uint8_t mac[6];           /* unlike all others */
    bool any_mac;             /* other sources pass, too */
    bool router, dhcp_server; /* may act as one */
    uint32_t ip[HV_MAX_IPS];  /* 10.0.0.1 is 0x0a000001: other sources do not pass … */
    unsigned ip_count;
    uint8_t ip6[HV_MAX_IPS][16]; /* … as are those of IPv6 … */
    unsigned ip6_count;          /* … unless there are none of both kinds here */
    uint64_t flood;              /* frames to everybody a second; 0: the switch's default */
    unsigned line;
};

enum hv_console_kind { HV_CONSOLE_MONITOR, HV_CONSOLE_NONE };

/* ttyS0 */
struct hv_vm_console {
    enum hv_console_kind kind;
};

enum hv_restart { HV_RESTART_NEVER, HV_RESTART_ON_CRASH, HV_RESTART_ALWAYS };

struct hv_vm {
    struct machine_config machine; /* first; its paths are names of boot modules, its name is set */
    struct hv_vm_disk disk[HV_MAX_DISKS];
    unsigned disk_count;
    struct hv_vm_net net[HV_MAX_NETS];
    unsigned net_count;
    struct hv_vm_console console[HV_MAX_CONSOLES]; /* at least one */
    unsigned console_count;

    uint64_t shares;      /* relative to other VMs' */
    uint64_t cap;         /* at most so many thousandths of a processor; 0: no cap */
    uint64_t reservation; /* at least so many */
    uint64_t affinity;    /* bits of processors; 0: all */
    uint64_t budget;      /* real-time: so many ns of every period; 0: not real-time */
    uint64_t period;

    int restart;                           /* enum hv_restart */
    unsigned restart_max, restart_seconds; /* at most so often in so many seconds; then it stays off */
    uint64_t watchdog;                     /* seconds without a sign of life until it is reset; 0: none */
    bool autostart;

    unsigned line;                 /* of its section */
    unsigned key_line[OPTION_MAX]; /* where each row of the list was given; 0: it was not */
};

enum hv_panic { HV_PANIC_REBOOT, HV_PANIC_HALT };
enum hv_serial { HV_SERIAL_COM1, HV_SERIAL_COM2, HV_SERIAL_NONE };
enum hv_log { HV_LOG_ERROR, HV_LOG_WARN, HV_LOG_INFO, HV_LOG_DEBUG }; /* as enum log_level */

/* The [hypervisor] section. */
struct hv_own_config {
    int console;            /* enum hv_serial: where the monitor and the VMs' consoles are */
    uint64_t speed;         /* bit/s */
    bool screen;            /* the hypervisor's messages also go to VGA or the framebuffer */
    int panic;              /* enum hv_panic */
    uint64_t panic_seconds; /* reboot after so long */
    uint64_t watchdog;      /* seconds in which each processor must come back from what it does; 0: none */
    int log;                /* enum hv_log */
};

struct hv_switch_config {
    uint64_t age; /* seconds after which a silent MAC address is forgotten */
};

/* A network card of the host, by its number in the order of PCI addresses. */
struct hv_nic {
    bool uplink; /* a port of the switch; without a [nic N] it is one */
    struct hv_port port;
    unsigned line; /* 0: the file has no [nic N] for it */
};

struct hv_config {
    struct hv_own_config own;
    struct hv_switch_config net;
    struct hv_nic nic[HV_MAX_NICS];
    struct hv_vm *vm[HV_MAX_VMS]; /* those that are right, in the file's order */
    unsigned vm_count;
    unsigned mistakes; /* reported */
    unsigned left_out; /* VMs */
    struct config_pool pool;
    const char *file; /* in reports; borrowed */
};

struct hv_report {
    unsigned line;    /* 0: the file as a whole */
    const char *vm;   /* NULL: none in particular */
    const char *text; /* FILE:LINE: [vm NAME: ]what is wrong and what to do */
};
typedef void hv_report_fn(void *opaque, const struct hv_report *report);

/*
 * Reads the text, which need not end with a NUL. 0, whatever is wrong with the file;
 * -ENOMEM. hv_config_finish() is wanted in any case.
 */
int hv_config_read(struct hv_config *config, const char *file, const char *text, size_t len,
                   void *(*alloc)(size_t size), void (*free)(void *p), hv_report_fn *report, void *opaque);
void hv_config_finish(struct hv_config *config);

struct hv_module {
    const char *name;
    uint64_t size;
};

/* What the hypervisor keeps for itself, at most. */
#define HV_OWN_MEMORY MIB(16)

/* What a machine has; whatever is unknown is not checked. */
struct hv_machine {
    uint64_t memory;     /* bytes that guests can have; 0: unknown */
    unsigned processors; /* 0: unknown */
    const struct hv_module *modules;
    unsigned module_count;
    bool modules_known;
    unsigned disks, nics;
    bool devices_known;
};

/*
 * What a VM takes of hv_machine.memory, at most: its RAM, what may be written to its disks in memory, page
 * tables, devices, stacks. module_size: 0 if it is not known.
 */
uint64_t hv_vm_memory(const struct hv_vm *vm, uint64_t (*module_size)(const void *opaque, const char *name),
                      const void *opaque);

/*
 * Leaves out what the machine cannot run: missing modules, disks and processors. VMs
 * with autostart get memory, all of them reserved time, in the file's order, until there is none. Time is
 * promised as the hypervisor does it, by the scheduler's own code, its own threads' part included.
 */
void hv_config_check(struct hv_config *config, const struct hv_machine *machine, hv_report_fn *report,
                     void *opaque);

/* What the scheduler is asked for; points into the VM. */
struct sched_params;
void hv_vm_sched(const struct hv_vm *vm, struct sched_params *params);

/* What a module is called, from the string that its boot loader gave: the last part of the first word's path.
 */
void hv_module_name(char *name, size_t size, const char *string);

/* The keys of a section's table, for the manual's check: "vm", "hypervisor", "switch", "nic"; NULL: no such.
 */
const struct option_table *hv_config_table(const char *section);

#endif
