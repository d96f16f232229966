/* The configuration and its table, written for people, editors and logs. */
#include <stdio.h>

#include "base/json_out.h"
#include "base/mem.h"
#include "config/value.h"

/* ---- differences --------------------------------------------------------------------------------
 */

typedef void diff_fn(void *ctx, const char *key, const char *was, const char *now, bool hot);

static const ag_config_model *find_model(const ag_config *c, const char *name) {
    for (size_t i = 0; i < c->n_models; i++)
        if (!strcmp(c->models[i].name, name))
            return &c->models[i];
    return NULL;
}

static void diff_rows(const ag_config_row *rows, const void *a, const void *b, const char *prefix,
                      diff_fn *fn, void *ctx) {
    ag_buf was, now;
    ag_buf_init(&was, AG_ROOM_OPS, AG_CONFIG_BYTES);
    ag_buf_init(&now, AG_ROOM_OPS, AG_CONFIG_BYTES);
    for (; rows->key; rows++) {
        char key[300];
        was.n = now.n = 0;
        ag_config_value_write(rows, a, &was);
        ag_config_value_write(rows, b, &now);
        if (ag_span_eq(ag_buf_span(&was), ag_buf_span(&now)))
            continue;
        snprintf(key, sizeof key, "%s%s", prefix, rows->key);
        const char *from = ag_buf_cstr(&was), *to = ag_buf_cstr(&now);
        fn(ctx, key, from ? from : "?", to ? to : "?", rows->hot);
    }
    ag_buf_deinit(&was);
    ag_buf_deinit(&now);
}

void ag_config_diff(const ag_config *a, const ag_config *b, diff_fn *fn, void *ctx) {
    diff_rows(ag_config_rows, a, b, "", fn, ctx);
    char key[300];
    for (size_t i = 0; i < a->n_models; i++) {
        const ag_config_model *other = find_model(b, a->models[i].name);
        snprintf(key, sizeof key, "models[%.200s]%s", a->models[i].name, other ? "." : "");
        if (other)
            diff_rows(ag_config_model_rows, &a->models[i], other, key, fn, ctx);
        else
            fn(ctx, key, "served", "gone", false);
    }
    for (size_t i = 0; i < b->n_models; i++)
        if (!find_model(a, b->models[i].name)) {
            snprintf(key, sizeof key, "models[%.200s]", b->models[i].name);
            fn(ctx, key, "absent", "served", false);
        }
}

/* ---- YAML
 * ----------------------------------------------------------------------------------------
 */

/* Rows come grouped by section: "server.listen" opens "server:". */
static size_t section_length(const char *key) {
    const char *dot = strchr(key, '.');
    return dot ? (size_t)(dot - key) : 0;
}

static bool opens_section(const ag_config_row *rows, const ag_config_row *row) {
    size_t n = section_length(row->key);
    return n && (row == rows || strncmp(row[-1].key, row->key, n + 1) != 0);
}

void ag_config_print(const ag_config *c, ag_buf *out) {
    for (const ag_config_row *row = ag_config_rows; row->key; row++) {
        size_t n = section_length(row->key);
        if (opens_section(ag_config_rows, row))
            ag_buf_addf(out, "%.*s:\n", (int)n, row->key);
        ag_buf_addf(out, "  %s: ", row->key + n + 1);
        ag_config_value_write(row, c, out);
        ag_buf_addc(out, '\n');
    }
    ag_buf_adds(out, c->n_models ? "models:\n" : "models: []\n");
    for (size_t i = 0; i < c->n_models; i++)
        for (const ag_config_row *row = ag_config_model_rows; row->key; row++) {
            ag_buf_addf(out, "  %s %s: ", row == ag_config_model_rows ? "-" : " ", row->key);
            ag_config_value_write(row, &c->models[i], out);
            ag_buf_addc(out, '\n');
        }
}

/* ---- the reference page
 * --------------------------------------------------------------------------
 */

static const char *const kind_names[] = {
    [AG_CONFIG_BOOL] = "true or false", [AG_CONFIG_COUNT] = "whole number",
    [AG_CONFIG_NUMBER] = "number",      [AG_CONFIG_DURATION] = "duration",
    [AG_CONFIG_SIZE] = "size",          [AG_CONFIG_TEXT] = "text",
    [AG_CONFIG_PATH] = "path",          [AG_CONFIG_CHOICE] = "choice",
    [AG_CONFIG_LEVELS] = "levels",      [AG_CONFIG_LIST] = "list",
};

