/* SPDX-License-Identifier: Apache-2.0 */
/* podmon/init.c as a program, inside podmon. */
#pragma once

#include <stddef.h>

const void *initimage_data(void);
size_t initimage_size(void);
