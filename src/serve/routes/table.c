#include "routes/table.h"

#include <stdio.h>
#include <string.h>

#define LARGE ((size_t)32 << 20) /* ten screenshots in base64, or a book */
#define SMALL ((size_t)4 << 10)  /* a body that nothing reads */

/* Rows with more letters around {} stand before those that would match the same path. */
const ag_route ag_route_table[] = {
    {"POST", "/v1/chat/completions", AG_MAY_INFER, LARGE, ag_route_chat},
    {"POST", "/v1/completions", AG_MAY_INFER, LARGE, ag_route_completions},
    {"POST", "/v1/embeddings", AG_MAY_INFER, LARGE, ag_route_embeddings},
    {"GET", "/v1/models", AG_MAY_LOOK, SMALL, ag_route_models},
    {"GET", "/v1/models/{}/ready", AG_MAY_LOOK, SMALL, ag_route_model_ready},
    {"GET", "/v1/models/{}", AG_MAY_LOOK, SMALL, ag_route_model},
    {"DELETE", "/v1/requests/{}", AG_MAY_USE, SMALL, ag_route_cancel},
    {"POST", "/tokenize", AG_MAY_USE, LARGE, ag_route_tokenize},
    {"POST", "/detokenize", AG_MAY_USE, LARGE, ag_route_detokenize},
    {"POST", "/apply-template", AG_MAY_USE, LARGE, ag_route_apply_template},
    {"GET", "/tokenizer_info", AG_MAY_LOOK, SMALL, ag_route_tokenizer_info},
    {"GET", "/health", AG_MAY_PROBE, SMALL, ag_route_health},
    {"GET", "/livez", AG_MAY_PROBE, SMALL, ag_route_live},
    {"GET", "/readyz", AG_MAY_PROBE, SMALL, ag_route_ready},
    {"GET", "/startupz", AG_MAY_PROBE, SMALL, ag_route_startup},
    {"GET", "/v2/health/live", AG_MAY_PROBE, SMALL, ag_route_live},
    {"GET", "/v2/health/ready", AG_MAY_PROBE, SMALL, ag_route_ready},
    {"GET", "/v2/models/{}/ready", AG_MAY_LOOK, SMALL, ag_route_model_infer_ready},
    {"GET", "/metrics", AG_MAY_LOOK, SMALL, ag_route_metrics},
    {"GET", "/version", AG_MAY_LOOK, SMALL, ag_route_version},
    {0},
};

bool ag_route_match(const char *pattern, const char *path, char *arg, size_t arg_bytes) {
    const char *hole = strstr(pattern, "{}");
    size_t n = strlen(path);
    if (!hole) {
        arg[0] = 0;
        return strcmp(pattern, path) == 0;
    }
    size_t before = (size_t)(hole - pattern), after = strlen(hole + 2);
    if (n <= before + after || n - before - after >= arg_bytes ||
        strncmp(path, pattern, before) != 0 || strcmp(path + n - after, hole + 2) != 0)
        return false;
    memcpy(arg, path + before, n - before - after);
    arg[n - before - after] = 0;
    return true;
}

static void allow_verb(const char *verb, char *allow, size_t bytes) {
    const char *more = strcmp(verb, "GET") == 0 ? ", HEAD" : "";
    size_t n = strlen(allow);
    if (!strstr(allow, verb))
        snprintf(allow + n, bytes - n, "%s%s%s", n ? ", " : "", verb, more);
}

const ag_route *ag_route_find(const char *verb, const char *path, char *arg, size_t arg_bytes,
                              char *allow, size_t allow_bytes) {
    allow[0] = 0;
    if (strcmp(verb, "HEAD") == 0)
        verb = "GET";
    for (const ag_route *r = ag_route_table; r->verb; r++) {
        if (!ag_route_match(r->path, path, arg, arg_bytes))
            continue;
        if (strcmp(verb, r->verb) == 0)
            return r;
        allow_verb(r->verb, allow, allow_bytes);
    }
    arg[0] = 0;
    return NULL;
}
