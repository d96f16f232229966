/* What a hub may send: the first byte says what the rest is. Anything is refused with a reason or
 * understood; paths that were understood stay below the folder. */
#include <stdint.h>
#include <stdlib.h>

#include "hub/choose.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void choose(ag_hub_listing *l, const char *want) {
    ag_hub_choice c;
    ag_err err = {0};
    ag_code code = ag_hub_choose(l, want, &c, &err);
    AG_ASSERT(code == err.code && (code == AG_OK) == (c.n > 0 && err.msg[0] == '\0'));
    for (size_t i = 0; i < c.n && !code; i++)
        AG_ASSERT(ag_hub_listing_find(l, ag_str(c.files[i]->path)) == c.files[i]);
}

static void read_list(ag_span json) {
    ag_hub_listing l;
    ag_err err = {0};
    ag_hub_listing_init(&l);
    ag_code code = ag_hub_listing_add(&l, json, &err);
    if (!code)
        code = ag_hub_listing_finish(&l, &err);
    AG_ASSERT((code == AG_OK) == (err.msg[0] == '\0'));
    for (size_t i = 0; !code && i < l.n; i++) {
        const char *path = l.files[i].path;
        AG_ASSERT(path[0] != '/' && strncmp(path, "../", 3) != 0 && !strstr(path, "/../") &&
                  strcmp(path, "..") != 0 && !strchr(path, '\\') && !strchr(path, '\n'));
        AG_ASSERT(l.files[i].sha256[0] || l.files[i].blob[0]);
    }
    if (!code) {
        choose(&l, "");
        choose(&l, "Q4_K_M");
        if (l.n)
            choose(&l, l.files[0].path);
    }
    ag_hub_listing_deinit(&l);
}

static void read_headers(const char *text) {
    char query[AG_HUB_MAX_QUERY + 1], sha256[AG_SHA256_TEXT];
    bool more = ag_hub_next_page(text, query);
    AG_ASSERT(more == (query[0] != '\0'));
    if (ag_hub_etag_sha256(text, sha256))
        AG_ASSERT(strlen(sha256) == AG_SHA256_TEXT - 1);
    if (ag_hub_etag_is_strong(text))
        AG_ASSERT(!strpbrk(text, "\r\n"));
    (void)ag_hub_range_is(text, 5, 10);
}

static void read_spec(const char *text) {
    ag_hub_spec spec;
    ag_err err = {0};
    ag_code code = ag_hub_spec_parse(text, &spec, &err);
    AG_ASSERT((code == AG_OK) == (err.msg[0] == '\0'));
    if (!code && spec.file[0])
        AG_ASSERT(ag_hub_is_path(ag_str(spec.file)));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    char commit[AG_HUB_SHA1_TEXT];
    if (n == 0)
        return 0;
    char *text = malloc(n);
    if (!text)
        return 0;
    memcpy(text, p + 1, n - 1);
    text[n - 1] = '\0';
    switch (p[0]) {
    case 'l':
        read_list(ag_span_of(text, n - 1));
        break;
    case 'r':
        if (ag_hub_read_commit(ag_span_of(text, n - 1), commit, NULL) == AG_OK)
            AG_ASSERT(ag_hub_is_hex(ag_str(commit), AG_HUB_SHA1_TEXT - 1));
        break;
    case 'h':
        read_headers(text);
        break;
    default:
        read_spec(text);
    }
    free(text);
    return 0;
}
