/* Looking things up in a source. */
#include <stdio.h>

#include "base/cursor.h"
#include "load/source_parts.h"

size_t ag_source_n_keys(const ag_source *s) { return s->n_keys; }
const ag_source_key *ag_source_key_at(const ag_source *s, size_t i) { return &s->keys[i]; }
size_t ag_source_n_tensors(const ag_source *s) { return s->n_tensors; }
const ag_tensor *ag_source_tensor_at(const ag_source *s, size_t i) { return &s->tensors[i]; }

const ag_value *ag_source_find(const ag_source *s, const char *key) {
    uint64_t i;
    return ag_map_find(&s->key_index, ag_str(key), &i) ? &s->keys[i].value : NULL;
}

const ag_tensor *ag_source_find_tensor(const ag_source *s, const char *name) {
    uint64_t i;
    return ag_map_find(&s->tensor_index, ag_str(name), &i) ? &s->tensors[i] : NULL;
}

const char *ag_value_kind_name(ag_value_kind kind) {
    switch (kind) {
    case AG_VALUE_U8:
    case AG_VALUE_U16:
    case AG_VALUE_U32:
    case AG_VALUE_U64:
        return "an unsigned integer";
    case AG_VALUE_I8:
    case AG_VALUE_I16:
    case AG_VALUE_I32:
    case AG_VALUE_I64:
        return "an integer";
    case AG_VALUE_F32:
    case AG_VALUE_F64:
        return "a number";
    case AG_VALUE_BOOL:
        return "a boolean";
    case AG_VALUE_STRING:
        return "a string";
    case AG_VALUE_ARRAY:
        return "an array";
    }
    return "a value of unknown kind";
}

static ag_code absent(const ag_source *s, const char *key, ag_err *err) {
    return ag_fail(err, AG_E_NOT_FOUND, "%s: key %s is missing", ag_source_path(s), key);
}

static ag_code wrong_kind(const ag_source *s, const char *key, const char *want, const ag_value *v,
                          ag_err *err) {
    return ag_fail(err, AG_E_FORMAT, "%s: key %s: expected %s, found %s", ag_source_path(s), key,
                   want, ag_value_kind_name(v->kind));
}

/* The value of an integer of any kind as a signed number; false when it is no integer or too big.
 */
static bool as_i64(const ag_value *v, int64_t *out) {
    switch (v->kind) {
    case AG_VALUE_U8:
    case AG_VALUE_U16:
    case AG_VALUE_U32:
    case AG_VALUE_U64:
    case AG_VALUE_BOOL:
        if (v->u > INT64_MAX)
            return false;
        *out = (int64_t)v->u;
        return true;
    case AG_VALUE_I8:
    case AG_VALUE_I16:
    case AG_VALUE_I32:
    case AG_VALUE_I64:
        *out = v->i;
        return true;
    case AG_VALUE_F32:
    case AG_VALUE_F64:
    case AG_VALUE_STRING:
    case AG_VALUE_ARRAY:
        break;
    }
    return false;
}

ag_code ag_source_get_u32(const ag_source *s, const char *key, uint32_t *out, ag_err *err) {
    const ag_value *v = ag_source_find(s, key);
    if (!v)
        return absent(s, key, err);
    int64_t x;
    if (!as_i64(v, &x))
        return wrong_kind(s, key, "an unsigned integer", v, err);
    if (x < 0 || x > UINT32_MAX)
        return ag_fail(err, AG_E_FORMAT, "%s: key %s is %lld, expected 0 to 4294967295",
                       ag_source_path(s), key, (long long)x);
    *out = (uint32_t)x;
    return AG_OK;
}

ag_code ag_source_get_f32(const ag_source *s, const char *key, float *out, ag_err *err) {
    const ag_value *v = ag_source_find(s, key);
    if (!v)
        return absent(s, key, err);
    int64_t x;
    if (v->kind == AG_VALUE_F32 || v->kind == AG_VALUE_F64)
        *out = (float)v->f;
    else if (as_i64(v, &x))
        *out = (float)x;
    else
        return wrong_kind(s, key, "a number", v, err);
    return AG_OK;
}

