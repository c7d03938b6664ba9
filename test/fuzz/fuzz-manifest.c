/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a manifest, an index or a configuration. */
#include <stdlib.h>
#include <string.h>

#include "dispatcher/image/config.h"
#include "dispatcher/image/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    Manifest manifest;
    ImageConfig config;
    size_t chosen;
    Failure why;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (manifest_parse(text, size, &manifest, &why) == 0) {
        if (manifest_choose(&manifest, &chosen, &why) == 0 && chosen >= manifest.entries_count)
            abort();
        manifest_done(&manifest);
    }
    if (image_config_parse(text, size, &config, &why) == 0) {
        if (config.diff_ids_count == 0 || config.diff_ids_count > IMAGE_LAYERS_MAX)
            abort();
        image_config_done(&config);
    }
    free(text);
    return 0;
}
