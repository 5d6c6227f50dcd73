/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmocka wants these in front of it. */
#ifndef TESTS_UNIT_VIRTIO_CHECK_H
#define TESTS_UNIT_VIRTIO_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
