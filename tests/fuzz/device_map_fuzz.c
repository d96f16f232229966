/* A device map: any text gives a placement, which is a map that gives itself, or a reason. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "core/devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    if (n == 0)
        return 0;
    char *map = ag_strndup(AG_ROOM_TEST, (const char *)p + 1, n - 1), *text = NULL, *again = NULL;
    int n_layers = 1 + p[0] % 64;
    ag_err err = {0};
    AG_ASSERT(map);
    ag_code code = ag_device_map_resolve(map, n_layers, true, &text, &err);
    AG_ASSERT(code == err.code && (code == AG_OK) == (text != NULL));
    if (!code) {
        AG_ASSERT(ag_device_map_resolve(text, n_layers, true, &again, &err) == AG_OK);
        AG_ASSERT(strcmp(text, again) == 0);
    }
    ag_free(map);
    ag_free(text);
    ag_free(again);
    return 0;
}
