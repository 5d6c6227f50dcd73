/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bt/bt.h"
#include "engine/interp/interp.h"
#include "tests/lockstep/lockstep.h"

/* ---- meeting ---- */

uint64_t pair_next_stop(const struct pair *pair, uint64_t now)
{
    uint64_t next = pair->first, disturb = pair->d->disturb;

    if (now >= pair->first)
        next = now - (now - pair->first) % pair->every + pair->every;
    if (next > pair->last)
        next = now < pair->last ? pair->last : ICOUNT_NEVER;
    if (disturb > now && disturb < next)
        next = disturb;
    return MIN(next, MAX(pair->d->max, now + 1));
}

static bool same_ram(const struct pair *pair)
{
    const struct host_ram *a = &pair->side[0].ram, *b = &pair->side[1].ram;

    return !memcmp(a->base, b->base, a->size);
}

/* Both are here; the lock is held. */
static void compare(struct pair *pair)
{
    const struct digest *a = &pair->side[0].digest, *b = &pair->side[1].digest;
    bool ram = a->instructions == pair->last || (pair->ram_every && pair->round % pair->ram_every == 0);

    pair->differs = memcmp(a, b, sizeof(*a)) != 0;
    if (!pair->differs && ram && !same_ram(pair))
        pair->differs = pair->ram_only = true;
    if (!pair->differs)
        pair->agreed = a->instructions;
}

static void take_digest(struct side *side)
{
    struct vcpu *vcpu = side->vm.vcpu[0];

    side->previous = side->state;
    side->previous_instructions = side->digest.instructions;
    vcpu_normal_state(vcpu, &side->state);
    side->digest = (struct digest){.instructions = vcpu->cpu.instructions,
                                   .cpu = vcpu_hash(vcpu),
                                   .devices = vm_hash_devices(&side->vm)};
}

bool pair_meet(struct side *side)
{
    struct pair *pair = side->pair;
    uint64_t round;
    bool go_on;

    take_digest(side);
    pthread_mutex_lock(&pair->lock);
    round = pair->round;
    if (++pair->arrived == 2) {
        compare(pair);
        pair->arrived = 0;
        pair->round++;
        pthread_cond_broadcast(&pair->changed);
    }
    while (pair->round == round && !pair->ended[!side->index])
        pthread_cond_wait(&pair->changed, &pair->lock);
    if (pair->round == round)
        pair->differs = true; /* the other has ended before */
    go_on = !pair->differs && side->digest.instructions < MIN(pair->last, pair->d->max);
    pthread_mutex_unlock(&pair->lock);
    return go_on;
}

void pair_ended(struct side *side)
{
    struct pair *pair = side->pair;

    pthread_mutex_lock(&pair->lock);
    pair->ended[side->index] = true;
    pthread_cond_broadcast(&pair->changed);
    pthread_mutex_unlock(&pair->lock);
}

/* ---- a run ---- */

static void finish(struct pair *pair)
{
    for (unsigned i = 0; i < 2; i++) {
        struct side *side = &pair->side[i];

        vcpu_threads_join(side->threads, &side->vm);
        if (!pair->differs)
            take_digest(side);
    }
    if (!pair->differs) {
        const struct console *a = &pair->side[0].console, *b = &pair->side[1].console;

        compare(pair);
        if (!pair->differs && !same_ram(pair))
            pair->differs = pair->ram_only = true;
        pair->differs |= a->len != b->len || memcmp(a->text, b->text, a->len);
    }
}

static struct pair *pair_run(const struct description *d, uint64_t first, uint64_t every, uint64_t last,
                             uint64_t ram_every, struct error *err)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    int r = 0;

    if (!pair)
        abort();
    *pair = (struct pair){.d = d, .first = first, .every = every, .last = last, .ram_every = ram_every};
    pthread_mutex_init(&pair->lock, NULL);
    pthread_cond_init(&pair->changed, NULL);
    for (unsigned i = 0; i < 2 && r == 0; i++) {
        pair->side[i].pair = pair;
        pair->side[i].index = i;
        r = side_create(&pair->side[i], err);
    }
    for (unsigned i = 0; i < 2 && r == 0; i++)
        r = side_start(&pair->side[i], err);
    if (r < 0) {
        fprintf(stderr, "lockstep: %s\n", err->text);
        exit(2); /* what was started ends with the process */
    }
    finish(pair);
    return pair;
}

static void pair_destroy(struct pair *pair)
{
    for (unsigned i = 0; i < 2; i++)
        side_destroy(&pair->side[i]);
    free(pair);
}

/* Runs again and again, from the last stop where both agreed, with ever closer stops. */
static struct pair *narrow(const struct description *d, struct pair *pair, struct error *err)
{
    while (pair->every > 1) {
        uint64_t low = pair->agreed, high = pair->side[0].digest.instructions;
        uint64_t pieces = pair->ram_only ? 100 : 200000, every;
        bool ram = pair->ram_only;

        high = MAX(high, pair->side[1].digest.instructions);
        every = MIN(MAX((high - low) / pieces, 1ULL), pair->every - 1);
        printf("different between %llu and %llu%s: again, every %llu\n", (unsigned long long)low,
               (unsigned long long)high, ram ? ", in RAM only" : "", (unsigned long long)every);
        report_brief(pair);
        fflush(stdout);
        pair_destroy(pair);
        pair = pair_run(d, MAX(low, every), every, high, ram, err);
        if (!pair->differs) {
            printf("… and now there was no difference: something else than the inputs decides\n");
            break;
        }
    }
    return pair;
}

/* ---- the command line ---- */

static const struct engine_ops *const engines[] = {&interp_engine, &bt_engine};

