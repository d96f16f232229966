#include "config/value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_out.h"
#include "logs/logs.h"

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

/* Largest first, so that a value is written in the largest unit that holds it exactly. */
static const unit durations[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const unit sizes[] = {
    {"GiB", 1u << 30}, {"MiB", 1u << 20}, {"KiB", 1u << 10}, {"B", 1}, {NULL, 0}};

static ag_code check_range(const ag_config_row *row, double v, const char *text, ag_err *err) {
    if (v >= row->min && v <= row->max)
        return AG_OK;
    return ag_fail(err, AG_E_ARG, "%s is not within %.15g to %.15g%s", text, row->min, row->max,
                   row->kind == AG_CONFIG_DURATION ? " ms" : "");
}

/* Digits, and a unit where there are units. A number of bytes needs none, 0 neither. */
static ag_code parse_count(const ag_config_row *row, const char *text, const unit *units,
                           uint64_t *out, ag_err *err) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    bool digits = *text >= '0' && *text <= '9' && !errno;
    uint64_t factor = !*end && (!units || units == sizes || n == 0) ? 1 : 0;
    for (const unit *u = units; u && u->name; u++)
        if (!strcmp(end, u->name))
            factor = u->factor;
    if (!digits || !factor || n > UINT64_MAX / factor)
        return ag_fail(err, AG_E_ARG, "expected %s, found \"%.100s\"",
                       units == durations ? "a duration as 250ms, 10s, 5m or 1h"
                       : units == sizes   ? "a size as 4096, 64KiB, 32MiB or 2GiB"
                                          : "a whole number",
                       text);
    *out = (uint64_t)n * factor;
    return check_range(row, (double)*out, text, err);
}

static ag_code parse_bool(const char *text, bool *out, ag_err *err) {
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(text, words[i])) {
            *out = i % 2 == 1;
            return AG_OK;
        }
    return ag_fail(err, AG_E_ARG, "expected true or false, found \"%.100s\"", text);
}

static ag_code parse_number(const ag_config_row *row, const char *text, double *out, ag_err *err) {
    char *end;
    *out = strtod(text, &end);
    if (end == text || *end || !isfinite(*out))
        return ag_fail(err, AG_E_ARG, "expected a number, found \"%.100s\"", text);
    return check_range(row, *out, text, err);
}

static bool is_choice(const char *choices, const char *text) {
    size_t n = strlen(text);
    for (const char *at = choices; *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        if (len == n && memcmp(at, text, n) == 0)
            return true;
        at += len;
    }
    return false;
}

static ag_code keep_text(const char *text, const char **out, ag_arena *arena, ag_err *err) {
    *out = ag_arena_strndup(arena, text, strlen(text));
    return *out ? AG_OK : ag_fail(err, AG_E_NOMEM, "out of memory");
}

/* "a, b" → a list; no text, no elements. */
static ag_code split_list(const ag_config_row *row, const char *text, void *base, ag_arena *arena,
                          ag_err *err) {
    size_t n = 0, room = 1;
    for (const char *p = text; *p; p++)
        room += *p == ',';
    const char **items = ag_arena_array(arena, room, sizeof *items);
    if (!items)
        return ag_fail(err, AG_E_NOMEM, "out of memory");
    for (const char *at = text; *at;) {
        at += strspn(at, " ,");
        size_t len = strcspn(at, ","), kept = len;
        while (kept && at[kept - 1] == ' ')
            kept--;
        if (kept && !(items[n++] = ag_arena_strndup(arena, at, kept)))
            return ag_fail(err, AG_E_NOMEM, "out of memory");
        at += len;
    }
    *(ag_config_list *)((char *)base + row->at) = (ag_config_list){.v = items, .n = n};
    return AG_OK;
}

