/* One GGUF file → keys and tensor records. Nothing is copied: spans point into the file.
 *
 * Laws: every count is checked against the bytes that are left before anything is allocated for it;
 * every tensor lies inside its file, is aligned, and has a size that matches its type and shape;
 * names are unique. */
#include "base/cursor.h"
#include "base/limits.h"
#include "load/source_parts.h"

typedef struct parser {
    ag_source *g;
    size_t part;
    const char *path;
    ag_cursor c;
    uint64_t alignment;
} parser;

static ag_code cut_short(const parser *p, const char *what, ag_err *err) {
    return ag_fail(err, AG_E_FORMAT,
                   "%s: the file ends inside %s (at byte %zu of %zu): it is truncated or damaged",
                   p->path, what, p->c.fail_at, p->c.n);
}

static ag_span take_string(ag_cursor *c) {
    uint64_t n = ag_cursor_u64(c);
    if (n > SIZE_MAX / 2)
        n = SIZE_MAX / 2; /* cannot be there; makes take() fail at the right offset */
    const uint8_t *s = ag_cursor_take(c, (size_t)n);
    return s ? ag_span_of(s, (size_t)n) : (ag_span){0};
}

static void take_scalar(ag_cursor *c, ag_value *v) {
    switch (v->kind) {
    case AG_VALUE_U8:
        v->u = ag_cursor_u8(c);
        break;
    case AG_VALUE_BOOL:
        v->u = ag_cursor_u8(c) != 0;
        break;
    case AG_VALUE_I8:
        v->i = (int8_t)ag_cursor_u8(c);
        break;
    case AG_VALUE_U16:
        v->u = ag_cursor_u16(c);
        break;
    case AG_VALUE_I16:
        v->i = (int16_t)ag_cursor_u16(c);
        break;
    case AG_VALUE_U32:
        v->u = ag_cursor_u32(c);
        break;
    case AG_VALUE_I32:
        v->i = (int32_t)ag_cursor_u32(c);
        break;
    case AG_VALUE_F32:
        v->f = (double)ag_cursor_f32(c);
        break;
    case AG_VALUE_U64:
        v->u = ag_cursor_u64(c);
        break;
    case AG_VALUE_I64:
        v->i = (int64_t)ag_cursor_u64(c);
        break;
    case AG_VALUE_F64: {
        uint64_t u = ag_cursor_u64(c);
        memcpy(&v->f, &u, sizeof v->f);
        break;
    }
    case AG_VALUE_STRING:
    case AG_VALUE_ARRAY:
        AG_NEVER();
    }
}

static ag_code take_array(parser *p, ag_span key, ag_value *v, ag_err *err) {
    size_t at = p->c.at;
    uint32_t kind = ag_cursor_u32(&p->c);
    uint64_t n = ag_cursor_u64(&p->c);
    if (p->c.failed)
        return cut_short(p, "an array", err);
    v->a.kind = (ag_value_kind)kind;
    v->a.n = n;
    size_t from = p->c.at, each = ag_value_bytes(kind);
    if (each) {
        if (n > SIZE_MAX / each)
            n = SIZE_MAX / each;
        ag_cursor_take(&p->c, (size_t)n * each);
    } else if (kind == AG_VALUE_STRING) {
        for (uint64_t i = 0; i < n && !p->c.failed; i++)
            take_string(&p->c);
    } else {
        return ag_fail(err, AG_E_FORMAT, "%s: key %.*s is an array of kind %u (at byte %zu), %s",
                       p->path, AG_SPAN(key), kind, at,
                       kind == AG_VALUE_ARRAY ? "and nested arrays are not supported"
                                              : "which does not exist");
    }
    v->a.bytes = ag_span_of(p->c.p + from, p->c.at - from);
    return AG_OK;
}

