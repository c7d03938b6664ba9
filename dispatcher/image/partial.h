/* SPDX-License-Identifier: Apache-2.0 */
/* What a download has brought so far, under a name of its own: ROOT/images/partial/sha256:<hex>.
 * The next download of the blob goes on with it, in whatever process. It is no blob: nobody reads
 * it as one before its bytes are hashed to the end. Locked (flock) while it is being filled;
 * without a lock and an hour old it is garbage. */
#pragma once

#include <stdint.h>

#include "dispatcher/image/digest.h"
#include "dispatcher/image/place.h"

/* Read and write, made if missing, locked by the descriptor. *ret_begun: so many bytes from the
 * first on may be there, fewer than `size`. fd or −errno; −EBUSY: somebody else is filling it. */
int partial_open(const ImagePlace *place, const Digest *digest, uint64_t size, uint64_t *ret_begun);

void partial_remove(const ImagePlace *place, const Digest *digest);

/* Those that nobody fills and that are older than that. */
int partial_sweep(const ImagePlace *place, uint64_t age_ns);