ag_code ag_config_value_set_list(const ag_config_row *row, const char *const *items, size_t n,
                                 void *base, ag_arena *arena, ag_err *err) {
    if (row->kind != AG_CONFIG_LIST)
        return ag_fail(err, AG_E_ARG, "expected one value, found a list");
    const char **kept = ag_arena_array(arena, n + 1, sizeof *kept);
    if (!kept)
        return ag_fail(err, AG_E_NOMEM, "out of memory");
    ag_code code = AG_OK;
    for (size_t i = 0; i < n && !code; i++)
        code = keep_text(items[i], &kept[i], arena, err);
    if (!code)
        *(ag_config_list *)((char *)base + row->at) = (ag_config_list){.v = kept, .n = n};
    return code;
}

ag_code ag_config_value_set(const ag_config_row *row, const char *text, void *base, ag_arena *arena,
                            ag_err *err) {
    void *at = (char *)base + row->at;
    ag_code code;
    switch (row->kind) {
    case AG_CONFIG_BOOL:
        return parse_bool(text, at, err);
    case AG_CONFIG_COUNT:
        return parse_count(row, text, NULL, at, err);
    case AG_CONFIG_DURATION:
        return parse_count(row, text, durations, at, err);
    case AG_CONFIG_SIZE:
        return parse_count(row, text, sizes, at, err);
    case AG_CONFIG_NUMBER:
        return parse_number(row, text, at, err);
    case AG_CONFIG_CHOICE:
        if (!is_choice(row->choices, text))
            return ag_fail(err, AG_E_ARG, "expected one of %s, found \"%.100s\"", row->choices,
                           text);
        return keep_text(text, at, arena, err);
    case AG_CONFIG_LEVELS:
        code = ag_logs_check_levels(text, err);
        return code ? code : keep_text(text, at, arena, err);
    case AG_CONFIG_TEXT:
    case AG_CONFIG_PATH:
        return keep_text(text, at, arena, err);
    case AG_CONFIG_LIST:
        return split_list(row, text, base, arena, err);
    }
    AG_NEVER();
}

ag_code ag_config_value_default(const ag_config_row *row, void *base, ag_arena *arena,
                                ag_err *err) {
    return row->initial ? ag_config_value_set(row, row->initial, base, arena, err) : AG_OK;
}

static void write_count(uint64_t v, const unit *units, ag_buf *out) {
    while (v % units->factor)
        units++;
    if (v == 0) /* 0s, 0B: the smallest unit of all divides it as well */
        units = units == durations ? &durations[2] : &sizes[3];
    ag_buf_addf(out, "%llu%s", (unsigned long long)(v / units->factor), units->name);
}

void ag_config_value_write(const ag_config_row *row, const void *base, ag_buf *out) {
    const void *at = (const char *)base + row->at;
    const ag_config_list *list = at;
    const char *text;
    switch (row->kind) {
    case AG_CONFIG_BOOL:
        ag_buf_adds(out, *(const bool *)at ? "true" : "false");
        return;
    case AG_CONFIG_COUNT:
        ag_buf_addf(out, "%llu", (unsigned long long)*(const uint64_t *)at);
        return;
    case AG_CONFIG_NUMBER:
        ag_buf_addf(out, "%.15g", *(const double *)at);
        return;
    case AG_CONFIG_DURATION:
        write_count(*(const uint64_t *)at, durations, out);
        return;
    case AG_CONFIG_SIZE:
        write_count(*(const uint64_t *)at, sizes, out);
        return;
    case AG_CONFIG_LIST:
        ag_buf_adds(out, "[");
        for (size_t i = 0; i < list->n; i++) {
            ag_buf_adds(out, i ? ", \"" : "\"");
            ag_json_escape(out, ag_str(list->v[i]));
            ag_buf_adds(out, "\"");
        }
        ag_buf_adds(out, "]");
        return;
    case AG_CONFIG_TEXT:
    case AG_CONFIG_PATH:
    case AG_CONFIG_CHOICE:
    case AG_CONFIG_LEVELS:
        text = *(const char *const *)at;
        if (!text) {
            ag_buf_adds(out, "null");
            return;
        }
        ag_buf_adds(out, "\"");
        ag_json_escape(out, ag_str(text));
        ag_buf_adds(out, "\"");
        return;
    }
    AG_NEVER();
}
