#include "routes/keys.h"

#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"

#define DIGEST_BYTES 32

typedef struct key {
    uint8_t digest[DIGEST_BYTES];
    ag_tenant tenant; /* its name is owned */
} key;

struct ag_keys {
    key *v; /* owned [n] */
    size_t n;
};

static void digest_of(ag_span text, uint8_t digest[DIGEST_BYTES]) {
    int failed = gnutls_hash_fast(GNUTLS_DIG_SHA256, text.p ? text.p : "", text.n, digest);
    AG_ASSERT(!failed); /* SHA-256 of bytes in memory cannot fail */
}

static const key *find(const ag_keys *k, const uint8_t digest[DIGEST_BYTES]) {
    const key *found = NULL;
    for (size_t i = 0; i < k->n; i++) /* all of them: how long it takes says nothing */
        if (gnutls_memcmp(k->v[i].digest, digest, DIGEST_BYTES) == 0)
            found = &k->v[i];
    return found;
}

const ag_tenant *ag_keys_find(const ag_keys *k, ag_span text) {
    uint8_t digest[DIGEST_BYTES];
    digest_of(text, digest);
    const key *found = find(k, digest);
    return found ? &found->tenant : NULL;
}

size_t ag_keys_n(const ag_keys *k) { return k->n; }

void ag_keys_free(ag_keys **pk) {
    ag_keys *k = *pk;
    if (!k)
        return;
    for (size_t i = 0; i < k->n; i++)
        ag_free((char *)k->v[i].tenant.name);
    ag_free(k->v);
    ag_free(k);
    *pk = NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

static ag_span trim(ag_span s) {
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = ag_span_sub(s, 1, s.n);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\r'))
        s.n--;
    return s;
}

static bool is_visible(ag_span s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n > 0;
}

/* The first word of a line, which then begins after it. */
static ag_span take_word(ag_span *line) {
    size_t end = 0;
    while (end < line->n && line->p[end] != ' ' && line->p[end] != '\t')
        end++;
    ag_span word = ag_span_sub(*line, 0, end);
    *line = trim(ag_span_sub(*line, end, line->n));
    return word;
}

/* "2", "0.5"; absent: 1. */
static bool parse_weight(ag_span word, float *weight) {
    char text[16], *end = text;
    *weight = 1;
    if (word.n == 0)
        return true;
    snprintf(text, sizeof text, "%.*s", AG_SPAN(word));
    *weight = strtof(text, &end);
    return word.n < sizeof text && end == text + word.n && *weight > 0 && *weight <= 1000;
}

/* "KEY", "NAME KEY" or "NAME KEY WEIGHT". The messages never show a key. */
static ag_code add_line(ag_keys *k, ag_span line, const char *path, size_t number, ag_err *err) {
    ag_span name = take_word(&line), secret = take_word(&line), share = take_word(&line);
    char own[32];
    float weight;
    if (secret.n == 0) {
        secret = name;
        snprintf(own, sizeof own, "key-%zu", number);
        name = ag_str(own);
    }
    if (!is_visible(secret) || !is_visible(name) || secret.n > 512 || name.n > 64 || line.n)
        return ag_fail(err, AG_E_ARG,
                       "%s:%zu: expected KEY, NAME KEY or NAME KEY WEIGHT, of visible characters "
                       "without blanks",
                       path, number);
    if (!parse_weight(share, &weight))
        return ag_fail(err, AG_E_ARG, "%s:%zu: the weight must be a number above 0, at most 1000",
                       path, number);
    key *v = ag_realloc(AG_ROOM_ROUTES, k->v, k->n + 1, sizeof *v);
    if (!v)
        return ag_fail(err, AG_E_NOMEM, "out of memory for %s", path);
    k->v = v;
    key *one = &v[k->n];
    digest_of(secret, one->digest);
    if (find(k, one->digest))
        return ag_fail(err, AG_E_ARG, "%s:%zu: this key stands there twice", path, number);
    one->tenant = (ag_tenant){ag_strndup(AG_ROOM_ROUTES, name.p, name.n), weight};
    if (!one->tenant.name)
        return ag_fail(err, AG_E_NOMEM, "out of memory for %s", path);
    k->n++;
    return AG_OK;
}

ag_code ag_keys_parse(ag_span text, const char *path, ag_keys **out, ag_err *err) {
    *out = NULL;
    ag_keys *k = ag_calloc(AG_ROOM_ROUTES, 1, sizeof *k);
    ag_code code = k ? AG_OK : ag_fail(err, AG_E_NOMEM, "out of memory for %s", path);
    for (size_t number = 1; text.n && !code; number++) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        ag_span line = trim(ag_span_sub(text, 0, n));
        text = ag_span_sub(text, end ? n + 1 : n, text.n);
        if (line.n && line.p[0] != '#')
            code = k->n < AG_MAX_KEYS
                       ? add_line(k, line, path, number, err)
                       : ag_fail(err, AG_E_LIMIT, "%s has more than %d keys", path, AG_MAX_KEYS);
    }
    if (!code && k->n == 0)
        code = ag_fail(err, AG_E_ARG, "%s holds no key", path);
    if (code)
        ag_keys_free(&k);
    *out = k;
    return code;
}

ag_code ag_keys_read(const char *path, ag_keys **out, ag_err *err) {
    *out = NULL;
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_ROUTES, AG_MAX_KEYS_BYTES);
    ag_code code = ag_file_read(path, &text, err);
    if (!code)
        code = ag_keys_parse(ag_buf_span(&text), path, out, err);
    if (text.p)
        memset(text.p, 0, text.n);
    ag_buf_deinit(&text);
    return code;
}
