/* The configuration of `autoglm serve`: one table of keys, from which come parsing, ranges,
 * defaults, the names of environment variables, docs/config.md and the JSON schema.
 *
 * Values are taken in this order, later ones winning: the table's defaults, the YAML file, the
 * environment (AUTOGLM_SERVER_DRAIN_TIMEOUT for server.drain_timeout), settings of the command line
 * (--set server.drain_timeout=10s, and options such as --port). All mistakes are reported, each
 * with file, line and column.
 *
 * An ag_config is constant once loaded; a reload makes another one. Thread: any. */
#ifndef AG_CONFIG_CONFIG_H
#define AG_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

#define AG_CONFIG_BYTES  ((size_t)1 << 20) /* of a file */
#define AG_CONFIG_MODELS 256

typedef struct ag_config_list {
    const char *const *v; /* [n] */
    size_t n;
} ag_config_list;

/* A model that is served: an element of `models`. Zero, NULL: the engine's own default. */
typedef struct ag_config_model {
    const char *name, *path;
    ag_config_list aliases;
    const char *load; /* "start" or "lazy" */
    uint64_t idle_unload;
    uint64_t context, sequences, kv_tokens, batch_tokens;
    const char *kv_type, *dtype, *quantize, *device_map, *chat_template;
    const char *generation_config; /* "auto" or "none" */
} ag_config_model;

typedef struct ag_config {
    /* server */
    ag_config_list listen; /* "127.0.0.1:8000", "[::1]:8000", "unix:/run/autoglm.sock" */
    const char *api_key_file, *tls_cert, *tls_key;
    const char *cors_origin;
    ag_config_list hosts;        /* "ai.example.org", as in the header Host */
    const char *reasoning;       /* "inline", "split", "hidden" */
    const char *truncate_prompt; /* "none", "left", "right", "middle" */
    uint64_t head_bytes, body_bytes, max_headers, max_connections, max_per_address;
    uint64_t head_timeout, body_timeout, idle_timeout, send_timeout; /* ms, as all durations */
    uint64_t request_timeout, drain_delay, drain_timeout;
    bool supervise;
    const char *sandbox; /* "auto", "required", "off" */
    uint64_t stall_timeout;
    const char *flight_dir;
    /* log, metrics */
    const char *log_level, *log_format, *log_file;
    bool metrics, metrics_vllm_names;
    /* engine */
    uint64_t threads;
    const char *isa, *numa;
    double memory_fraction;
    uint64_t memory_bytes;
    uint64_t max_queued_requests, max_queued_tokens, itl_target, max_queue_time;
    const char *registry;
    const char *image_cache; /* a folder, or "off" */
    uint64_t image_cache_size;
    /* models */
    const ag_config_model *models; /* [n_models] */
    size_t n_models;

    ag_arena arena; /* owns everything above */
} ag_config;

typedef enum ag_config_kind {
    AG_CONFIG_BOOL,     /* bool: true, false (yes, no, on, off) */
    AG_CONFIG_COUNT,    /* uint64_t within [min, max] */
    AG_CONFIG_NUMBER,   /* double within [min, max] */
    AG_CONFIG_DURATION, /* uint64_t milliseconds: 250ms, 10s, 5m, 1h */
    AG_CONFIG_SIZE,     /* uint64_t bytes: 4096, 64KiB, 32MiB, 2GiB */
    AG_CONFIG_TEXT,     /* const char * */
    AG_CONFIG_PATH,     /* const char *; relative to the working directory */
    AG_CONFIG_CHOICE,   /* const char *, one of `choices` */
    AG_CONFIG_LEVELS,   /* const char *: "info", "warn,sched=debug" */
    AG_CONFIG_LIST,     /* ag_config_list: a YAML list, or text split at commas */
} ag_config_kind;

typedef struct ag_config_row {
    const char *key; /* "server.listen"; inside `models` "context". NULL ends a table */
    ag_config_kind kind;
    size_t at;           /* offset in ag_config or ag_config_model */
    const char *initial; /* the default, as it would be written; NULL: none */
    double min, max;     /* of COUNT, NUMBER, DURATION (ms) and SIZE */
    const char *choices; /* "f16 f32", of CHOICE */
    bool hot;            /* a reload applies it; else it needs a restart */
    const char *help;
} ag_config_row;

extern const ag_config_row ag_config_rows[];
extern const ag_config_row ag_config_model_rows[];

/* A setting from the command line. `key` is "server.listen", or "models[0].context". */
typedef struct ag_config_setting {
    const char *key, *value;
    const char *from;    /* how a mistake in it is named: "--port" */
    ag_config_list list; /* not empty: a list's elements as they are, in place of value */
} ag_config_setting;

typedef struct ag_config_sources {
    const char *file;                     /* NULL: no file */
    const char *(*env)(const char *name); /* NULL: no environment */
    const ag_config_setting *settings;    /* [n_settings], later ones win */
    size_t n_settings;
} ag_config_sources;

/* On failure *out is NULL, err has the first mistake and `mistakes` (may be NULL) all of them, a
 * line each. AG_E_ARG, AG_E_FORMAT, AG_E_NOT_FOUND, AG_E_IO, AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_config_load(const ag_config_sources *s, ag_config **out, ag_buf *mistakes,
                       ag_err *err) AG_MUST_USE;
void ag_config_free(ag_config **c);

/* Can this address, as in server.listen, be reached from this machine only? */
bool ag_config_is_local(const char *address);

/* Call `fn` for each key whose value differs, in the table's order; values as they would be
 * written. A model that came or went is told as "models[NAME]". */
void ag_config_diff(const ag_config *a, const ag_config *b,
                    void (*fn)(void *ctx, const char *key, const char *was, const char *now,
                               bool hot),
                    void *ctx);
/* The whole configuration as YAML, defaults included. */
void ag_config_print(const ag_config *c, ag_buf *out);
/* docs/config.md's tables, and a JSON schema (draft 2020-12) for editors. */
void ag_config_document(ag_buf *out);
void ag_config_schema(ag_buf *out);

#endif
