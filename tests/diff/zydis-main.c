/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zydis-compare [count [seed]]: decodes that many byte strings with our decoder
 * and with Zydis. Prints how often each listed difference was met; one that is
 * not listed in zydis-allow.c fails the run, and so does a row of the table that
 * a long run never met.
 */
#include "tests/diff/insn-random.h"
#include "tests/diff/zydis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENOUGH 2000000 /* strings to meet every row */
#define SHOWN  40      /* unlisted differences, one of each kind and mnemonic */

static const char *const names[DIFFERENCES] = {
    [ONLY_OURS] = "only ours",
    [ONLY_THEIRS] = "only theirs",
    [ERROR] = "error",
    [LENGTH] = "length",
    [MNEMONIC] = "mnemonic",
    [DETAIL] = "detail",
    [FLAGS] = "flags",
    [OPERAND_COUNT] = "operand count",
    [OPERAND_KIND] = "operand kind",
    [OPERAND_REGISTER] = "operand register",
    [OPERAND_SIZE] = "operand size",
    [OPERAND_ACCESS] = "operand access",
    [OPERAND_MEMORY] = "operand memory",
    [OPERAND_IMMEDIATE] = "operand immediate",
    [HIDDEN_REGISTER] = "hidden register",
};

struct run {
    ZydisDecoder decoders[3];
    ZydisFormatter formatter;
    uint64_t state, valid, unlisted;
    uint64_t allowed[64];
    bool met[1 << 12]; /* rows */
    bool shown[DIFFERENCES][ZYDIS_MNEMONIC_MAX_VALUE + X86_ID_COUNT + 1];
    unsigned lines;
};

static void run_init(struct run *run, uint64_t seed)
{
    static const ZydisMachineMode modes[] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_32,
                                             ZYDIS_MACHINE_MODE_LONG_64};
    static const ZydisStackWidth widths[] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
                                             ZYDIS_STACK_WIDTH_64};
    /* Without these extensions their opcodes are hints, as they are for our guests. */
    static const ZydisDecoderMode off[] = {ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET,
                                           ZYDIS_DECODER_MODE_WBNOINVD, ZYDIS_DECODER_MODE_CLDEMOTE};
    memset(run, 0, sizeof(*run));
    for (unsigned i = 0; i < 3; i++) {
        ZydisDecoderInit(&run->decoders[i], modes[i], widths[i]);
        for (unsigned k = 0; k < ARRAY_SIZE(off); k++)
            ZydisDecoderEnableMode(&run->decoders[i], off[k], ZYAN_FALSE);
    }
    ZydisFormatterInit(&run->formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    run->state = seed;
}

static void show(struct run *run, struct pair *p, enum difference difference)
{
    char text[128];
    bool valid = ZYAN_SUCCESS(p->theirs_result);
    unsigned class = valid            ? p->theirs.mnemonic
                     : p->ours_result ? 0U
                                      : (unsigned)ZYDIS_MNEMONIC_MAX_VALUE + p->ours.id;
    if (run->shown[difference][class] || run->lines >= SHOWN)
        return;
    run->shown[difference][class] = true;
    run->lines++;
    printf("%-17s %d ", names[difference], p->mode == X86_MODE_64 ? 64 : p->mode == X86_MODE_32 ? 32 : 16);
    unsigned length = !p->ours_result ? p->ours.length : valid ? p->theirs.length : p->avail;
    for (unsigned i = 0; i < length; i++)
        printf("%02x ", p->bytes[i]);
    if (p->ours_result)
        snprintf(text, sizeof(text), "error %d at %u", -p->ours_result, p->ours.length);
    else
        x86_insn_format(&p->ours, 0, text, sizeof(text));
    printf("| %s | ", text);
    if (valid)
        ZydisFormatterFormatInstruction(&run->formatter, &p->theirs, p->operands,
                                        p->theirs.operand_count_visible, text, sizeof(text), 0, NULL);
    else
        snprintf(text, sizeof(text), "error %x", p->theirs_result);
    printf("%s | operand %u", text, p->operand);
    if (difference == FLAGS && p->theirs.cpu_flags) {
        const struct x86_row *row = x86_insn_row(p->ours.row);
        const ZydisAccessedFlags *f = p->theirs.cpu_flags;
        printf(" r %x/%x w %x/%x u %x/%x", row->flags_read, f->tested & X86_FL_ARITH, row->flags_written,
               (f->modified | f->set_0 | f->set_1) & X86_FL_ARITH, row->flags_undefined,
               f->undefined & X86_FL_ARITH);
    }
    if (difference == OPERAND_ACCESS || difference == OPERAND_SIZE || difference == HIDDEN_REGISTER)
        printf(" ours %u size %u; theirs %x size %u %s", p->ours.op[p->operand].access,
               p->ours.op[p->operand].size, p->operands[p->operand].actions, p->operands[p->operand].size,
               p->operands[p->operand].type == ZYDIS_OPERAND_TYPE_REGISTER
                   ? ZydisRegisterGetString(p->operands[p->operand].reg.value)
                   : "");
    printf("\n");
}

static void run_one(struct run *run)
{
    struct pair p;
    zydis_bytes(&run->state, &p);
    p.ours_result = x86_decode(p.bytes, p.avail, p.mode, &p.ours);
    p.theirs_result = ZydisDecoderDecodeFull(&run->decoders[p.mode], p.bytes, p.avail, &p.theirs, p.operands);
    if (!p.ours_result) {
        run->valid++;
        run->met[p.ours.row] = true;
    }
    enum difference difference = zydis_compare(&p);
    if (difference == SAME)
        return;
    for (unsigned i = 0; i < zydis_allowance_count; i++)
        if (zydis_allowances[i].matches(&p, difference)) {
            run->allowed[i]++;
            return;
        }
    run->unlisted++;
    show(run, &p, difference);
}

/* The rows that no string was of. A long enough run has none. */
static unsigned show_unmet(const struct run *run)
{
    unsigned unmet = 0;
    for (unsigned row = 0; row < x86_insn_row_count(); row++) {
        if (run->met[row])
            continue;
        unmet++;
        printf("never met: row %u, %s\n", row, x86_insn_row((uint16_t)row)->name);
    }
    return unmet;
}

int main(int argc, char **argv)
{
    static struct run run;
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    run_init(&run, seed ? seed : 1);
    zydis_compare_init();
    for (uint64_t i = 0; i < count; i++)
        run_one(&run);
    printf("%" PRIu64 " strings, seed %" PRIu64 ": %" PRIu64 " valid\n", count, seed, run.valid);
    for (unsigned i = 0; i < zydis_allowance_count; i++)
        printf("%12" PRIu64 "  %s: %s\n", run.allowed[i], zydis_allowances[i].name, zydis_allowances[i].why);
    printf("%12" PRIu64 "  unlisted\n", run.unlisted);
    unsigned unmet = count >= ENOUGH ? show_unmet(&run) : 0;
    return run.unlisted || unmet ? EXIT_FAILURE : EXIT_SUCCESS;
}
