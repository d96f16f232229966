/* str() and repr() of every value, as Python prints them. */
#include <stdio.h>

#include "text/template/number.h"
#include "text/template/scope.h"

static void add_hex(tpl_builder *b, uint32_t cp, bool marked) {
    char text[16];
    int n = cp < 0x100     ? snprintf(text, sizeof text, "\\x%02x", cp)
            : cp < 0x10000 ? snprintf(text, sizeof text, "\\u%04x", cp)
                           : snprintf(text, sizeof text, "\\U%08x", cp);
    ag_tpl_add(b, text, (size_t)n, marked);
}

static const char *short_escape(uint32_t cp, char quote) {
    switch (cp) {
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    case '\\':
        return "\\\\";
    case '\'':
        return quote == '\'' ? "\\'" : NULL;
    default:
        return NULL;
    }
}

static void add_quoted(tpl_builder *b, const tpl_str *s) {
    char quote = memchr(s->p, '\'', s->n) && !memchr(s->p, '"', s->n) ? '"' : '\'';
    if (s->markup)
        ag_tpl_adds(b, "Markup(");
    ag_tpl_add(b, &quote, 1, false);
    size_t done = 0;
    for (size_t at = 0, n; at < s->n && !tpl_failed(b->r); at += n) {
        uint32_t cp = ag_tpl_cp(s, at, &n);
        const char *to = short_escape(cp, quote);
        if (!to && (cp < 0x80 ? cp >= 0x20 && cp < 0x7f : ag_tpl_cp_is(cp, TPL_CLASS_PRINTABLE)))
            continue;
        ag_tpl_add_part(b, s, done, at);
        if (to)
            ag_tpl_add(b, to, 2, tpl_marked_at(s, at));
        else
            add_hex(b, cp, tpl_marked_at(s, at));
        done = at + n;
    }
    ag_tpl_add_part(b, s, done, s->n);
    ag_tpl_add(b, &quote, 1, false);
    if (s->markup)
        ag_tpl_adds(b, ")");
}

static void add_items(tpl_run *r, tpl_builder *b, const tpl_list *l) {
    for (size_t i = 0; i < l->n && !tpl_failed(r); i++) {
        if (i)
            ag_tpl_adds(b, ", ");
        ag_tpl_add_repr(r, b, l->v[i]);
    }
}

static void add_dict(tpl_run *r, tpl_builder *b, const tpl_dict *d) {
    ag_tpl_adds(b, "{");
    for (size_t i = 0; i < d->n && !tpl_failed(r); i++) {
        if (i)
            ag_tpl_adds(b, ", ");
        ag_tpl_add_repr(r, b, d->e[i].key);
        ag_tpl_adds(b, ": ");
        ag_tpl_add_repr(r, b, d->e[i].value);
    }
    ag_tpl_adds(b, "}");
}

static void add_view(tpl_run *r, tpl_builder *b, tpl_value v) {
    static const char *const names[] = {"dict_keys([", "dict_values([", "dict_items(["};
    ag_tpl_adds(b, names[v.view->kind]);
    tpl_value items = ag_tpl_collect(r, v, TPL_LIST);
    if (!tpl_failed(r))
        add_items(r, b, items.l);
    ag_tpl_adds(b, "])");
}

static void add_int(tpl_builder *b, tpl_int i) {
    char text[TPL_NUMBER_TEXT];
    ag_tpl_add(b, text, ag_tpl_int_text(i, text), false);
}

static void add_range(tpl_builder *b, const tpl_range *g) {
    ag_tpl_adds(b, "range(");
    add_int(b, g->start);
    ag_tpl_adds(b, ", ");
    add_int(b, g->stop);
    if (g->step != 1) {
        ag_tpl_adds(b, ", ");
        add_int(b, g->step);
    }
    ag_tpl_adds(b, ")");
}

static void add_compound(tpl_run *r, tpl_builder *b, tpl_value v) {
    switch (v.kind) {
    case TPL_LIST:
        ag_tpl_adds(b, "[");
        add_items(r, b, v.l);
        ag_tpl_adds(b, "]");
        break;
    case TPL_TUPLE:
        ag_tpl_adds(b, "(");
        add_items(r, b, v.l);
        ag_tpl_adds(b, v.l->n == 1 ? ",)" : ")");
        break;
    case TPL_DICT:
        add_dict(r, b, v.d);
        break;
    case TPL_NAMESPACE:
        ag_tpl_adds(b, "<Namespace ");
        add_dict(r, b, v.d);
        ag_tpl_adds(b, ">");
        break;
    default:
        add_view(r, b, v);
    }
}

/* Things a template has no business printing; the reference shows addresses here. */
static void add_opaque(tpl_builder *b, tpl_value v) {
    if (v.kind == TPL_MACRO) {
        ag_tpl_adds(b, v.macro->node->name ? "<Macro '" : "<Macro anonymous");
        tpl_add_all(b, v.macro->node->name);
        ag_tpl_adds(b, v.macro->node->name ? "'>" : ">");
        return;
    }
    ag_tpl_adds(b, "<");
    ag_tpl_adds(b, ag_tpl_type_name(v));
    ag_tpl_adds(b, " object>");
}

void ag_tpl_add_repr(tpl_run *r, tpl_builder *b, tpl_value v) {
    char text[TPL_NUMBER_TEXT];
    if (!ag_tpl_spend(r, 1))
        return;
    switch (v.kind) {
    case TPL_UNDEFINED:
    case TPL_MISSING:
        ag_tpl_adds(b, "Undefined");
        break;
    case TPL_NONE:
        ag_tpl_adds(b, "None");
        break;
    case TPL_BOOL:
        ag_tpl_adds(b, v.b ? "True" : "False");
        break;
    case TPL_INT:
        add_int(b, v.i);
        break;
    case TPL_FLOAT:
        ag_tpl_add(b, text, ag_tpl_float_text(v.f, text), false);
        break;
    case TPL_STR:
        add_quoted(b, v.s);
        break;
    case TPL_RANGE:
        add_range(b, v.range);
        break;
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_DICT:
    case TPL_NAMESPACE:
    case TPL_VIEW:
        if (ag_tpl_enter(r)) {
            add_compound(r, b, v);
            tpl_leave(r);
        }
        break;
    default:
        add_opaque(b, v);
    }
}

void ag_tpl_add_str(tpl_run *r, tpl_builder *b, tpl_value v) {
    if (v.kind == TPL_STR)
        tpl_add_all(b, v.s);
    else if (v.kind != TPL_UNDEFINED && v.kind != TPL_MISSING)
        ag_tpl_add_repr(r, b, v);
}

const tpl_str *ag_tpl_to_str(tpl_run *r, tpl_value v) {
    if (v.kind == TPL_STR)
        return v.s;
    tpl_builder b = tpl_builder_of(r);
    ag_tpl_add_str(r, &b, v);
    return ag_tpl_built(&b);
}
