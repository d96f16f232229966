#include "hub/listing.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"

void ag_hub_listing_init(ag_hub_listing *l) {
    *l = (ag_hub_listing){0};
    ag_arena_init(&l->arena, AG_ROOM_HUB, AG_MAX_HUB_NAMES);
}

void ag_hub_listing_deinit(ag_hub_listing *l) {
    ag_free(l->files);
    ag_arena_deinit(&l->arena);
    *l = (ag_hub_listing){0};
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static ag_code parse(ag_span text, const char *what, json_t **out, ag_err *err) {
    json_error_t where;
    *out = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &where);
    if (*out)
        return AG_OK;
    if (json_error_code(&where) == json_error_out_of_memory)
        return ag_fail(err, AG_E_NOMEM, "out of memory while reading %s", what);
    return ag_fail(err, AG_E_FORMAT, "%s is not valid JSON at line %d: %s", what, where.line,
                   where.text);
}

static ag_span text_of(const json_t *v) {
    return json_is_string(v) ? ag_span_of(json_string_value(v), json_string_length(v))
                             : (ag_span){0};
}

/* A size that may be a file's; false when it is not a number or out of bounds. */
static bool size_of(const json_t *v, uint64_t *bytes) {
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < 0 || (uint64_t)n > AG_MAX_HUB_FILE_BYTES)
        return false;
    *bytes = (uint64_t)n;
    return true;
}

static ag_code refuse(ag_span path, const char *why, ag_err *err) {
    return ag_fail(err, AG_E_FORMAT, "the hub's list of files: \"%.*s\" %s",
                   (int)(path.n < 150 ? path.n : 150), path.p ? path.p : "", why);
}

/* ---- entries --------------------------------------------------------------------------------- */

/* Where it is kept apart from git (LFS), the digest is the content's SHA-256. */
static ag_code read_digest(const json_t *entry, ag_span path, ag_hub_file *f, ag_err *err) {
    const json_t *lfs = json_object_get(entry, "lfs");
    uint64_t bytes;
    if (json_is_object(lfs)) {
        ag_span oid = text_of(json_object_get(lfs, "oid"));
        if (!ag_hub_is_hex(oid, AG_SHA256_TEXT - 1))
            return refuse(path, "has no SHA-256", err);
        if (!size_of(json_object_get(lfs, "size"), &bytes) || bytes != f->bytes)
            return refuse(path, "has two sizes", err);
        memcpy(f->sha256, oid.p, oid.n);
        return AG_OK;
    }
    ag_span oid = text_of(json_object_get(entry, "oid"));
    if (!ag_hub_is_hex(oid, AG_HUB_SHA1_TEXT - 1))
        return refuse(path, "has no digest", err);
    memcpy(f->blob, oid.p, oid.n);
    return AG_OK;
}

static ag_code grow(ag_hub_listing *l, ag_err *err) {
    if (l->n >= AG_MAX_HUB_FILES)
        return ag_fail(err, AG_E_LIMIT, "the hub lists more than %u files", AG_MAX_HUB_FILES);
    if (l->n < l->room)
        return AG_OK;
    size_t room = l->room ? l->room * 2 : 64;
    ag_hub_file *more = ag_realloc(AG_ROOM_HUB, l->files, room, sizeof *more);
    if (!more)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a list of %zu files", room);
    l->files = more;
    l->room = room;
    return AG_OK;
}

static ag_code add_entry(ag_hub_listing *l, const json_t *entry, ag_err *err) {
    ag_hub_file f = {0};
    if (!json_is_object(entry))
        return ag_fail(err, AG_E_FORMAT, "the hub's list of files holds something else");
    if (!ag_span_is(text_of(json_object_get(entry, "type")), "file"))
        return AG_OK; /* folders */
    ag_span path = text_of(json_object_get(entry, "path"));
    if (!ag_hub_is_path(path))
        return refuse(path, "is no name that a file may get here", err);
    if (!size_of(json_object_get(entry, "size"), &f.bytes))
        return refuse(path, "has no size", err);
    ag_code code = read_digest(entry, path, &f, err);
    if (!code)
        code = grow(l, err);
    if (code)
        return code;
    f.path = ag_arena_strndup(&l->arena, path.p, path.n);
    if (!f.path)
        return ag_fail(err, AG_E_LIMIT, "the names of the hub's files take too much memory");
    l->files[l->n++] = f;
    return AG_OK;
}

ag_code ag_hub_listing_add(ag_hub_listing *l, ag_span json, ag_err *err) {
    json_t *page;
    ag_code code = parse(json, "the hub's list of files", &page, err);
    if (code)
        return code;
    if (!json_is_array(page))
        code = ag_fail(err, AG_E_FORMAT, "the hub's list of files is no list");
    for (size_t i = 0; !code && i < json_array_size(page); i++)
        code = add_entry(l, json_array_get(page, i), err);
    json_decref(page);
    return code;
}

static int by_path(const void *a, const void *b) {
    const ag_hub_file *x = a, *y = b;
    return strcmp(x->path, y->path);
}

ag_code ag_hub_listing_finish(ag_hub_listing *l, ag_err *err) {
    if (l->n > 1)
        qsort(l->files, l->n, sizeof *l->files, by_path);
    for (size_t i = 1; i < l->n; i++)
        if (strcmp(l->files[i - 1].path, l->files[i].path) == 0)
            return refuse(ag_str(l->files[i].path), "occurs twice", err);
    return AG_OK;
}

