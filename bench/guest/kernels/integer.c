/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer work whose cost is the code itself: hashing, sorting, calls, an interpreter. data.c has what walks
 * data. */
#include "kernels.h"

#include <string.h>

/* Vectors have kernels of their own. */
#pragma GCC optimize("no-tree-vectorize", "no-tree-slp-vectorize")

/* CoreMark-like: a matrix, a state machine over text and a CRC of it all; the list is in data.c. */

#define SIDE 24

static uint16_t crc16(uint16_t crc, uint32_t value)
{
    for (unsigned i = 0; i < 32; i++, value >>= 1) {
        bool carry = (crc ^ value) & 1;

        crc = (uint16_t)(crc >> 1);
        if (carry)
            crc ^= 0xa001;
    }
    return crc;
}

static uint32_t matrix_work(int16_t seed)
{
    static int16_t a[SIDE][SIDE], b[SIDE][SIDE];
    static int32_t c[SIDE][SIDE];
    uint32_t sum = 0;

    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) {
            a[i][j] = (int16_t)(seed + i * j);
            b[i][j] = (int16_t)(seed - i + 3 * j);
        }
    }
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) {
            int32_t dot = 0;

            for (int k = 0; k < SIDE; k++)
                dot += a[i][k] * b[k][j];
            c[i][j] = dot;
        }
    }
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++)
            sum += (uint32_t)(c[i][j] >> 2 & 0xf) * (uint32_t)(c[i][j] >> 5 & 0x7f);
    return sum;
}

enum number_state { START, INTEGER, FRACTION, EXPONENT, INVALID, STATES };

/* Which kinds of numbers are in a text with commas between them. */
static uint32_t state_work(const char *text)
{
    uint32_t counts[STATES] = {0}, sum = 0;
    enum number_state state = START;

    for (; *text; text++) {
        bool digit = *text >= '0' && *text <= '9';

        if (*text == ',') {
            counts[state]++;
            state = START;
            continue;
        }
        switch (state) {
        case START:
            state = digit || *text == '-' ? INTEGER : *text == '.' ? FRACTION : INVALID;
            break;
        case INTEGER:
            state = digit ? INTEGER : *text == '.' ? FRACTION : *text == 'e' ? EXPONENT : INVALID;
            break;
        case FRACTION:
            state = digit ? FRACTION : *text == 'e' ? EXPONENT : INVALID;
            break;
        case EXPONENT:
            state = digit || *text == '+' ? EXPONENT : INVALID;
            break;
        default:
            break;
        }
    }
    for (unsigned i = 0; i < STATES; i++)
        sum = sum * 31 + counts[i];
    return sum;
}

static uint64_t coremark_round(void)
{
    static const char *text =
        "5012,1234,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e+3,-.123e-2,-87e+832,"
        "+0.6e-12,T0.3e-1F,-T.T++Tq,1T3.4e4z,34.0e-T^,";
    uint16_t crc = 0xffff;

    for (int16_t i = 0; i < 20; i++) {
        HIDE(text);
        crc = crc16(crc, matrix_work(i));
        for (unsigned j = 0; j < 8; j++)
            crc = crc16(crc, state_work(text + j));
    }
    return crc;
}

/* SHA-256 of 128 KiB. */

static const uint32_t sha_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static void sha256_block(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64], s[8];

    for (unsigned i = 0; i < 16; i++) {
        memcpy(&w[i], block + 4 * i, 4);
        w[i] = __builtin_bswap32(w[i]);
    }
    for (unsigned i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];

        w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof(s));
    for (unsigned i = 0; i < 64; i++) {
        uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                      ((s[4] & s[5]) ^ (~s[4] & s[6])) + sha_k[i] + w[i];
        uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

        s[7] = s[6];
        s[6] = s[5];
        s[5] = s[4];
        s[4] = s[3] + t1;
        s[3] = s[2];
        s[2] = s[1];
        s[1] = s[0];
        s[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++)
        state[i] += s[i];
}

static uint8_t sha_data[128 << 10];

static void sha256_prepare(void)
{
    text_fill((char *)sha_data, sizeof(sha_data));
}

static uint64_t sha256_round(void)
{
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

    for (size_t at = 0; at < sizeof(sha_data); at += 64)
        sha256_block(state, sha_data + at);
    return checksum(state, sizeof(state));
}

