/* Numbers out of config.json and keys into the source. */
#include <math.h>
#include <stdio.h>

#include "load/hf_parts.h"

/* ---- reading ---- */

static const json_t *look_up(const ag_hf_keys *k, const char *name) {
    const json_t *v = json_object_get(k->from, name);
    return json_is_null(v) ? NULL : v;
}

static void wrong(ag_hf_keys *k, const char *name, const char *want, const json_t *v) {
    if (!k->code)
        k->code = ag_fail(k->h->err, AG_E_FORMAT, "%s/config.json: %s: expected %s, found %s",
                          k->h->folder, name, want, ag_json_kind(v));
}

static uint32_t as_u32(ag_hf_keys *k, const char *name, const json_t *v) {
    json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;
    /* Some writers put 128.0 where a count belongs. */
    if (json_is_real(v) && json_real_value(v) >= 0 && json_real_value(v) <= UINT32_MAX &&
        json_real_value(v) == floor(json_real_value(v)))
        n = (json_int_t)json_real_value(v);
    if (n >= 0 && n <= UINT32_MAX)
        return (uint32_t)n;
    wrong(k, name, "an integer from 0 to 4294967295", v);
    return 0;
}

uint32_t ag_hf_cfg_need_u32(ag_hf_keys *k, const char *name) {
    return as_u32(k, name, look_up(k, name));
}

uint32_t ag_hf_cfg_u32(ag_hf_keys *k, const char *name, uint32_t otherwise) {
    const json_t *v = look_up(k, name);
    return v ? as_u32(k, name, v) : otherwise;
}

double ag_hf_cfg_num(ag_hf_keys *k, const char *name, double otherwise) {
    const json_t *v = look_up(k, name);
    if (v && !json_is_number(v))
        wrong(k, name, "a number", v);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

bool ag_hf_cfg_bool(ag_hf_keys *k, const char *name, bool otherwise) {
    const json_t *v = look_up(k, name);
    if (v && !json_is_boolean(v))
        wrong(k, name, "true or false", v);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

const char *ag_hf_cfg_str(ag_hf_keys *k, const char *name) {
    const json_t *v = look_up(k, name);
    if (v && !json_is_string(v))
        wrong(k, name, "a string", v);
    return json_string_value(v);
}

const json_t *ag_hf_cfg_list(ag_hf_keys *k, const char *name) {
    const json_t *v = look_up(k, name);
    if (v && !json_is_array(v))
        wrong(k, name, "an array", v);
    return json_is_array(v) ? v : NULL;
}

bool ag_hf_cfg_has(const ag_hf_keys *k, const char *name) { return look_up(k, name) != NULL; }

/* ---- writing ---- */

static void no_memory(ag_hf_keys *k) {
    if (!k->code)
        k->code = ag_fail(k->h->err, AG_E_NOMEM, "out of memory while opening %s", k->h->folder);
}

/* Add `name` with the architecture in front, or as it is when `arch` is NULL. */
static void put(ag_hf_keys *k, const char *arch, const char *name, ag_value v) {
    char full[128];
    int n = arch ? snprintf(full, sizeof full, "%s.%s", arch, name)
                 : snprintf(full, sizeof full, "%s", name);
    char *copy = ag_arena_strndup(&k->h->s->made, full, (size_t)n);
    if (!copy)
        no_memory(k);
    if (!k->code)
        k->code = ag_source_add_key(k->h->s, ag_span_of(copy, (size_t)n), v, k->h->err);
}

static void put_text(ag_hf_keys *k, const char *arch, const char *name, const char *v) {
    size_t n = strlen(v);
    char *copy = ag_arena_strndup(&k->h->s->made, v, n);
    if (!copy)
        no_memory(k);
    else
        put(k, arch, name, (ag_value){.kind = AG_VALUE_STRING, .s = ag_span_of(copy, n)});
}

void ag_hf_key_u32(ag_hf_keys *k, const char *name, uint32_t v) {
    put(k, k->h->cls->arch, name, (ag_value){.kind = AG_VALUE_U32, .u = v});
}

/* Rounded as in a file, which holds 32 bits. */
void ag_hf_key_f32(ag_hf_keys *k, const char *name, double v) {
    if (!(fabs(v) < 3e38)) {
        if (!k->code)
            k->code = ag_fail(k->h->err, AG_E_FORMAT, "%s/config.json: %s is %g, out of range",
                              k->h->folder, name, v);
        return;
    }
    put(k, k->h->cls->arch, name, (ag_value){.kind = AG_VALUE_F32, .f = (double)(float)v});
}

void ag_hf_key_bool(ag_hf_keys *k, const char *name, bool v) {
    put(k, k->h->cls->arch, name, (ag_value){.kind = AG_VALUE_BOOL, .u = v});
}

void ag_hf_key_str(ag_hf_keys *k, const char *name, const char *v) {
    put_text(k, k->h->cls->arch, name, v);
}

void ag_hf_key_general(ag_hf_keys *k, const char *name, const char *v) {
    put_text(k, NULL, name, v);
}

void ag_hf_key_plain_u32(ag_hf_keys *k, const char *name, uint32_t v) {
    put(k, NULL, name, (ag_value){.kind = AG_VALUE_U32, .u = v});
}

void ag_hf_key_array(ag_hf_keys *k, const char *name, ag_value_kind kind, const void *p, size_t n) {
    size_t bytes = n * ag_value_bytes(kind);
    void *copy = ag_arena_get(&k->h->s->made, bytes);
    if (!copy) {
        no_memory(k);
        return;
    }
    if (bytes)
        memcpy(copy, p, bytes);
    put(k, k->h->cls->arch, name,
        (ag_value){.kind = AG_VALUE_ARRAY, .a = {kind, n, ag_span_of(copy, bytes)}});
}
