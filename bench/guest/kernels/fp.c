/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Floating point and vectors. No libm: its functions choose their code by CPUID and would round differently.
 */
#include "kernels.h"

#include <immintrin.h>
#include <string.h>

/* Five bodies for 1,000 steps. */

struct body {
    double x[3], v[3], mass;
};

static double square_root(double x)
{
    return _mm_cvtsd_f64(_mm_sqrt_sd(_mm_setzero_pd(), _mm_set_sd(x)));
}

static void nbody_step(struct body *bodies, unsigned n, double dt)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = i + 1; j < n; j++) {
            double d[3], square = 0, force;

            for (unsigned k = 0; k < 3; k++) {
                d[k] = bodies[i].x[k] - bodies[j].x[k];
                square += d[k] * d[k];
            }
            force = dt / (square * square_root(square));
            for (unsigned k = 0; k < 3; k++) {
                bodies[i].v[k] -= d[k] * bodies[j].mass * force;
                bodies[j].v[k] += d[k] * bodies[i].mass * force;
            }
        }
    }
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < 3; k++)
            bodies[i].x[k] += dt * bodies[i].v[k];
}

static uint64_t nbody_round(void)
{
    struct body bodies[5] = {{{0}, {0}, 39.5}};

    for (unsigned i = 1; i < 5; i++)
        bodies[i] = (struct body){{5.0 * i, -1.2 * i, 0.1 * i}, {0.6 / i, 2.8 / i, 0.02}, 0.04 / i};
    for (unsigned step = 0; step < 1000; step++)
        nbody_step(bodies, 5, 0.01);
    return checksum(bodies, sizeof(bodies));
}

/* Matrices of 64 × 64 floats, as a program with a version for each level of the processor multiplies them. */

#define SIDE 64

static float left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];

static void matmul_prepare(void)
{
    uint64_t random = SEED;

    for (unsigned i = 0; i < SIDE; i++) {
        for (unsigned j = 0; j < SIDE; j++) {
            left[i][j] = (float)(next_random(&random) % 1000) / 37.0f;
            right[i][j] = (float)(next_random(&random) % 1000) / 41.0f;
        }
    }
}

static uint64_t matmul_sse2_round(void)
{
    for (unsigned i = 0; i < SIDE; i++) {
        for (unsigned j = 0; j < SIDE; j += 8) {
            __m128 low = _mm_setzero_ps(), high = _mm_setzero_ps();

            for (unsigned k = 0; k < SIDE; k++) {
                __m128 a = _mm_set1_ps(left[i][k]);

                low = _mm_add_ps(low, _mm_mul_ps(a, _mm_loadu_ps(&right[k][j])));
                high = _mm_add_ps(high, _mm_mul_ps(a, _mm_loadu_ps(&right[k][j + 4])));
            }
            _mm_storeu_ps(&product[i][j], low);
            _mm_storeu_ps(&product[i][j + 4], high);
        }
    }
    return checksum(product[SIDE - 1], sizeof(product[0]));
}

__attribute__((target("avx2,fma"))) static uint64_t matmul_avx2_round(void)
{
    for (unsigned i = 0; i < SIDE; i += 2) {
        for (unsigned j = 0; j < SIDE; j += 16) {
            __m256 sum[2][2] = {{_mm256_setzero_ps(), _mm256_setzero_ps()},
                                {_mm256_setzero_ps(), _mm256_setzero_ps()}};

            for (unsigned k = 0; k < SIDE; k++) {
                __m256 r0 = _mm256_loadu_ps(&right[k][j]), r1 = _mm256_loadu_ps(&right[k][j + 8]);

                for (unsigned row = 0; row < 2; row++) {
                    __m256 a = _mm256_broadcast_ss(&left[i + row][k]);

                    sum[row][0] = _mm256_fmadd_ps(a, r0, sum[row][0]);
                    sum[row][1] = _mm256_fmadd_ps(a, r1, sum[row][1]);
                }
            }
            for (unsigned row = 0; row < 2; row++) {
                _mm256_storeu_ps(&product[i + row][j], sum[row][0]);
                _mm256_storeu_ps(&product[i + row][j + 8], sum[row][1]);
            }
        }
    }
    return checksum(product[SIDE - 1], sizeof(product[0]));
}

