/* The filter tojson: Python's json.dumps with its options, byte for byte; and from_json. */
#include "text/template/filter.h"

#include <math.h>
#include <stdio.h>

#include "text/template/number.h"

typedef struct writer {
    tpl_run *r;
    tpl_builder b;
    bool ascii, sort, pretty;
    const tpl_str *indent, *between, *colon; /* `indent` when pretty */
} writer;

static void add_unicode_escape(writer *w, uint32_t unit, bool marked) {
    char text[8];
    ag_tpl_add(&w->b, text, (size_t)snprintf(text, sizeof text, "\\u%04x", unit & 0xffff), marked);
}

static void add_escaped(writer *w, uint32_t cp, bool marked) {
    static const char from[] = "\"\\\n\r\t\f\b", *const to = "\"\\nrtfb";
    const char *at = cp < 0x80 && cp ? strchr(from, (int)cp) : NULL;
    if (at) {
        char pair[2] = {'\\', to[at - from]};
        ag_tpl_add(&w->b, pair, 2, marked);
    } else if (cp >= 0x10000) {
        add_unicode_escape(w, 0xd800 + ((cp - 0x10000) >> 10), marked);
        add_unicode_escape(w, 0xdc00 + ((cp - 0x10000) & 0x3ff), marked);
    } else {
        add_unicode_escape(w, cp, marked);
    }
}

static void write_string(writer *w, const tpl_str *s) {
    ag_tpl_adds(&w->b, "\"");
    size_t done = 0;
    for (size_t at = 0, n; at < s->n && !tpl_failed(w->r); at += n) {
        uint32_t cp = ag_tpl_cp(s, at, &n);
        if (cp >= 0x20 && cp != '"' && cp != '\\' && !(w->ascii && cp >= 0x7f))
            continue;
        ag_tpl_add_part(&w->b, s, done, at);
        add_escaped(w, cp, tpl_marked_at(s, at));
        done = at + n;
    }
    ag_tpl_add_part(&w->b, s, done, s->n);
    ag_tpl_adds(&w->b, "\"");
}

static void write_float(writer *w, double f) {
    char text[TPL_NUMBER_TEXT];
    if (isnan(f) || isinf(f))
        ag_tpl_adds(&w->b, isnan(f) ? "NaN" : f < 0 ? "-Infinity" : "Infinity");
    else
        ag_tpl_add(&w->b, text, ag_tpl_float_text(f, text), false);
}

static void newline(writer *w, size_t level) {
    if (!w->pretty)
        return;
    ag_tpl_adds(&w->b, "\n");
    while (level-- && !tpl_failed(w->r))
        tpl_add_all(&w->b, w->indent);
}

static void write_value(writer *w, tpl_value v, size_t level);

static void write_list(writer *w, const tpl_list *l, size_t level) {
    ag_tpl_adds(&w->b, "[");
    for (size_t i = 0; i < l->n && !tpl_failed(w->r); i++) {
        if (i)
            tpl_add_all(&w->b, w->between);
        newline(w, level + 1);
        write_value(w, l->v[i], level + 1);
    }
    if (l->n)
        newline(w, level);
    ag_tpl_adds(&w->b, "]");
}

static void write_key(writer *w, tpl_value key) {
    switch (key.kind) {
    case TPL_STR:
        write_string(w, key.s);
        return;
    case TPL_NONE:
    case TPL_BOOL:
    case TPL_INT:
    case TPL_FLOAT:
        ag_tpl_adds(&w->b, "\"");
        write_value(w, key, 0);
        ag_tpl_adds(&w->b, "\"");
        return;
    default:
        ag_tpl_fail(w->r, "keys must be str, int, float, bool or None, not %s",
                    ag_tpl_type_name(key));
    }
}

static tpl_dict sorted_dict(tpl_run *r, const tpl_dict *d) {
    tpl_value *keys = ag_tpl_alloc(r, d->n, sizeof *keys);
    tpl_dict sorted = {.e = ag_tpl_alloc(r, d->n, sizeof *sorted.e)};
    if (!keys || !sorted.e)
        return sorted;
    for (size_t i = 0; i < d->n; i++)
        keys[i] = d->e[i].key;
    size_t *at = ag_tpl_sort(r, keys, d->n, false);
    if (!at)
        return sorted;
    for (size_t i = 0; i < d->n; i++)
        sorted.e[i] = d->e[at[i]];
    sorted.n = d->n;
    return sorted;
}

