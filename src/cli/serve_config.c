/* Options are settings of the configuration by shorter names, so that there is one way in. */
#include <stdio.h>
#include <unistd.h>

#include "cli/engine.h"
#include "cli/input.h"
#include "cli/out.h"
#include "cli/registry.h"
#include "cli/serve.h"
#include "cli/settings.h"

#define MAX_SETTINGS (AG_CLI_MAX_LIST + 32)

typedef struct list {
    ag_arena arena; /* owns the values */
    ag_config_setting v[MAX_SETTINGS];
    size_t n;
    bool full; /* no memory */
    char address[300];
    const char *listen[1]; /* that address */
} list;

/* key = value, which came from an option. NULL: nothing. */
static void set(list *l, const char *key, const char *from, const char *value) {
    const char *kept = value ? ag_arena_strndup(&l->arena, value, strlen(value)) : NULL;
    l->full |= value && !kept;
    if (kept && l->n < MAX_SETTINGS)
        l->v[l->n++] = (ag_config_setting){.key = key, .value = kept, .from = from};
}

/* key = these elements, which live as long as the list. */
static void set_list(list *l, const char *key, const char *from, const char *const *v, size_t n) {
    if (n && l->n < MAX_SETTINGS)
        l->v[l->n++] = (ag_config_setting){.key = key, .list = {v, n}, .from = from};
}

static void set_number(list *l, const char *key, const char *from, double value, const char *unit) {
    char text[48];
    snprintf(text, sizeof text, "%.15g%s", value, unit);
    set(l, key, from, text);
}

/* The last part of the model's path, without ".gguf". */
static void name_of_path(const char *path, char *name, size_t room) {
    ag_span s = ag_str(path);
    while (s.n > 1 && s.p[s.n - 1] == '/')
        s.n--;
    for (size_t i = s.n; i-- > 0;)
        if (s.p[i] == '/') {
            s = ag_span_sub(s, i + 1, s.n);
            break;
        }
    if (ag_span_ends(s, ag_str(".gguf")))
        s.n -= 5;
    snprintf(name, room, "%.*s", AG_SPAN(s));
}

static void set_names(list *l, const ag_cli_args *a, const char *model) {
    char name[256];
    name_of_path(model, name, sizeof name);
    set(l, "models[0].name", "--model-name", a->model_names.n ? a->model_names.v[0] : name);
    if (a->model_names.n > 1)
        set_list(l, "models[0].aliases", "--model-name", a->model_names.v + 1,
                 a->model_names.n - 1);
}

/* The one model of -m. Where people read along, log lines are plain. */
static void set_model(list *l, const ag_cli_args *a, const char *model) {
    set(l, "models[0].path", "--model", model);
    set_names(l, a, model);
    if (a->ctx)
        set_number(l, "models[0].context", "--ctx", a->ctx, "");
    if (a->max_sequences)
        set_number(l, "models[0].sequences", "--max-sequences", a->max_sequences, "");
    if (a->batch_tokens)
        set_number(l, "models[0].batch_tokens", "--batch-tokens", a->batch_tokens, "");
    set(l, "models[0].kv_type", "--kv-type", a->kv_type);
    set(l, "models[0].dtype", "--dtype", a->dtype);
    set(l, "models[0].quantize", "--quantize", a->quantize);
    set(l, "models[0].device_map", "--device-map", a->device_map);
    set(l, "models[0].chat_template", "--chat-template", a->chat_template);
    set(l, "models[0].generation_config", "--generation-config", a->generation_config);
    if (ag_cli_is_terminal(STDERR_FILENO))
        set(l, "log.format", "-m", "text");
    if (a->verbose)
        set(l, "log.level", "--verbose", "debug");
}

static int set_engine(list *l, const ag_cli_args *a) {
    const char *tier = NULL;
    int status = ag_cli_tier(a, &tier);
    set(l, "engine.isa", "--isa", tier);
    set(l, "engine.numa", "--numa", a->numa);
    set(l, "engine.registry", "--registry", a->registry);
    set(l, "engine.image_cache", "--image-cache", a->image_cache);
    if (a->threads)
        set_number(l, "engine.threads", "--threads", a->threads, "");
    if (ag_cli_given(a, "memory-fraction"))
        set_number(l, "engine.memory_fraction", "--memory-fraction", a->memory_fraction, "");
    return status;
}