ag_code ag_source_get_bool(const ag_source *s, const char *key, bool *out, ag_err *err) {
    const ag_value *v = ag_source_find(s, key);
    if (!v)
        return absent(s, key, err);
    int64_t x;
    if (!as_i64(v, &x))
        return wrong_kind(s, key, "a boolean", v, err);
    *out = x != 0;
    return AG_OK;
}

ag_code ag_source_get_str(const ag_source *s, const char *key, ag_span *out, ag_err *err) {
    const ag_value *v = ag_source_find(s, key);
    if (!v)
        return absent(s, key, err);
    if (v->kind != AG_VALUE_STRING)
        return wrong_kind(s, key, "a string", v, err);
    *out = v->s;
    return AG_OK;
}

ag_code ag_source_opt_u32(const ag_source *s, const char *key, uint32_t *out, ag_err *err) {
    return ag_source_find(s, key) ? ag_source_get_u32(s, key, out, err) : AG_OK;
}
ag_code ag_source_opt_f32(const ag_source *s, const char *key, float *out, ag_err *err) {
    return ag_source_find(s, key) ? ag_source_get_f32(s, key, out, err) : AG_OK;
}
ag_code ag_source_opt_bool(const ag_source *s, const char *key, bool *out, ag_err *err) {
    return ag_source_find(s, key) ? ag_source_get_bool(s, key, out, err) : AG_OK;
}
ag_code ag_source_opt_str(const ag_source *s, const char *key, ag_span *out, ag_err *err) {
    return ag_source_find(s, key) ? ag_source_get_str(s, key, out, err) : AG_OK;
}

ag_span ag_value_next_str(const ag_value *array, size_t *at) {
    ag_cursor c = ag_cursor_of(array->a.bytes.p, array->a.bytes.n);
    c.at = *at;
    uint64_t n = ag_cursor_u64(&c);
    const uint8_t *s = ag_cursor_take(&c, n <= SIZE_MAX ? (size_t)n : SIZE_MAX);
    AG_ASSERT(s); /* checked when the file was opened */
    *at = c.at;
    return ag_span_of(s, (size_t)n);
}

int64_t ag_value_int(const ag_value *array, uint64_t i) {
    size_t each = ag_value_bytes((uint32_t)array->a.kind);
    ag_cursor c = ag_cursor_of(array->a.bytes.p + i * each, each);
    switch (array->a.kind) {
    case AG_VALUE_U8:
    case AG_VALUE_BOOL:
        return ag_cursor_u8(&c);
    case AG_VALUE_I8:
        return (int8_t)ag_cursor_u8(&c);
    case AG_VALUE_U16:
        return ag_cursor_u16(&c);
    case AG_VALUE_I16:
        return (int16_t)ag_cursor_u16(&c);
    case AG_VALUE_U32:
        return ag_cursor_u32(&c);
    case AG_VALUE_I32:
        return (int32_t)ag_cursor_u32(&c);
    case AG_VALUE_U64:
    case AG_VALUE_I64:
        return (int64_t)ag_cursor_u64(&c);
    case AG_VALUE_F32:
    case AG_VALUE_F64: {
        double f = ag_value_num(array, i); /* out of range, NaN: 0 */
        return f > -9e18 && f < 9e18 ? (int64_t)f : 0;
    }
    case AG_VALUE_STRING:
    case AG_VALUE_ARRAY:
        break;
    }
    return 0;
}

double ag_value_num(const ag_value *array, uint64_t i) {
    if (array->a.kind == AG_VALUE_F32) {
        float f;
        memcpy(&f, array->a.bytes.p + i * 4, sizeof f);
        return (double)f;
    }
    if (array->a.kind == AG_VALUE_F64) {
        double f;
        memcpy(&f, array->a.bytes.p + i * 8, sizeof f);
        return f;
    }
    return (double)ag_value_int(array, i);
}
