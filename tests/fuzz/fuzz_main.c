/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a fuzz target without libFuzzer: on the files named, or with `-n COUNT`
 * on that many random inputs of up to 64 bytes. A target fails by trapping.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void run_random(unsigned long count)
{
    uint64_t state = 0x9e3779b97f4a7c15ULL;
    for (unsigned long i = 0; i < count; i++) {
        /* Of its exact size on the heap, so that ASan sees a read past the end. */
        size_t size = next(&state) % 65;
        uint8_t *data = malloc(size ? size : 1);
        if (!data)
            abort();
        for (size_t k = 0; k < size; k++)
            data[k] = (uint8_t)(next(&state) >> 32);
        LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return EXIT_FAILURE;
    }
    uint8_t *data = malloc(1 << 20);
    size_t size = data ? fread(data, 1, 1 << 20, file) : 0;
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    fclose(file);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    int status = EXIT_SUCCESS;
    if (argc == 3 && !strcmp(argv[1], "-n")) {
        run_random(strtoul(argv[2], NULL, 0));
        return status;
    }
    for (int i = 1; i < argc; i++)
        status |= run_file(argv[i]);
    return status;
}
