/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* copy.c - the byte routines of a build for size, out of line; empty in every other build. */
#define IST_BYTES_BODY
#include "shared.h"