/* --host and --port as an address of server.listen. */
static void address_of(const ag_cli_args *a, char address[300]) {
    const char *host = a->host ? a->host : "127.0.0.1";
    bool v6 = strchr(host, ':') && host[0] != '[';
    if (!strncmp(host, "unix:", 5))
        snprintf(address, 300, "%.250s", host);
    else
        snprintf(address, 300, "%s%.250s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", a->port);
}

static void set_server(list *l, const ag_cli_args *a) {
    address_of(a, l->address);
    l->listen[0] = l->address;
    if (a->host || ag_cli_given(a, "port"))
        set_list(l, "server.listen", a->host ? "--host" : "--port", l->listen, 1);
    set(l, "server.api_key_file", "--api-key-file", a->api_key_file);
    set(l, "server.cors_origin", "--cors-origin", a->cors_origin);
    set(l, "server.reasoning", "--reasoning", a->reasoning);
    if (ag_cli_given(a, "drain-seconds"))
        set_number(l, "server.drain_timeout", "--drain-seconds", a->drain_seconds, "s");
}

/* Without keys only this machine may reach it; said in the options' words. */
static int check_door(const ag_cli_args *a) {
    char address[300];
    address_of(a, address);
    if (!a->host || a->api_key_file || a->config || ag_config_is_local(address))
        return AG_CLI_DONE;
    return ag_cli_usage("serve: without --api-key-file it listens on this machine's own address "
                        "only, not on %s",
                        a->host);
}

static int fill(list *l, const ag_cli_args *a) {
    const char *model = a->config ? NULL : ag_cli_model(a);
    if (a->config && a->model)
        return ag_cli_usage("serve: --config and --model exclude each other: the file names the "
                            "models");
    if (!a->config && !model)
        return AG_CLI_USAGE; /* told by ag_cli_model() */
    if (a->config && !strcmp(a->config, "-"))
        return ag_cli_usage(
            "serve: --config must be a file: it is read again by each server that is "
            "started, and at SIGHUP");
    if (model)
        set_model(l, a, model);
    int status = set_engine(l, a);
    set_server(l, a);
    if (status || (status = check_door(a)) || (status = ag_cli_settings(a, &l->arena, l->v + l->n)))
        return status;
    l->n += a->set.n;
    return AG_CLI_DONE;
}

/* Where nobody says which, it is that of the other commands. */
static bool usual(ag_config *c, const char **field, const char *path) {
    if (!*field && path)
        *field = ag_arena_strndup(&c->arena, path, strlen(path));
    return *field || !path;
}

static bool usual_places(const ag_cli_args *a, ag_config *c) {
    return usual(c, &c->registry, ag_cli_registry(a, NULL)) &&
           usual(c, &c->image_cache, ag_cli_image_cache(a));
}

int ag_cli_serve_config(const ag_cli_args *a, ag_config **out, ag_err *first) {
    static list l; /* a few KiB, once */
    ag_buf mistakes;
    *out = NULL;
    ag_fail(first, AG_E_ARG, "the options or the configuration have a mistake");
    l = (list){0};
    ag_arena_init(&l.arena, AG_ROOM_CLI, AG_CONFIG_BYTES);
    ag_buf_init(&mistakes, AG_ROOM_CLI, AG_CONFIG_BYTES);
    int status = fill(&l, a);
    if (!status) {
        ag_config_sources sources = {
            .file = a->config, .env = ag_cli_env, .settings = l.v, .n_settings = l.n};
        if (l.full)
            status = ag_cli_fail(&(ag_err){.code = AG_E_NOMEM, .msg = "out of memory"});
        else if (ag_config_load(&sources, out, &mistakes, first))
            status = ag_cli_tell_mistakes(&mistakes, first);
        else if (!usual_places(a, *out))
            status = ag_cli_fail(&(ag_err){.code = AG_E_NOMEM, .msg = "out of memory"});
    }
    if (!status && (*out)->n_models == 0)
        status = ag_cli_usage("serve: %s names no model", a->config);
    if (status)
        ag_config_free(out);
    ag_buf_deinit(&mistakes);
    ag_arena_deinit(&l.arena);
    return status;
}