static bool avx2_usable(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* 48 × 32 points, up to 200 steps each. */

static uint64_t mandelbrot_round(void)
{
    uint64_t sum = 0;

    for (unsigned py = 0; py < 32; py++) {
        for (unsigned px = 0; px < 48; px++) {
            double cx = px / 16.0 - 2.2, cy = py / 13.0 - 1.2, x = 0, y = 0;
            unsigned n = 0;

            HIDE(cx);
            for (; n < 200 && x * x + y * y < 4; n++) {
                double t = x * x - y * y + cx;

                y = 2 * x * y + cy;
                x = t;
            }
            sum = sum * 31 + n;
        }
    }
    return sum;
}

/* A transform of 4,096 complex numbers; the roots of unity by halving angles, which needs square roots alone.
 */

#define POINTS 4096

struct complex_number {
    double re, im;
};

static struct complex_number roots[POINTS / 2], signal[POINTS];

static void fft_prepare(void)
{
    double c = -1, s = 0; /* cos and sin of π, then of its halves */
    unsigned step = POINTS / 2;

    roots[0] = (struct complex_number){1, 0};
    for (; step > 1; step /= 2) {
        double half_c = square_root((1 + c) / 2), half_s = square_root((1 - c) / 2);

        c = half_c;
        s = -half_s;
        for (unsigned i = step / 2; i < POINTS / 2; i += step) {
            struct complex_number r = i >= step ? roots[i - step / 2] : roots[0];

            roots[i] = (struct complex_number){r.re * c - r.im * s, r.re * s + r.im * c};
        }
    }
}

static uint64_t fft_round(void)
{
    for (unsigned i = 0, r = 0; i < POINTS; i++) {
        signal[r] = (struct complex_number){(i * 37) % 101 - 50.0, (i * 53) % 97 - 48.0};
        for (unsigned bit = POINTS / 2; (r ^= bit) < bit; bit /= 2)
            ;
    }
    for (unsigned half = 1; half < POINTS; half *= 2) {
        for (unsigned start = 0; start < POINTS; start += 2 * half) {
            for (unsigned k = 0; k < half; k++) {
                struct complex_number *a = &signal[start + k], *b = a + half,
                                      w = roots[k * (POINTS / 2 / half)];
                double re = b->re * w.re - b->im * w.im, im = b->re * w.im + b->im * w.re;

                *b = (struct complex_number){a->re - re, a->im - im};
                *a = (struct complex_number){a->re + re, a->im + im};
            }
        }
    }
    return checksum(signal, 64 * sizeof(signal[0]));
}

/* Integer vectors: where does an 8 × 8 block of a picture differ least from another one (video's motion
 * search)? */

#define WIDTH 256

static uint8_t picture[WIDTH * WIDTH];

static void search_prepare(void)
{
    uint64_t random = SEED;

    for (unsigned i = 0; i < sizeof(picture); i++)
        picture[i] = (uint8_t)((i * 3 + (next_random(&random) & 15)) / 2);
}

static uint32_t difference(const uint8_t *a, const uint8_t *b)
{
    __m128i sum = _mm_setzero_si128();

    for (unsigned y = 0; y < 8; y += 2, a += 2 * WIDTH, b += 2 * WIDTH) {
        __m128i va = _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)a),
                                        _mm_loadl_epi64((const __m128i *)(a + WIDTH)));
        __m128i vb = _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)b),
                                        _mm_loadl_epi64((const __m128i *)(b + WIDTH)));

        sum = _mm_add_epi32(sum, _mm_sad_epu8(va, vb));
    }
    return (uint32_t)(_mm_cvtsi128_si32(sum) + _mm_cvtsi128_si32(_mm_srli_si128(sum, 8)));
}

static uint64_t search_round(void)
{
    uint64_t sum = 0;

    for (unsigned block = 0; block < 8; block++) {
        const uint8_t *wanted = picture + block * 1009;
        uint32_t least = UINT32_MAX, where = 0;

        for (uint32_t at = 0; at < 16 * WIDTH; at += 2) {
            uint32_t d = difference(wanted, picture + 16384 + at);

            if (d < least) {
                least = d;
                where = at;
            }
        }
        sum = sum * 65599 + where * 8 + least;
    }
    return sum;
}

const struct kernel fp_kernels[] = {
    {"fp", "nbody", NULL, NULL, nbody_round},
    {"fp", "matmul-sse2", NULL, matmul_prepare, matmul_sse2_round},
    {"fp", "matmul-avx2", avx2_usable, matmul_prepare, matmul_avx2_round},
    {"fp", "mandelbrot", NULL, NULL, mandelbrot_round},
    {"fp", "fft", NULL, fft_prepare, fft_round},
    {"fp", "motion", NULL, search_prepare, search_round},
    {NULL, NULL, NULL, NULL, NULL},
};
