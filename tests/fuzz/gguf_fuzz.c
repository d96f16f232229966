/* GGUF: any bytes open or give a reason; what opened can be walked whole, every value read in every
 * way, and every tensor lies inside the bytes. */
#include <stdint.h>

#include "load/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void walk_array(const ag_value *v) {
    if (v->a.kind == AG_VALUE_STRING) {
        size_t at = 0;
        for (uint64_t i = 0; i < v->a.n; i++) {
            ag_span s = ag_value_next_str(v, &at);
            AG_ASSERT(s.n == 0 ||
                      (s.p >= v->a.bytes.p && s.p + s.n <= v->a.bytes.p + v->a.bytes.n));
        }
        return;
    }
    for (uint64_t i = 0; i < v->a.n; i++) {
        (void)ag_value_int(v, i);
        (void)ag_value_num(v, i);
    }
}

/* Look a key up under its own name, in all types: one fits, the others say what they found. */
static void look_up(const ag_source *g, const ag_source_key *key) {
    char name[256];
    if (key->name.n >= sizeof name || memchr(key->name.p, 0, key->name.n))
        return;
    memcpy(name, key->name.p, key->name.n);
    name[key->name.n] = 0;
    AG_ASSERT(ag_source_find(g, name));
    ag_err err;
    uint32_t u;
    float f;
    bool b;
    ag_span s;
    (void)!ag_source_get_u32(g, name, &u, &err);
    (void)!ag_source_get_f32(g, name, &f, &err);
    (void)!ag_source_get_bool(g, name, &b, &err);
    (void)!ag_source_get_str(g, name, &s, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    ag_source *g = NULL;
    ag_err err = {0};
    if (ag_gguf_open_bytes(p, n, &g, &err)) {
        AG_ASSERT(g == NULL && err.code != AG_OK && err.msg[0]);
        return 0;
    }
    for (size_t i = 0; i < ag_source_n_keys(g); i++) {
        const ag_source_key *key = ag_source_key_at(g, i);
        if (key->value.kind == AG_VALUE_ARRAY)
            walk_array(&key->value);
        look_up(g, key);
    }
    for (size_t i = 0; i < ag_source_n_tensors(g); i++) {
        const ag_tensor *t = ag_source_tensor_at(g, i);
        AG_ASSERT(t->data >= p && t->bytes <= n && t->data + t->bytes <= p + n);
    }
    ag_source_close(&g);
    return 0;
}