static void write_dict(writer *w, const tpl_dict *d, size_t level) {
    tpl_dict sorted;
    if (w->sort && d->n) {
        sorted = sorted_dict(w->r, d);
        d = &sorted;
    }
    ag_tpl_adds(&w->b, "{");
    for (size_t i = 0; i < d->n && !tpl_failed(w->r); i++) {
        if (i)
            tpl_add_all(&w->b, w->between);
        newline(w, level + 1);
        write_key(w, d->e[i].key);
        tpl_add_all(&w->b, w->colon);
        write_value(w, d->e[i].value, level + 1);
    }
    if (d->n)
        newline(w, level);
    ag_tpl_adds(&w->b, "}");
}

static void write_compound(writer *w, tpl_value v, size_t level) {
    if (!ag_tpl_enter(w->r))
        return;
    if (v.kind == TPL_DICT)
        write_dict(w, v.d, level);
    else
        write_list(w, v.l, level);
    tpl_leave(w->r);
}

static void write_value(writer *w, tpl_value v, size_t level) {
    char text[TPL_NUMBER_TEXT];
    if (!ag_tpl_spend(w->r, 1))
        return;
    switch (v.kind) {
    case TPL_NONE:
        ag_tpl_adds(&w->b, "null");
        break;
    case TPL_BOOL:
        ag_tpl_adds(&w->b, v.b ? "true" : "false");
        break;
    case TPL_INT:
        ag_tpl_add(&w->b, text, ag_tpl_int_text(v.i, text), false);
        break;
    case TPL_FLOAT:
        write_float(w, v.f);
        break;
    case TPL_STR:
        write_string(w, v.s);
        break;
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_DICT:
        write_compound(w, v, level);
        break;
    default:
        ag_tpl_fail(w->r, "Object of type %s is not JSON serializable", ag_tpl_type_name(v));
    }
}

/* indent=None gives one line, a number that many spaces, a string itself. */
static bool set_indent(writer *w, tpl_value v) {
    w->pretty = v.kind == TPL_STR || tpl_is_int(v);
    if (v.kind == TPL_STR) {
        w->indent = v.s;
    } else if (tpl_is_int(v)) {
        tpl_int n = tpl_to_int(v);
        tpl_builder b = tpl_builder_of(w->r);
        for (tpl_int i = 0; i < n && ag_tpl_spend(w->r, 1); i++)
            ag_tpl_adds(&b, " ");
        w->indent = ag_tpl_built(&b);
    } else if (v.kind != TPL_NONE && v.kind != TPL_MISSING) {
        ag_tpl_fail(w->r, "tojson: indent must be an integer or a string, not %s",
                    ag_tpl_type_name(v));
    }
    return !tpl_failed(w->r);
}

static bool set_separators(writer *w, tpl_value v) {
    if (v.kind == TPL_MISSING || v.kind == TPL_NONE) {
        w->between = ag_tpl_str(w->r, ", ", w->pretty ? 1 : 2, false);
        w->colon = ag_tpl_str(w->r, ": ", 2, false);
    } else if ((v.kind == TPL_TUPLE || v.kind == TPL_LIST) && v.l->n == 2 &&
               v.l->v[0].kind == TPL_STR && v.l->v[1].kind == TPL_STR) {
        w->between = v.l->v[0].s;
        w->colon = v.l->v[1].s;
    } else {
        ag_tpl_fail(w->r, "tojson: separators must be a pair of strings");
    }
    return !tpl_failed(w->r);
}

tpl_value ag_tpl_filter_tojson(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"ensure_ascii", "indent", "separators", "sort_keys", NULL};
    tpl_value a[4];
    if (!ag_tpl_bind(r, "tojson", args, names, 0, a))
        return tpl_undef();
    writer w = {.r = r, .b = tpl_builder_of(r)};
    w.ascii = ag_tpl_truth(a[0]);
    w.sort = ag_tpl_truth(a[3]);
    if (!set_indent(&w, a[1]) || !set_separators(&w, a[2]))
        return tpl_undef();
    write_value(&w, v, 0);
    return tpl_string(ag_tpl_built(&w.b));
}

tpl_value ag_tpl_filter_from_json(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {NULL};
    if (!ag_tpl_bind(r, "from_json", args, names, 0, NULL))
        return tpl_undef();
    if (v.kind != TPL_STR)
        return ag_tpl_fail(r, "from_json needs a string, not %s", ag_tpl_type_name(v));
    json_error_t why;
    json_t *json = json_loadb(v.s->p, v.s->n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!json)
        return ag_tpl_fail(r, "from_json: %s", why.text);
    tpl_value made = ag_tpl_from_json(r, json, v.s->taint != TPL_CLEAN);
    json_decref(json);
    return made;
}
