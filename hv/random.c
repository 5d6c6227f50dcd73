/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/random.h"

#include "base/bytes.h"
#include "base/spin.h"
#include "x86/regs.h"

#define KEY_WORDS 8

static struct {
    struct spinlock lock;
    uint32_t key[KEY_WORDS];
    uint32_t counter;
} pool;

static uint32_t rotate(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

/* RFC 8439, section 2.1 */
static void quarter(uint32_t *s, unsigned a, unsigned b, unsigned c, unsigned d)
{
    s[a] += s[b];
    s[d] = rotate(s[d] ^ s[a], 16);
    s[c] += s[d];
    s[b] = rotate(s[b] ^ s[c], 12);
    s[a] += s[b];
    s[d] = rotate(s[d] ^ s[a], 8);
    s[c] += s[d];
    s[b] = rotate(s[b] ^ s[c], 7);
}

/* Section 2.3, with a nonce of zeroes. */
static void block(const uint32_t key[KEY_WORDS], uint32_t counter, uint32_t out[16])
{
    const uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, key[0], key[1], key[2],
                                key[3],     key[4],     key[5],     key[6],     key[7], counter};

    memcpy(out, start, sizeof(start));
    for (unsigned i = 0; i < 10; i++) {
        for (unsigned n = 0; n < 4; n++)
            quarter(out, n, n + 4, n + 8, n + 12);
        for (unsigned n = 0; n < 4; n++)
            quarter(out, n, (n + 1) % 4 + 4, (n + 2) % 4 + 8, (n + 3) % 4 + 12);
    }
    for (unsigned i = 0; i < 16; i++)
        out[i] += start[i];
}

/* CPUID.1:ECX[30], CPUID.7:EBX[18] */
static bool cpu_has(uint32_t leaf, unsigned reg, unsigned bit)
{
    uint32_t r[4];

    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
    return r[reg] >> bit & 1;
}

static uint64_t hardware_word(bool seed)
{
    uint64_t value = 0;
    bool ok = false;

    for (unsigned i = 0; i < 32 && !ok; i++) {
        if (seed)
            __asm__ volatile("rdseed %0" : "=r"(value), "=@ccc"(ok)::"memory");
        else
            __asm__ volatile("rdrand %0" : "=r"(value), "=@ccc"(ok)::"memory");
    }
    return value;
}

/* How long things took, where the processor has nothing better: reads of a port take what the bus takes. */
static uint64_t jitter_word(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < 64; i++) {
        uint8_t byte;

        __asm__ volatile("inb $0x61, %0" : "=a"(byte));
        sum = (sum << 1 | sum >> 63) ^ __builtin_ia32_rdtsc() ^ byte;
    }
    return sum;
}

void random_init(void)
{
    bool rdrand = cpu_has(1, 2, 30), rdseed = cpu_has(7, 1, 18);

    for (unsigned round = 0; round < 4; round++) {
        uint32_t out[16];

        for (unsigned i = 0; i < KEY_WORDS; i += 2) {
            uint64_t word = jitter_word();

            if (rdseed || rdrand)
                word ^= hardware_word(rdseed);
            pool.key[i] ^= (uint32_t)word;
            pool.key[i + 1] ^= (uint32_t)(word >> 32);
        }
        block(pool.key, round, out);
        memcpy(pool.key, out, sizeof(pool.key));
    }
}

/* Each request takes a key for itself, and leaves another one behind. */
void random_bytes(void *buf, size_t len)
{
    uint32_t out[16], key[KEY_WORDS];
    uint8_t *p = buf;

    spin_lock(&pool.lock);
    block(pool.key, pool.counter++, out);
    memcpy(pool.key, out, sizeof(pool.key));
    memcpy(key, out + KEY_WORDS, sizeof(key));
    spin_unlock(&pool.lock);
    for (uint32_t i = 0; len; i++) {
        size_t n = MIN(len, sizeof(out));

        block(key, i, out);
        memcpy(p, out, n);
        p += n;
        len -= n;
    }
}
