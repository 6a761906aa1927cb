/* SPDX-License-Identifier: MIT */
/* Operations of atom and red. */
#ifndef VG_PTX_ATOM_H
#define VG_PTX_ATOM_H

enum atom_op {
    ATOM_ADD, ATOM_MIN, ATOM_MAX, ATOM_INC, ATOM_DEC, ATOM_AND, ATOM_OR, ATOM_XOR, ATOM_EXCH,
    ATOM_CAS
};

#endif
