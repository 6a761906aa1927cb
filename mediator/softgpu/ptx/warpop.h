/* SPDX-License-Identifier: MIT */
/* Modes of the warp-wide instructions, in the order lowering names them. */
#ifndef VG_PTX_WARPOP_H
#define VG_PTX_WARPOP_H

enum { SHFL_UP, SHFL_DOWN, SHFL_BFLY, SHFL_IDX };
enum { VOTE_ALL, VOTE_ANY, VOTE_UNI, VOTE_BALLOT };
enum { REDUX_ADD, REDUX_MIN, REDUX_MAX, REDUX_AND, REDUX_OR, REDUX_XOR };

#endif