static ag_code take_value(parser *p, ag_span key, ag_value *v, ag_err *err) {
    size_t at = p->c.at;
    uint32_t kind = ag_cursor_u32(&p->c);
    if (p->c.failed)
        return cut_short(p, "the keys", err);
    v->kind = (ag_value_kind)kind;
    if (kind == AG_VALUE_STRING)
        v->s = take_string(&p->c);
    else if (kind == AG_VALUE_ARRAY)
        return take_array(p, key, v, err);
    else if (ag_value_bytes(kind))
        take_scalar(&p->c, v);
    else
        return ag_fail(err, AG_E_FORMAT,
                       "%s: key %.*s has kind %u (at byte %zu), which does not exist", p->path,
                       AG_SPAN(key), kind, at);
    return AG_OK;
}

/* Keys of parts after the first say only which part they are: read over, not kept. */
static ag_code parse_keys(parser *p, uint64_t n, ag_err *err) {
    ag_source *g = p->g;
    bool keep = p->part == 0;
    for (uint64_t i = 0; i < n; i++) {
        ag_source_key key = {.name = take_string(&p->c)};
        ag_code code = take_value(p, key.name, &key.value, err);
        if (!code && p->c.failed)
            code = cut_short(p, "the keys", err);
        if (code)
            return code;
        if (ag_span_is(key.name, "general.alignment") && key.value.kind == AG_VALUE_U32)
            p->alignment = key.value.u;
        if (!keep)
            continue;
        code = ag_source_add_key(g, key.name, key.value, err);
        if (code)
            return code;
    }
    if (p->alignment == 0 || p->alignment > 65536 || (p->alignment & (p->alignment - 1)))
        return ag_fail(err, AG_E_FORMAT,
                       "%s: general.alignment is %llu, expected a power of two up to 65536",
                       p->path, (unsigned long long)p->alignment);
    return AG_OK;
}

/* Elements → bytes, with every factor checked. */
static ag_code measure(const parser *p, ag_tensor *t, uint32_t type, ag_err *err) {
    const ag_type_info *info = ag_type_find(type);
    if (!info)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "%s: tensor %.*s has type %u, which this build does not know; supported: %s",
                       p->path, AG_SPAN(t->name), type, ag_type_supported());
    t->type = t->keep = (ag_type)type;
    uint64_t elements = 1;
    for (int d = 0; d < t->n_dims; d++) {
        if (t->dim[d] == 0 || t->dim[d] > AG_MAX_DIM ||
            __builtin_mul_overflow(elements, t->dim[d], &elements) || elements > (uint64_t)1 << 48)
            return ag_fail(err, AG_E_FORMAT, "%s: tensor %.*s has dim[%d]=%llu, out of range",
                           p->path, AG_SPAN(t->name), d, (unsigned long long)t->dim[d]);
    }
    if (t->dim[0] % info->block)
        return ag_fail(err, AG_E_FORMAT,
                       "%s: tensor %.*s has rows of %llu elements, not a multiple of the %u in a "
                       "block of %s",
                       p->path, AG_SPAN(t->name), (unsigned long long)t->dim[0], info->block,
                       info->name);
    t->bytes = (size_t)(elements / info->block * info->bytes);
    return AG_OK;
}

static ag_code parse_tensor(parser *p, ag_tensor *t, ag_err *err) {
    *t = (ag_tensor){.file = (int)p->part, .dim = {1, 1, 1, 1}};
    t->name = take_string(&p->c);
    uint32_t n_dims = ag_cursor_u32(&p->c);
    if (!p->c.failed && (n_dims < 1 || n_dims > 4))
        return ag_fail(err, AG_E_FORMAT, "%s: tensor %.*s has %u dimensions, expected 1 to 4",
                       p->path, AG_SPAN(t->name), n_dims);
    t->n_dims = p->c.failed ? 1 : (int)n_dims;
    for (int d = 0; d < t->n_dims; d++)
        t->dim[d] = ag_cursor_u64(&p->c);
    uint32_t type = ag_cursor_u32(&p->c);
    t->file_at = ag_cursor_u64(&p->c); /* relative until the data section's start is known */
    if (p->c.failed)
        return cut_short(p, "the tensor list", err);
    return measure(p, t, type, err);
}

