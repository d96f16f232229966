#include "config/yaml.h"

#include <yaml.h>

#include "base/mem.h"

/* The containers that are open, innermost last. `key` waits for its value in a map. */
typedef struct level {
    ag_yaml_node *node;
    ag_yaml_node **tail; /* where the next child goes */
    const char *key;
    int key_line, key_column;
} level;

typedef struct reader {
    yaml_parser_t parser;
    const char *name;
    ag_arena *arena;
    ag_err *err;
    level levels[AG_YAML_DEPTH];
    int depth;
    size_t n_nodes;
    ag_yaml_node *root;
} reader;

static ag_code refuse(const reader *r, const yaml_mark_t *at, const char *what) {
    return ag_fail(r->err, AG_E_FORMAT, "%s:%zu:%zu: %s", r->name, at->line + 1, at->column + 1,
                   what);
}

static ag_code no_memory(const reader *r) {
    return ag_fail(r->err, AG_E_NOMEM, "%s: out of memory", r->name);
}

/* A scalar where a map wants a key. */
static ag_code take_key(reader *r, level *in, const yaml_event_t *e) {
    const char *text = (const char *)e->data.scalar.value;
    if (strlen(text) != e->data.scalar.length)
        return refuse(r, &e->start_mark, "a key with a NUL byte");
    for (const ag_yaml_node *n = in->node->first; n; n = n->next)
        if (!strcmp(n->key, text))
            return ag_fail(r->err, AG_E_FORMAT,
                           "%s:%zu:%zu: \"%.100s\" is there already, in line %d", r->name,
                           e->start_mark.line + 1, e->start_mark.column + 1, text, n->line);
    in->key = ag_arena_strndup(r->arena, text, e->data.scalar.length);
    in->key_line = (int)e->start_mark.line + 1;
    in->key_column = (int)e->start_mark.column + 1;
    return in->key ? AG_OK : no_memory(r);
}

/* Hang a node into what is open, or make it the root. */
static ag_code add_node(reader *r, ag_yaml_kind kind, const yaml_mark_t *at, ag_yaml_node **out) {
    if (++r->n_nodes > AG_YAML_NODES)
        return refuse(r, at, "too many entries");
    ag_yaml_node *n = ag_arena_get(r->arena, sizeof *n);
    if (!n)
        return no_memory(r);
    level *in = r->depth ? &r->levels[r->depth - 1] : NULL;
    *n = (ag_yaml_node){.kind = kind, .line = (int)at->line + 1, .column = (int)at->column + 1};
    if (in && in->node->kind == AG_YAML_MAP) {
        n->key = in->key;
        n->line = in->key_line;
        n->column = in->key_column;
        in->key = NULL;
    }
    if (in) {
        *in->tail = n;
        in->tail = &n->next;
    } else {
        r->root = n;
    }
    *out = n;
    return AG_OK;
}

static ag_code take_scalar(reader *r, const yaml_event_t *e) {
    level *in = r->depth ? &r->levels[r->depth - 1] : NULL;
    if (in && in->node->kind == AG_YAML_MAP && !in->key)
        return take_key(r, in, e);
    ag_yaml_node *n;
    ag_code code = add_node(r, AG_YAML_SCALAR, &e->start_mark, &n);
    if (code)
        return code;
    const char *text = (const char *)e->data.scalar.value;
    if (strlen(text) != e->data.scalar.length)
        return refuse(r, &e->start_mark, "a value with a NUL byte");
    n->text = ag_arena_strndup(r->arena, text, e->data.scalar.length);
    n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return n->text ? AG_OK : no_memory(r);
}

static ag_code open_level(reader *r, ag_yaml_kind kind, const yaml_event_t *e) {
    level *in = r->depth ? &r->levels[r->depth - 1] : NULL;
    if (in && in->node->kind == AG_YAML_MAP && !in->key)
        return refuse(r, &e->start_mark, "a key must be a plain word");
    if (r->depth == AG_YAML_DEPTH)
        return refuse(r, &e->start_mark, "nested too deeply");
    ag_yaml_node *n;
    ag_code code = add_node(r, kind, &e->start_mark, &n);
    if (!code)
        r->levels[r->depth++] = (level){.node = n, .tail = &n->first};
    return code;
}

static bool has_tag_or_anchor(const yaml_event_t *e) {
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor || e->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor || e->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor || e->data.mapping_start.tag;
    default:
        return e->type == YAML_ALIAS_EVENT;
    }
}

static ag_code take_event(reader *r, const yaml_event_t *e) {
    if (has_tag_or_anchor(e))
        return refuse(r, &e->start_mark, "anchors, aliases and tags are not supported here");
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return r->root ? refuse(r, &e->start_mark, "a second document: one is expected") : AG_OK;
    case YAML_SCALAR_EVENT:
        return take_scalar(r, e);
    case YAML_SEQUENCE_START_EVENT:
        return open_level(r, AG_YAML_LIST, e);
    case YAML_MAPPING_START_EVENT:
        return open_level(r, AG_YAML_MAP, e);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        r->depth--;
        return AG_OK;
    default:
        return AG_OK;
    }
}

static ag_code read_events(reader *r) {
    for (;;) {
        yaml_event_t e;
        if (!yaml_parser_parse(&r->parser, &e)) {
            if (r->parser.error == YAML_MEMORY_ERROR)
                return no_memory(r);
            const yaml_mark_t *at = r->parser.problem_mark.line || r->parser.problem_mark.column
                                        ? &r->parser.problem_mark
                                        : &r->parser.mark;
            return refuse(r, at, r->parser.problem ? r->parser.problem : "not valid YAML");
        }
        bool last = e.type == YAML_STREAM_END_EVENT;
        ag_code code = take_event(r, &e);
        yaml_event_delete(&e);
        if (code || last)
            return code;
    }
}

ag_code ag_yaml_parse(ag_span text, const char *name, ag_arena *arena, ag_yaml_node **root,
                      ag_err *err) {
    reader r = {.name = name, .arena = arena, .err = err};
    *root = NULL;
    if (!yaml_parser_initialize(&r.parser))
        return no_memory(&r);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.p, text.n);
    ag_code code = read_events(&r);
    yaml_parser_delete(&r.parser);
    if (!code)
        *root = r.root;
    return code;
}