static void document_rows(const ag_config_row *rows, ag_buf *out) {
    ag_buf_adds(out, "| key | value | default | reload | what |\n|---|---|---|---|---|\n");
    for (; rows->key; rows++) {
        ag_buf_addf(out, "| `%s` | %s", rows->key, kind_names[rows->kind]);
        if (rows->choices)
            ag_buf_addf(out, ": %s", rows->choices);
        else if (rows->kind == AG_CONFIG_COUNT || rows->kind == AG_CONFIG_NUMBER)
            ag_buf_addf(out, ", %.15g to %.15g", rows->min, rows->max);
        ag_buf_addf(out, " | %s%s%s | %s | %s |\n", rows->initial ? "`" : "",
                    rows->initial ? rows->initial : "", rows->initial ? "`" : "",
                    rows->hot ? "yes" : "restart", rows->help);
    }
}

void ag_config_document(ag_buf *out) {
    ag_buf_adds(out, "## Server, log, metrics, engine\n\n");
    document_rows(ag_config_rows, out);
    ag_buf_adds(out, "\n## Elements of `models`\n\n");
    document_rows(ag_config_model_rows, out);
}

/* ---- the JSON schema
 * -----------------------------------------------------------------------------
 */

static void schema_type(const ag_config_row *row, ag_buf *out) {
    static const char *const patterns[] = {[AG_CONFIG_DURATION] = "^([0-9]+(ms|s|m|h)|0)$",
                                           [AG_CONFIG_SIZE] = "^[0-9]+(B|KiB|MiB|GiB)?$"};
    ag_json_key(out, "type");
    switch (row->kind) {
    case AG_CONFIG_BOOL:
        ag_json_str(out, "boolean");
        break;
    case AG_CONFIG_COUNT:
    case AG_CONFIG_NUMBER:
        ag_json_str(out, row->kind == AG_CONFIG_COUNT ? "integer" : "number");
        ag_json_key(out, "minimum"), ag_json_f64(out, row->min);
        ag_json_key(out, "maximum"), ag_json_f64(out, row->max);
        break;
    case AG_CONFIG_DURATION:
    case AG_CONFIG_SIZE:
        ag_json_raw(out, ag_str("[\"string\",\"integer\"]"));
        ag_json_key(out, "pattern"), ag_json_str(out, patterns[row->kind]);
        break;
    case AG_CONFIG_LIST:
        ag_json_raw(out, ag_str("[\"array\",\"string\"]"));
        ag_json_key(out, "items"), ag_json_raw(out, ag_str("{\"type\":\"string\"}"));
        break;
    case AG_CONFIG_CHOICE:
    case AG_CONFIG_TEXT:
    case AG_CONFIG_PATH:
    case AG_CONFIG_LEVELS:
        ag_json_str(out, "string");
        break;
    }
}

static void schema_property(const ag_config_row *row, ag_buf *out) {
    ag_json_key(out, row->key + (section_length(row->key) ? section_length(row->key) + 1 : 0));
    ag_json_open(out, '{');
    schema_type(row, out);
    if (row->choices) {
        ag_json_key(out, "enum"), ag_json_open(out, '[');
        for (const char *at = row->choices; *at; at += strspn(at, " ")) {
            size_t n = strcspn(at, " ");
            ag_json_text(out, ag_span_of(at, n));
            at += n;
        }
        ag_json_close(out, ']');
    }
    ag_json_key(out, "description"), ag_json_str(out, row->help);
    ag_json_close(out, '}');
}

static void open_properties(ag_buf *out) {
    ag_json_open(out, '{');
    ag_json_key(out, "type"), ag_json_str(out, "object");
    ag_json_key(out, "additionalProperties"), ag_json_bool(out, false);
    ag_json_key(out, "properties"), ag_json_open(out, '{');
}

static void close_properties(ag_buf *out) {
    ag_json_close(out, '}');
    ag_json_close(out, '}');
}

void ag_config_schema(ag_buf *out) {
    ag_json_open(out, '{');
    ag_json_key(out, "$schema"), ag_json_str(out, "https://json-schema.org/draft/2020-12/schema");
    ag_json_key(out, "title"), ag_json_str(out, "Configuration of autoglm serve");
    ag_json_key(out, "type"), ag_json_str(out, "object");
    ag_json_key(out, "additionalProperties"), ag_json_bool(out, false);
    ag_json_key(out, "properties"), ag_json_open(out, '{');
    for (const ag_config_row *row = ag_config_rows; row->key; row++) {
        if (opens_section(ag_config_rows, row)) {
            ag_json_key_text(out, ag_span_of(row->key, section_length(row->key)));
            open_properties(out);
        }
        schema_property(row, out);
        if (!row[1].key || opens_section(ag_config_rows, row + 1))
            close_properties(out);
    }
    ag_json_key(out, "models"), ag_json_open(out, '{');
    ag_json_key(out, "type"), ag_json_str(out, "array");
    ag_json_key(out, "items"), open_properties(out);
    for (const ag_config_row *row = ag_config_model_rows; row->key; row++)
        schema_property(row, out);
    ag_json_close(out, '}');
    ag_json_key(out, "required"), ag_json_raw(out, ag_str("[\"name\",\"path\"]"));
    ag_json_close(out, '}');
    ag_json_close(out, '}');
    close_properties(out);
}