/* Offsets become addresses once the start of the data section is known. */
static ag_code place_tensors(parser *p, size_t first, ag_err *err) {
    ag_source *g = p->g;
    uint64_t base = (p->c.at + p->alignment - 1) / p->alignment * p->alignment;
    for (size_t i = first; i < g->n_tensors; i++) {
        ag_tensor *t = &g->tensors[i];
        uint64_t rel = t->file_at;
        if (rel % p->alignment)
            return ag_fail(err, AG_E_FORMAT,
                           "%s: tensor %.*s begins at data offset %llu, not a multiple of %llu",
                           p->path, AG_SPAN(t->name), (unsigned long long)rel,
                           (unsigned long long)p->alignment);
        if (base > p->c.n || rel > p->c.n - base || t->bytes > p->c.n - base - rel)
            return ag_fail(err, AG_E_FORMAT,
                           "%s: tensor %.*s needs bytes %llu to %llu, but the file has %zu: it is "
                           "truncated or damaged",
                           p->path, AG_SPAN(t->name), (unsigned long long)(base + rel),
                           (unsigned long long)(base + rel + t->bytes), p->c.n);
        t->file_at = base + rel;
        t->data = p->c.p + t->file_at;
    }
    return AG_OK;
}

static ag_code parse_tensors(parser *p, uint64_t n, ag_err *err) {
    ag_source *g = p->g;
    size_t first = g->n_tensors;
    for (uint64_t i = 0; i < n; i++) {
        ag_tensor t;
        ag_code code = parse_tensor(p, &t, err);
        if (!code)
            code = ag_source_add_tensor(g, &t, err);
        if (code)
            return code;
    }
    return place_tensors(p, first, err);
}

static ag_code parse_head(parser *p, uint64_t *n_tensors, uint64_t *n_keys, ag_err *err) {
    const uint8_t *magic = ag_cursor_take(&p->c, 4);
    if (!magic || memcmp(magic, "GGUF", 4) != 0)
        return ag_fail(err, AG_E_FORMAT,
                       "%s: not a GGUF file (it should begin with \"GGUF\"); if it is a download, "
                       "fetch it again",
                       p->path);
    uint32_t version = ag_cursor_u32(&p->c);
    *n_tensors = ag_cursor_u64(&p->c);
    *n_keys = ag_cursor_u64(&p->c);
    if (p->c.failed)
        return cut_short(p, "the header", err);
    if (version != 2 && version != 3)
        return ag_fail(err, AG_E_UNSUPPORTED, "%s: GGUF version %u; supported: 2 and 3%s", p->path,
                       version,
                       version > 0xffff ? " (little-endian: this file may be big-endian)" : "");
    size_t left = p->c.n - p->c.at;
    if (*n_keys > AG_MAX_GGUF_KEYS || *n_keys > left / 13)
        return ag_fail(err, AG_E_FORMAT, "%s: the header claims %llu keys, more than can be there",
                       p->path, (unsigned long long)*n_keys);
    if (*n_tensors > AG_MAX_GGUF_TENSORS || *n_tensors > left / 32)
        return ag_fail(err, AG_E_FORMAT,
                       "%s: the header claims %llu tensors, more than can be there", p->path,
                       (unsigned long long)*n_tensors);
    if (p->part == 0)
        p->g->format = version == 2 ? "GGUF 2" : "GGUF 3";
    return AG_OK;
}

ag_code ag_gguf_parse_part(ag_source *g, size_t i, ag_err *err) {
    const ag_source_file *part = &g->files[i];
    parser p = {
        .g = g,
        .part = i,
        .path = part->path ? part->path : "(memory)",
        .c = ag_cursor_of(part->bytes.p, part->bytes.n),
        .alignment = 32,
    };
    uint64_t n_tensors = 0, n_keys = 0;
    ag_code code = parse_head(&p, &n_tensors, &n_keys, err);
    if (!code)
        code = parse_keys(&p, n_keys, err);
    if (!code)
        code = parse_tensors(&p, n_tensors, err);
    return code;
}
