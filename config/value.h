/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single values of a description: sizes, numbers, words, addresses; and the nearest
 * word to a wrong one. Without an error's text -EINVAL says that it is none, -ERANGE
 * that it is too large for anything.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "base/error.h"

/* Decimal or 0x… */
int value_uint(const char *text, uint64_t max, uint64_t *value);
/* Bytes: MiB, or with K, M, G, T. */
int value_size(const char *text, uint64_t *value);
int value_bool(const char *text, bool *value);
/* The index; -1: none of the NULL-ended list, and the error says which there are. */
int value_choice(const char *what, const char *text, const char *const *choices, struct error *err);
/* 52:54:00:12:34:56, not a multicast one. */
int value_mac(const char *text, uint8_t mac[6], struct error *err);

/* The nearest of a list of names (NULL: not offered), or NULL if none is near. */
const char *nearest_name(const char *word, const char *(*name)(const void *list, size_t i), const void *list,
                         size_t count);

/* Takes the spaces around a text off, in place. */
char *value_trim(char *text);

#endif
