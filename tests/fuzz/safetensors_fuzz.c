/* Safetensors: any bytes parse or give a reason; what was parsed lies inside them, does not overlap
 * and is found by its name. */
#include <stdint.h>

#include "load/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(const ag_st_table *t, const uint8_t *p, size_t n) {
    for (size_t i = 0; i < t->n; i++) {
        const ag_st_tensor *x = &t->tensors[i];
        AG_ASSERT(x->data >= p && x->bytes <= n && x->data + x->bytes <= p + n);
        AG_ASSERT(ag_st_find(t, x->name) == x);
        uint64_t bytes = ag_st_type_bytes(x->type);
        for (int d = 0; d < AG_MAX_ST_DIMS; d++)
            bytes *= x->dim[d];
        AG_ASSERT(bytes == x->bytes);
        for (size_t k = 0; k < i && t->n < 64; k++)
            AG_ASSERT(t->tensors[k].data + t->tensors[k].bytes <= x->data ||
                      x->data + x->bytes <= t->tensors[k].data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    ag_arena arena;
    ag_st_table t;
    ag_err err = {0};
    ag_arena_init(&arena, AG_ROOM_TEST, (size_t)1 << 24);
    if (ag_st_init(&t, &arena, &err) == AG_OK) {
        if (ag_st_parse(&t, ag_span_of(p, n), 0, "fuzz", &err) == AG_OK)
            check(&t, p, n);
        else
            AG_ASSERT(err.code != AG_OK && err.msg[0]);
    }
    ag_st_deinit(&t);
    ag_arena_deinit(&arena);
    return 0;
}
