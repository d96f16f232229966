/* The table of weight types. Numbers, names and sizes come from AG_TYPE_MAP; the decoders are in
 * ref/decode.c. */
#include "kernels/types.h"

#include <strings.h>

static const ag_type_info infos[AG_T_LIMIT] = {
#define ROW(id, number, name, block, bytes, decoded) [number] = {name, block, bytes, decoded},
    AG_TYPE_MAP(ROW)
#undef ROW
};

const ag_type_info *ag_type_find(uint32_t number) {
    return number < AG_T_LIMIT && infos[number].name ? &infos[number] : NULL;
}

int ag_type_by_name(const char *name) {
    for (int t = 0; t < AG_T_LIMIT; t++)
        if (infos[t].name && strcasecmp(infos[t].name, name) == 0)
            return t;
    return -1;
}

/* The list starts with ", ", which the caller skips. */
#define IF_0(name)
#define IF_1(name)                                    ", " name
#define ITEM(id, number, name, block, bytes, decoded) IF_##decoded(name)

const char *ag_type_supported(void) { return &(AG_TYPE_MAP(ITEM))[2]; }

size_t ag_type_bytes(ag_type type, size_t n) {
    const ag_type_info *info = &infos[type];
    return n / info->block * info->bytes;
}
