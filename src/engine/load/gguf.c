/* Opening GGUF files, and finding the parts of a split set. */
#include "load/gguf.h"

#include <stdio.h>

#include "base/limits.h"
#include "load/source_parts.h"

#define SPLIT_TAIL_BYTES 20 /* "-00001-of-00003.gguf" */

bool ag_gguf_split_name(const char *path, size_t *prefix, uint32_t *no, uint32_t *count) {
    size_t n = strlen(path);
    if (n <= SPLIT_TAIL_BYTES)
        return false;
    const char *tail = path + n - SPLIT_TAIL_BYTES;
    unsigned a, b;
    int used = 0;
    if (sscanf(tail, "-%5u-of-%5u.gguf%n", &a, &b, &used) != 2 || used != SPLIT_TAIL_BYTES)
        return false;
    *prefix = n - SPLIT_TAIL_BYTES;
    *no = a;
    *count = b;
    return a >= 1 && a <= b && b <= AG_MAX_GGUF_SPLITS;
}

static ag_code open_split(ag_source *g, const char *path, size_t prefix, uint32_t count,
                          ag_err *err) {
    ag_buf name;
    ag_buf_init(&name, AG_ROOM_LOAD, 4096 + 32);
    ag_code code = AG_OK;
    for (uint32_t i = 1; i <= count && !code; i++) {
        name.n = 0;
        ag_buf_addf(&name, "%.*s-%05u-of-%05u.gguf", (int)prefix, path, i, count);
        const char *s = ag_buf_cstr(&name);
        code = ag_buf_check(&name, "the name of a split file", err);
        if (!code && !s)
            code = ag_fail(err, AG_E_NOMEM, "out of memory while opening %s", path);
        if (!code)
            code = ag_source_add_file(g, s, (ag_span){0}, err);
        if (code == AG_E_NOT_FOUND)
            ag_err_wrap(err, code, "part %u of %u of a split model is missing", i, count);
        if (!code)
            code = ag_gguf_parse_part(g, i - 1, err);
    }
    ag_buf_deinit(&name);
    uint32_t want = (uint32_t)g->n_tensors;
    if (!code)
        code = ag_source_opt_u32(g, "split.tensors.count", &want, err);
    if (!code && want != g->n_tensors)
        code = ag_fail(err, AG_E_FORMAT,
                       "%s: the split set should hold %u tensors, but its %u parts hold %zu", path,
                       want, count, g->n_tensors);
    return code;
}

static ag_code open_single(ag_source *g, const char *path, ag_err *err) {
    ag_code code = ag_source_add_file(g, path, (ag_span){0}, err);
    if (!code)
        code = ag_gguf_parse_part(g, 0, err);
    uint32_t count = 1;
    if (!code)
        code = ag_source_opt_u32(g, "split.count", &count, err);
    if (!code && count > 1)
        code = ag_fail(err, AG_E_FORMAT,
                       "%s: is one part of %u, but is not named NAME-00001-of-%05u.gguf, so the "
                       "others cannot be found; rename it",
                       path, count, count);
    return code;
}

ag_code ag_gguf_open(const char *path, ag_source **out, ag_err *err) {
    *out = NULL;
    ag_source *g;
    ag_code code = ag_source_new(path, "GGUF", &g, err);
    if (code)
        return code;
    size_t prefix;
    uint32_t no, count;
    if (ag_gguf_split_name(path, &prefix, &no, &count))
        code = open_split(g, path, prefix, count, err);
    else
        code = open_single(g, path, err);
    if (code) {
        ag_source_close(&g);
        return code;
    }
    *out = g;
    return AG_OK;
}

ag_code ag_gguf_open_bytes(const void *p, size_t n, ag_source **out, ag_err *err) {
    *out = NULL;
    ag_source *g;
    ag_code code = ag_source_new(NULL, "GGUF", &g, err);
    if (code)
        return code;
    code = ag_source_add_file(g, NULL, ag_span_of(p, n), err);
    if (!code)
        code = ag_gguf_parse_part(g, 0, err);
    if (code) {
        ag_source_close(&g);
        return code;
    }
    *out = g;
    return AG_OK;
}
