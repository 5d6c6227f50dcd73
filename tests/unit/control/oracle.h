/* SPDX-License-Identifier: GPL-2.0-or-later */
/* jansson's opinion, for comparison. Its names and ours do not go into one file. */
#ifndef TESTS_UNIT_CONTROL_ORACLE_H
#define TESTS_UNIT_CONTROL_ORACLE_H

#include "base/base.h"

bool oracle_accepts(const char *text, size_t len);
/* Both are right, and mean the same. */
bool oracle_same(const char *a, size_t a_len, const char *b, size_t b_len);
/* What jansson has under the name in an object, in our compact form; false: nothing. To be freed. */
char *oracle_member(const char *text, size_t len, const char *name);

#endif
