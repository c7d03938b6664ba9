/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/initimage.h"

/* C17 has no other way to take a file in. PODMON_INIT_FILE comes from CMake. */
__asm__(
    ".pushsection .rodata\n"
    ".balign 16\n"
    "podmon_init_begin:\n"
    ".incbin \"" PODMON_INIT_FILE
    "\"\n"
    "podmon_init_end:\n"
    ".popsection\n");

extern const unsigned char init_begin[] __asm__("podmon_init_begin");
extern const unsigned char init_end[] __asm__("podmon_init_end");

const void *initimage_data(void)
{
    return init_begin;
}

size_t initimage_size(void)
{
    return (size_t)(init_end - init_begin);
}