static const struct engine_ops *find_engine(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
        if (strlen(engines[i]->name) == len && !memcmp(engines[i]->name, name, len))
            return engines[i];
    }
    fprintf(stderr, "lockstep: there is no engine %.*s here\n", (int)len, name);
    exit(2);
}

static void usage(void)
{
    fputs("usage: lockstep --engines A,B --kernel FILE [--initrd FILE]… [--append TEXT] [--disk FILE]…\n"
          "  [--memory MIB] [--code-cache MIB] [--cpu v2|v3] [--seed N] [--every N] [--ram-every STOPS] "
          "[--max INSTRUCTIONS]\n"
          "  [--expect TEXT --send TEXT]… [--until-console TEXT] [--disturb N[,RAM ADDRESS]] [--verbose]\n",
          stderr);
    exit(2);
}

enum {
    KERNEL,
    INITRD,
    APPEND,
    DISK,
    MEMORY,
    CODE_CACHE,
    CPU,
    SEED,
    EVERY,
    RAM,
    MAXIMUM,
    EXPECT,
    SEND,
    UNTIL,
    DISTURB,
    VERBOSE,
    ENGINES
};

static const struct option options[] = {
    {"kernel", 1, NULL, KERNEL},   {"initrd", 1, NULL, INITRD},       {"append", 1, NULL, APPEND},
    {"disk", 1, NULL, DISK},       {"memory", 1, NULL, MEMORY},       {"code-cache", 1, NULL, CODE_CACHE},
    {"cpu", 1, NULL, CPU},         {"seed", 1, NULL, SEED},           {"every", 1, NULL, EVERY},
    {"ram-every", 1, NULL, RAM},   {"max", 1, NULL, MAXIMUM},         {"expect", 1, NULL, EXPECT},
    {"send", 1, NULL, SEND},       {"until-console", 1, NULL, UNTIL}, {"disturb", 1, NULL, DISTURB},
    {"verbose", 0, NULL, VERBOSE}, {"engines", 1, NULL, ENGINES},     {0},
};

/* \n in what is typed. */
static char *unescape(char *text)
{
    char *out = text;

    for (const char *in = text; *in; in++) {
        if (in[0] == '\\' && in[1] == 'n') {
            *out++ = '\n';
            in++;
        } else {
            *out++ = *in;
        }
    }
    *out = 0;
    return text;
}

struct schedule {
    uint64_t every, ram_every;
};

static bool add_list(struct description *d, int option, char *value)
{
    if (option == INITRD && d->initrds < MAX_INITRDS)
        d->initrd[d->initrds++] = value;
    else if (option == DISK && d->disks < MAX_DISKS)
        d->disk[d->disks++] = value;
    else if (option == EXPECT && d->sends < MAX_SENDS)
        d->send[d->sends].expect = value;
    else if (option == SEND && d->sends < MAX_SENDS && d->send[d->sends].expect)
        d->send[d->sends++].text = unescape(value);
    else
        return false;
    return true;
}

static bool set_engines(struct description *d, const char *value)
{
    const char *comma = strchr(value, ',');

    if (!comma)
        return false;
    d->engine[0] = find_engine(value, (size_t)(comma - value));
    d->engine[1] = find_engine(comma + 1, strlen(comma + 1));
    return true;
}

static bool set_option(struct description *d, struct schedule *s, int option, char *value)
{
    uint64_t number = value ? strtoull(value, NULL, 0) : 0;
    const char *comma;

    switch (option) {
    case ENGINES:
        return set_engines(d, value);
    case KERNEL:
        d->kernel = value;
        return true;
    case APPEND:
        d->append = value;
        return true;
    case UNTIL:
        d->until = value;
        return true;
    case VERBOSE:
        d->verbose = true;
        return true;
    case MEMORY:
        d->memory = MIB(number);
        return number > 0;
    case CODE_CACHE:
        d->code_cache = MIB(number);
        return d->code_cache >= VM_CODE_CACHE_MIN && d->code_cache <= VM_CODE_CACHE_MAX;
    case CPU:
        d->cpu = strcmp(value, "v3") ? X86_CPU_V2 : X86_CPU_V3;
        return true;
    case SEED:
        d->seed = number;
        return true;
    case EVERY:
        s->every = number;
        return number > 0;
    case RAM:
        s->ram_every = number;
        return true;
    case MAXIMUM:
        d->max = number;
        return number > 0;
    case DISTURB:
        comma = strchr(value, ',');
        d->disturb = number;
        d->disturb_ram = comma ? strtoull(comma + 1, NULL, 0) : ~0ULL;
        return number > 0;
    default:
        return add_list(d, option, value);
    }
}

int main(int argc, char **argv)
{
    struct description d = {.memory = MIB(256), .max = ICOUNT_NEVER, .disturb_ram = ~0ULL};
    struct schedule s = {.every = 100000, .ram_every = 500};
    struct error err = {0};
    struct pair *pair;
    bool differs;
    int option;

    d.engine[0] = d.engine[1] = engines[0];
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?' || !set_option(&d, &s, option, optarg))
            usage();
    }
    if (!d.kernel || optind < argc)
        usage();
    pair = pair_run(&d, s.every, s.every, ICOUNT_NEVER, s.ram_every, &err);
    differs = pair->differs;
    if (differs)
        pair = narrow(&d, pair, &err);
    if (differs) {
        report_difference(pair);
    } else {
        const struct digest *a = &pair->side[0].digest;

        printf("equal: %s and %s, %llu instructions, %llu stops; cpu %016llx devices %016llx ram %016llx\n",
               d.engine[0]->name, d.engine[1]->name, (unsigned long long)a->instructions,
               (unsigned long long)pair->round, (unsigned long long)a->cpu, (unsigned long long)a->devices,
               (unsigned long long)vm_hash_ram(&pair->side[0].vm));
    }
    pair_destroy(pair);
    return differs;
}
