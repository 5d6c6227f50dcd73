/* SPDX-License-Identifier: GPL-2.0-or-later */
/* State tables: round trips, and streams that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "core/state-internal.h"
#include "core/vcpu.h"

struct inner {
    uint16_t a;
    bool flag;
};

struct thing {
    uint8_t small;
    int64_t wide;
    uint32_t many[3][2];
    uint8_t blob[7];
    struct inner inner[2];
    bool has_extra;
    uint32_t extra;
    uint32_t young;
};

static bool has_extra(const void *object)
{
    return ((const struct thing *)object)->has_extra;
}

static int refuse_42(void *object, unsigned version)
{
    return ((struct thing *)object)->small == 42 ? -EINVAL : 0;
}

static const struct state_field inner_fields[] = {
    STATE_INT(struct inner, a),
    STATE_BOOL(struct inner, flag),
    STATE_END,
};

static const struct state_field thing_fields[] = {
    STATE_INT(struct thing, small),
    STATE_INT(struct thing, wide),
    STATE_INTS(struct thing, many, uint32_t),
    STATE_BYTES(struct thing, blob),
    STATE_STRUCT(struct thing, inner, struct inner, inner_fields),
    STATE_BOOL(struct thing, has_extra),
    {.name = "extra",
     .kind = STATE_KIND_INT,
     .elem_size = 4,
     .count = 1,
     .since = 1,
     .offset = offsetof(struct thing, extra),
     .when = has_extra},
    {.name = "young",
     .kind = STATE_KIND_INT,
     .elem_size = 4,
     .count = 1,
     .since = 2,
     .offset = offsetof(struct thing, young)},
    STATE_END,
};

static const struct state_table table = {
    .name = "thing",
    .version = 2,
    .fields = thing_fields,
    .post_load = refuse_42,
};

struct buffer {
    struct state_io io;
    uint8_t *data;
    size_t size;
    size_t fail_at; /* writing past this fails; 0: never */
};

static int append(struct state_io *io, void *buf, size_t len)
{
    struct buffer *b = (struct buffer *)io;

    if (b->fail_at && b->size + len > b->fail_at)
        return -ENOSPC;
    b->data = realloc(b->data, b->size + len);
    memcpy(b->data + b->size, buf, len);
    b->size += len;
    return 0;
}

static const struct thing sample = {
    .small = 7,
    .wide = -5,
    .many = {{1, 2}, {3, 4}, {5, 0xffffffff}},
    .blob = {9, 8, 7},
    .inner = {{0x1234, true}, {0xffff, false}},
    .has_extra = true,
    .extra = 99,
    .young = 3,
};

static struct buffer save(const struct thing *thing)
{
    struct buffer b = {.io = {append}};
    struct thing copy = *thing;

    assert_int_equal(state_save_object(&b.io, &table, "0", &copy, NULL), 0);
    return b;
}

static void test_round_trip(void **state)
{
    struct buffer b = save(&sample);
    struct thing loaded = {0};

    assert_int_equal(load_le64(b.data + 8), b.size - STATE_RECORD_SIZE);
    assert_int_equal(
        state_load_object(b.data + STATE_RECORD_SIZE, b.size - STATE_RECORD_SIZE, 2, &table, &loaded, NULL),
        0);
    assert_true(state_equal(&table, &sample, &loaded));
    loaded.inner[1].flag = true;
    assert_false(state_equal(&table, &sample, &loaded));
    free(b.data);
}

static void test_conditional_and_young_fields(void **state)
{
    struct thing thing = sample, loaded = {.young = 77, .extra = 5};
    struct buffer b;

    thing.has_extra = false;
    b = save(&thing);
    assert_int_equal(
        state_load_object(b.data + STATE_RECORD_SIZE, b.size - STATE_RECORD_SIZE, 2, &table, &loaded, NULL),
        0);
    assert_int_equal(loaded.extra, 5);
    assert_int_equal(loaded.young, 3);
    /* A stream of version 1 has no such field: the record ends before it. */
    loaded.young = 77;
    size_t young = 12 + 5 + 4;
    assert_int_equal(state_load_object(b.data + STATE_RECORD_SIZE, b.size - STATE_RECORD_SIZE - young, 1,
                                       &table, &loaded, NULL),
                     0);
    assert_int_equal(loaded.young, 77);
    free(b.data);
}

