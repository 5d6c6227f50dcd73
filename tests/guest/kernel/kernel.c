/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/guest/kernel/kernel.h"

extern uint32_t boot_info;
extern char trap_stubs[];
void kernel_main(void);
void trap_c(struct trap_frame *frame);

volatile uint64_t trap_count[256];
volatile uint64_t last_error;
volatile uint64_t last_rip;
bool (*trap_hook)(struct trap_frame *frame);
static const char *command_line = "";
static struct try_point *catcher;
static volatile int caught;
static uint64_t idt[512] __attribute__((aligned(16)));
static uint64_t random_state = 0x9e3779b97f4a7c15;

void *memcpy(void *dst, const void *src, size_t n)
{
    void *d = dst;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n)::"memory");
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    void *d = dst;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return dst;
}

uint64_t random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1d;
}

void print(const char *text)
{
    for (; *text; text++) {
        for (unsigned i = 0; i < 100000 && !(inb(0x3fd) & 0x20); i++)
            ;
        outb(0x3f8, (uint8_t)*text);
    }
}

void print_hex(uint64_t value)
{
    char text[17];

    for (int i = 15; i >= 0; i--, value >>= 4)
        text[i] = "0123456789abcdef"[value & 15];
    text[16] = 0;
    print(text);
}

void finish(bool pass)
{
    print(pass ? "PASS\n" : "FAIL\n");
    outb(DEBUG_EXIT, pass ? EXIT_PASS : EXIT_FAIL);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void load_idt(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } pointer = {sizeof(idt) - 1, (uintptr_t)idt};

    for (unsigned i = 0; i < 256; i++) {
        uint64_t stub = (uintptr_t)trap_stubs + i * 16;
        idt[i * 2] = (stub & 0xffff) | 8ULL << 16 | 0x8e00ULL << 32 | (stub & 0xffff0000) << 32;
        idt[i * 2 + 1] = stub >> 32;
    }
    __asm__ volatile("lidt %0" ::"m"(pointer));
}

void trap_c(struct trap_frame *frame)
{
    trap_count[frame->vector]++;
    last_error = frame->error;
    last_rip = frame->rip;
    if (trap_hook && trap_hook(frame))
        return;
    if (frame->vector == 2 || frame->vector >= 32) { /* an NMI is an interrupt, too */
        MMIO32(0xfee000b0) = 0;                      /* EOI */
        outb(0xa0, 0x20);
        outb(0x20, 0x20);
        return;
    }
    if (catcher) {
        struct try_point *c = catcher;
        catcher = NULL;
        caught = (int)frame->vector;
        try_jump(c);
    }
    print("unexpected trap ");
    print_hex(frame->vector);
    print(" at ");
    print_hex(frame->rip);
    print("\n");
    finish(false);
}

int try_run(void (*fn)(void))
{
    struct try_point point;

    caught = -1;
    if (!try_save(&point)) {
        catcher = &point;
        fn();
    }
    catcher = NULL;
    return caught;
}

static bool ends_with(const char *text, const char *name)
{
    size_t a = 0, b = 0;

    while (text[a])
        a++;
    while (name[b])
        b++;
    if (b > a || (a > b && text[a - b - 1] != ' '))
        return false;
    for (size_t i = 0; i < b; i++) {
        if (text[a - b + i] != name[i])
            return false;
    }
    return true;
}

bool told(const char *word)
{
    const char *at = command_line;

    while (*at) {
        size_t n = 0;

        while (word[n] && at[n] == word[n])
            n++;
        if (!word[n] && (at[n] == ' ' || !at[n]))
            return true;
        while (*at && *at != ' ')
            at++;
        while (*at == ' ')
            at++;
    }
    return false;
}

static void say_law(const struct test *t)
{
    static const char *const laws[] = {"", "equivalence: ", "resource control: ", "efficiency: "};

    if (!t->law)
        return;
    print(laws[t->law]);
    print(t->name);
    print("\n");
}

void kernel_main(void)
{
    const uint32_t *info = (const uint32_t *)(uintptr_t)boot_info;

    if (info[0] & 4)
        command_line = (const char *)(uintptr_t)info[4];
    load_idt();
    outb(0x3fb, 3);   /* eight bits a byte */
    outb(0x21, 0xff); /* the 8259s' vectors would look like exceptions */
    outb(0xa1, 0xff);
    for (const struct test *t = tests; t->name; t++) {
        if (ends_with(command_line, t->name)) {
            say_law(t);
            t->run();
            finish(true);
        }
    }
    print("no such test: ");
    print(command_line);
    finish(false);
}