const ag_hub_file *ag_hub_listing_find(const ag_hub_listing *l, ag_span path) {
    size_t from = 0, to = l->n;
    while (from < to) {
        size_t at = from + (to - from) / 2;
        ag_span here = ag_str(l->files[at].path);
        size_t n = here.n < path.n ? here.n : path.n;
        int order = n ? memcmp(here.p, path.p, n) : 0;
        if (order == 0 && here.n == path.n)
            return &l->files[at];
        if (order < 0 || (order == 0 && here.n < path.n))
            from = at + 1;
        else
            to = at;
    }
    return NULL;
}

ag_code ag_hub_read_commit(ag_span json, char commit[AG_HUB_SHA1_TEXT], ag_err *err) {
    json_t *info;
    commit[0] = '\0';
    ag_code code = parse(json, "the hub's answer about the repository", &info, err);
    if (code)
        return code;
    ag_span sha = text_of(json_object_get(info, "sha"));
    if (ag_hub_is_hex(sha, AG_HUB_SHA1_TEXT - 1)) {
        memcpy(commit, sha.p, sha.n);
        commit[sha.n] = '\0';
    } else {
        code = ag_fail(err, AG_E_FORMAT, "the hub's answer about the repository names no commit");
    }
    json_decref(info);
    return code;
}

/* ---- headers --------------------------------------------------------------------------------- */

static ag_span trimmed(ag_span s) {
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = ag_span_sub(s, 1, s.n);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Is one of the parameters behind an address rel=next? RFC 8288, section 3. */
static bool is_next(ag_span params) {
    while (params.n) {
        size_t end = ag_span_find(params, ag_str(";"), 0);
        ag_span one = trimmed(ag_span_sub(params, 0, end));
        params = end == SIZE_MAX ? (ag_span){0} : ag_span_sub(params, end + 1, params.n);
        if (ag_span_is(one, "rel=\"next\"") || ag_span_is(one, "rel=next"))
            return true;
    }
    return false;
}

static bool take_query(ag_span url, char query[AG_HUB_MAX_QUERY + 1]) {
    size_t mark = ag_span_find(url, ag_str("?"), 0);
    ag_span q = mark == SIZE_MAX ? (ag_span){0} : ag_span_sub(url, mark + 1, url.n);
    if (q.n == 0 || q.n > AG_HUB_MAX_QUERY)
        return false;
    for (size_t i = 0; i < q.n; i++)
        if ((unsigned char)q.p[i] <= 0x20 || (unsigned char)q.p[i] >= 0x7f || q.p[i] == '#')
            return false;
    memcpy(query, q.p, q.n);
    query[q.n] = '\0';
    return true;
}

bool ag_hub_next_page(const char *link, char query[AG_HUB_MAX_QUERY + 1]) {
    ag_span s = ag_str(link);
    query[0] = '\0';
    for (;;) { /* <address>; parameter; parameter, <address>; ... */
        size_t open = ag_span_find(s, ag_str("<"), 0);
        if (open == SIZE_MAX)
            return false;
        size_t close = ag_span_find(s, ag_str(">"), open);
        if (close == SIZE_MAX)
            return false;
        size_t end = ag_span_find(s, ag_str(",<"), close),
               end2 = ag_span_find(s, ag_str(", <"), close);
        if (end2 < end)
            end = end2;
        if (is_next(ag_span_sub(s, close + 1, end)))
            return take_query(ag_span_sub(s, open + 1, close), query);
        if (end == SIZE_MAX)
            return false;
        s = ag_span_sub(s, end + 1, s.n);
    }
}

bool ag_hub_etag_sha256(const char *etag, char sha256[AG_SHA256_TEXT]) {
    ag_span s = ag_str(etag);
    if (ag_span_starts(s, ag_str("W/")))
        s = ag_span_sub(s, 2, s.n);
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        s = ag_span_sub(s, 1, s.n - 1);
    if (!ag_hub_is_hex(s, AG_SHA256_TEXT - 1))
        return false;
    memcpy(sha256, s.p, s.n);
    sha256[s.n] = '\0';
    return true;
}

bool ag_hub_etag_is_strong(const char *etag) {
    size_t n = strlen(etag);
    if (n < 3 || n > 200 || etag[0] != '"' || etag[n - 1] != '"')
        return false;
    for (size_t i = 1; i < n - 1; i++)
        if ((unsigned char)etag[i] <= 0x20 || (unsigned char)etag[i] >= 0x7f || etag[i] == '"')
            return false;
    return true;
}

bool ag_hub_range_is(const char *content_range, uint64_t from, uint64_t total) {
    char want[96];
    if (total == 0 || from >= total)
        return false;
    snprintf(want, sizeof want, "bytes %llu-%llu/", (unsigned long long)from,
             (unsigned long long)(total - 1));
    ag_span s = ag_str(content_range);
    if (!ag_span_starts(s, ag_str(want)))
        return false;
    ag_span rest = ag_span_sub(s, strlen(want), s.n);
    snprintf(want, sizeof want, "%llu", (unsigned long long)total);
    return ag_span_is(rest, want) || ag_span_is(rest, "*");
}