static void test_cut_short_everywhere(void **state)
{
    struct buffer b = save(&sample);
    size_t len = b.size - STATE_RECORD_SIZE;

    for (size_t n = 0; n < len; n++) {
        struct thing loaded = {0};
        struct error err = {0};
        uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees any read beyond */

        memcpy(exact, b.data + STATE_RECORD_SIZE, n);
        assert_true(state_load_object(exact, n, 2, &table, &loaded, &err) < 0);
        assert_true(err.text[0] != '\0');
        free(exact);
    }
    free(b.data);
}

static void test_flipped_bits(void **state)
{
    struct buffer b = save(&sample);
    size_t len = b.size - STATE_RECORD_SIZE;
    unsigned refused = 0;

    for (size_t bit = 0; bit < len * 8; bit++) {
        uint8_t *copy = malloc(len);
        struct thing loaded = {0};

        memcpy(copy, b.data + STATE_RECORD_SIZE, len);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        refused += state_load_object(copy, len, 2, &table, &loaded, NULL) < 0;
        free(copy);
    }
    assert_true(refused > len); /* heads and names are most of it */
    free(b.data);
}

static void test_refusals(void **state)
{
    struct thing thing = sample, loaded = {0};
    struct buffer b;
    struct error err = {0};

    thing.small = 42;
    b = save(&thing);
    assert_int_equal(
        state_load_object(b.data + STATE_RECORD_SIZE, b.size - STATE_RECORD_SIZE, 2, &table, &loaded, &err),
        -EINVAL);
    assert_non_null(strstr(err.text, "thing"));
    assert_true(state_load_object(b.data, b.size, 3, &table, &loaded, NULL) < 0);
    assert_true(state_load_object(b.data, b.size, 0, &table, &loaded, NULL) < 0);
    free(b.data);
}

static void test_full_disk(void **state)
{
    struct thing thing = sample;

    for (size_t at = 1; at < 300; at += 7) {
        struct buffer b = {.io = {append}, .fail_at = at};
        struct error err = {0};
        int r = state_save_object(&b.io, &table, "0", &thing, &err);

        assert_true(r == -ENOSPC || (r == 0 && b.size <= at));
        free(b.data);
    }
}

static void count_line(void *opaque, const char *line)
{
    ++*(unsigned *)opaque;
    assert_true(strlen(line) > 4);
}

static void test_dump(void **state)
{
    unsigned lines = 0;

    state_dump(&table, &sample, count_line, &lines);
    assert_int_equal(lines, 11);
}

static void test_processor(void **state)
{
    struct x86_state *a = aligned_alloc(64, sizeof(*a)), *b = aligned_alloc(64, sizeof(*b));
    struct buffer buffer = {.io = {append}};

    for (size_t i = 0; i < sizeof(*a); i++)
        ((uint8_t *)a)[i] = (uint8_t)(i * 7);
    memset(b, 0, sizeof(*b));
    a->activity = X86_ACT_RUN;
    a->exception_vector = 14;
    a->rflags = 2;
    a->cr0 = X86_CR0_PE | X86_CR0_PG;
    a->efer = X86_EFER_LME | X86_EFER_LMA;
    a->cr8 = 3;
    a->mxcsr = 0x1f80;
    for (size_t i = 0; i < 7; i++)
        *(bool *)((uint8_t *)a + (const size_t[]){
                                     offsetof(struct x86_state, nmi_masked),
                                     offsetof(struct x86_state, nmi_pending),
                                     offsetof(struct x86_state, exception_pending),
                                     offsetof(struct x86_state, exception_has_error),
                                     offsetof(struct x86_state, interrupt_pending),
                                     offsetof(struct x86_state, interrupt_soft),
                                     offsetof(struct x86_state, nmi_masked),
                                 }[i]) = true;
    assert_int_equal(state_save_object(&buffer.io, &x86_state_table, "0", a, NULL), 0);
    assert_int_equal(state_load_object(buffer.data + STATE_RECORD_SIZE, buffer.size - STATE_RECORD_SIZE,
                                       x86_state_table.version, &x86_state_table, b, NULL),
                     0);
    assert_true(state_equal(&x86_state_table, a, b));
    assert_int_equal(b->gpr[15], a->gpr[15]);
    assert_memory_equal(b->vec, a->vec, sizeof(a->vec));
    free(buffer.data);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_conditional_and_young_fields),
        cmocka_unit_test(test_cut_short_everywhere),
        cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_dump),
        cmocka_unit_test(test_processor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
