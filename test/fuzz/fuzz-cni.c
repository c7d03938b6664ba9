/* SPDX-License-Identifier: Apache-2.0 */
/* A network configuration, an answer and an error of a plugin: three readings of the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "podmon/cni.h"
#include "podmon/network.h"
#include "shared/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(cni_json_cleanup) cJSON *list = NULL, *result = NULL;
    CLEANUP(text_list_cleanup) char **addresses = NULL;
    AUTO_FREE char *text = strndup((const char *)data, size), *config = NULL;
    char message[64];

    (void)cni_parse_result(text, &result);
    (void)cni_describe_error(text, message, sizeof(message));
    (void)network_addresses(text, &addresses);
    if (cni_parse_list(text, &list, NULL) < 0)
        return 0;
    (void)cni_has_check(list);
    if (cni_plugin_config(list, cJSON_GetArrayItem(cJSON_GetObjectItem(list, "plugins"), 0), NULL,
                          result, &config) < 0)
        abort();
    return 0;
}