/* Quicksort of 20,000 numbers by a comparison function, as qsort(3) does it. */

#define SORTED 20000

typedef int compare_fn(const void *, const void *);

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void quicksort(uint64_t *v, long n, compare_fn *compare)
{
    while (n > 8) {
        uint64_t pivot = v[n / 2];
        long i = 0, j = n - 1;

        while (i <= j) {
            while (compare(&v[i], &pivot) < 0)
                i++;
            while (compare(&v[j], &pivot) > 0)
                j--;
            if (i <= j) {
                uint64_t swap = v[i];

                v[i++] = v[j];
                v[j--] = swap;
            }
        }
        quicksort(v, j + 1, compare);
        v += i;
        n -= i;
    }
    for (long i = 1; i < n; i++) {
        uint64_t x = v[i];
        long j = i;

        for (; j > 0 && compare(&v[j - 1], &x) > 0; j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
}

static uint64_t qsort_round(void)
{
    static uint64_t v[SORTED];
    uint64_t random = SEED;
    compare_fn *compare = compare_u64;

    HIDE(compare);
    for (unsigned i = 0; i < SORTED; i++)
        v[i] = next_random(&random);
    quicksort(v, SORTED, compare);
    return checksum(v, sizeof(v));
}

/* Recursion: nothing but calls and returns. */

__attribute__((noinline)) static uint64_t fib(uint64_t n)
{
    HIDE(n);
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t fib_round(void)
{
    return fib(25);
}

/* A byte-code interpreter, one indirect jump an instruction by a table. Its program counts the primes below
 * 2000. */

enum { SET, ADD, MUL, REM, LESS, JUMP, IF, UNLESS, HALT };

struct code {
    uint16_t op, to, a, b, value;
};

static const struct code
    primes[] =
        {
            {SET, 0, 0, 0, 2},     {SET, 6, 0, 0, 1}, {SET, 5, 0, 0, 2000},
            {SET, 1, 0, 0, 2}, /* 3: another number, r0; is r1 a divisor of it? */
            {MUL, 3, 1, 1, 0}, /* 4 */
            {LESS, 4, 0, 3, 0},    {IF, 0, 4, 0, 11}, {REM, 3, 0, 1, 0},
            {UNLESS, 0, 3, 0, 12}, {ADD, 1, 1, 6, 0}, {JUMP, 0, 0, 0, 4},
            {ADD, 2, 2, 6, 0}, /* 11: a prime */
            {ADD, 0, 0, 6, 0}, /* 12 */
            {LESS, 4, 0, 5, 0},    {IF, 0, 4, 0, 3},  {HALT, 0, 0, 0, 0},
};

static uint64_t interpret(const struct code *code)
{
    static const void *const labels[] = {&&set,  &&add,  &&mul,    &&rem, &&less,
                                         &&jump, &&when, &&unless, &&halt};
    const struct code *pc = code;
    uint64_t r[8] = {0};

#define NEXT goto *labels[pc->op]
    NEXT;
set:
    r[pc->to] = pc->value;
    pc++;
    NEXT;
add:
    r[pc->to] = r[pc->a] + r[pc->b];
    pc++;
    NEXT;
mul:
    r[pc->to] = r[pc->a] * r[pc->b];
    pc++;
    NEXT;
rem:
    r[pc->to] = r[pc->a] % r[pc->b];
    pc++;
    NEXT;
less:
    r[pc->to] = r[pc->a] < r[pc->b];
    pc++;
    NEXT;
jump:
    pc = code + pc->value;
    NEXT;
when:
    pc = r[pc->a] ? code + pc->value : pc + 1;
    NEXT;
unless:
    pc = r[pc->a] ? pc + 1 : code + pc->value;
    NEXT;
halt:
    return r[2];
#undef NEXT
}

static uint64_t bytecode_round(void)
{
    const struct code *code = primes;

    HIDE(code);
    return interpret(code);
}

const struct kernel integer_kernels[] = {
    {"integer", "coremark", NULL, NULL, coremark_round},
    {"integer", "sha256", NULL, sha256_prepare, sha256_round},
    {"integer", "qsort", NULL, NULL, qsort_round},
    {"integer", "bytecode", NULL, NULL, bytecode_round},
    {"integer", "fib", NULL, NULL, fib_round},
    {NULL, NULL, NULL, NULL, NULL},
};
