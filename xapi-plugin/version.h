/* SPDX-License-Identifier: MIT */
/* The product's version; the packages take theirs from here (rpm/module.mk). */
#ifndef VG_VERSION_H
#define VG_VERSION_H

#define VG_VERSION "0.5.0"

#endif
