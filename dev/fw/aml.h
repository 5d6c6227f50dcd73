/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes ACPI machine language (ACPI 6.4 chapter 20) into a buffer. Running out of
 * room is remembered in `overflow`; nothing is written behind the end.
 */
#ifndef DEV_FW_AML_H
#define DEV_FW_AML_H

#include "base/base.h"

struct aml {
    uint8_t *buf;
    size_t size, len;
    bool overflow;
};

/* Opcodes that are more than one call below; those above 0xff have the prefix 0x5b. */
enum aml_op {
    AML_ZERO = 0x00,
    AML_ONE = 0x01,
    AML_LOCAL0 = 0x60,
    AML_ARG0 = 0x68,
    AML_ARG1 = 0x69,
    AML_ARG2 = 0x6a,
    AML_ARG3 = 0x6b,
    AML_STORE = 0x70,
    AML_AND = 0x7b,
    AML_OR = 0x7d,
    AML_CREATE_DWORD_FIELD = 0x8a,
    AML_LEQUAL = 0x93,
    AML_RETURN = 0xa4,

    AML_SCOPE = 0x10,
    AML_IF = 0xa0,
    AML_ELSE = 0xa1,
    AML_DEVICE = 0x5b82,
};

void aml_op(struct aml *aml, enum aml_op op);
void aml_bytes(struct aml *aml, const void *bytes, size_t len);
/* "\\_SB.PCI0", "_HID", …: segments of up to four characters, dots between them. */
void aml_path(struct aml *aml, const char *path);
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
/* A compressed PNP id, "PNP0A08". */
void aml_eisaid(struct aml *aml, const char *id);
void aml_buffer(struct aml *aml, const void *bytes, size_t len);

/* Things with a length: what begin returns goes to aml_end() once all inside is written. */
size_t aml_begin(struct aml *aml, enum aml_op op);
size_t aml_begin_path(struct aml *aml, enum aml_op op, const char *path);
size_t aml_begin_method(struct aml *aml, const char *path, unsigned args, bool serialized);
size_t aml_begin_package(struct aml *aml, uint8_t count);
void aml_end(struct aml *aml, size_t mark);

/* Name (path, …) */
void aml_name(struct aml *aml, const char *path);
void aml_name_integer(struct aml *aml, const char *path, uint64_t value);
void aml_name_eisaid(struct aml *aml, const char *path, const char *id);
void aml_name_string(struct aml *aml, const char *path, const char *text);

/* Resource descriptors (ACPI 6.4 section 6.4), to be gathered in a struct aml of their own. */
void aml_io(struct aml *res, uint16_t base, uint8_t len);
void aml_irq(struct aml *res, unsigned irq);
void aml_memory32(struct aml *res, uint32_t base, uint32_t len, bool writable);
void aml_word_bus(struct aml *res, uint16_t min, uint16_t max);
void aml_word_io(struct aml *res, uint16_t min, uint16_t max);
void aml_dword_memory(struct aml *res, uint32_t min, uint32_t max);
void aml_qword_memory(struct aml *res, uint64_t min, uint64_t max);
/* Name (_CRS, ResourceTemplate () {…}) */
void aml_crs(struct aml *aml, struct aml *res);

#endif
