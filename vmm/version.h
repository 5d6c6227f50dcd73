/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMM_VERSION_H
#define VMM_VERSION_H

#define BATUTA_VERSION       "0.1.0"
#define BATUTA_VERSION_MAJOR 0
#define BATUTA_VERSION_MINOR 1
#define BATUTA_VERSION_MICRO 0

#endif
