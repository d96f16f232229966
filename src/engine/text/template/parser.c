/* Statements, and the parser's tools. */
#include "text/template/parser.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"

/* ---- tools ----------------------------------------------------------------------------------- */

tpl_node *ag_tpl_syntax(tpl_parser *p, uint32_t line, const char *fmt, ...) {
    if (p->code != AG_OK)
        return NULL;
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->code = ag_fail(p->err, AG_E_TEMPLATE, "chat template, line %u: %s", line, text);
    return NULL;
}

static void *take(tpl_parser *p, size_t n, size_t size) {
    void *m = p->code == AG_OK ? ag_arena_array(p->arena, n, size) : NULL;
    if (!m && p->code == AG_OK)
        p->code = ag_fail(p->err, AG_E_NOMEM, "out of memory while parsing the chat template");
    return m;
}

tpl_node *ag_tpl_node(tpl_parser *p, tpl_node_kind kind, uint32_t line) {
    tpl_node *node = take(p, 1, sizeof *node);
    if (node) {
        node->kind = kind;
        node->line = line;
    }
    return node;
}

/* Double the room of an array of `size`-byte items. */
static void *grown(tpl_parser *p, const void *old, size_t n, size_t *room, size_t size) {
    size_t wanted = *room ? *room * 2 : 4;
    void *v = take(p, wanted, size);
    if (!v)
        return NULL;
    if (n)
        memcpy(v, old, n * size);
    *room = wanted;
    return v;
}

bool ag_tpl_nodes_add(tpl_parser *p, tpl_nodes *list, tpl_node *node) {
    if (!node)
        return false;
    if (list->n == list->room) {
        tpl_node **v = grown(p, list->v, list->n, &list->room, sizeof *v);
        if (!v)
            return false;
        list->v = v;
    }
    list->v[list->n++] = node;
    return true;
}

bool ag_tpl_params_add(tpl_parser *p, tpl_params *list, tpl_param param) {
    if (list->n == list->room) {
        tpl_param *v = grown(p, list->v, list->n, &list->room, sizeof *v);
        if (!v)
            return false;
        list->v = v;
    }
    list->v[list->n++] = param;
    return true;
}

const tpl_str *ag_tpl_parse_str(tpl_parser *p, ag_span text) {
    tpl_str *s = take(p, 1, sizeof *s);
    if (s)
        *s = (tpl_str){.p = text.n ? text.p : "", .n = text.n};
    return s;
}

uint32_t ag_tpl_name_id(tpl_parser *p, ag_span name) {
    uint64_t id = p->ids.n;
    if (p->code == AG_OK && !ag_map_find(&p->ids, name, &id))
        p->code = ag_map_add(&p->ids, name, id, NULL, p->err);
    return (uint32_t)id;
}

bool ag_tpl_parse_enter(tpl_parser *p) {
    if (p->depth < TPL_MAX_NESTING) {
        p->depth++;
        return p->code == AG_OK;
    }
    if (p->code == AG_OK)
        p->code = ag_fail(p->err, AG_E_LIMIT, "chat template, line %u: nested too deeply",
                          tpl_current(p)->line);
    return false;
}

bool ag_tpl_accept_word(tpl_parser *p, const char *word) {
    if (p->code != AG_OK || !tpl_at_word(p, word))
        return false;
    tpl_skip(p);
    return true;
}

bool ag_tpl_expect(tpl_parser *p, tpl_token_kind kind) {
    const tpl_token *t = tpl_current(p);
    if (p->code != AG_OK)
        return false;
    if (t->kind == kind) {
        tpl_skip(p);
        return true;
    }
    if (t->kind == TOK_NAME)
        ag_tpl_syntax(p, t->line, "expected %s, got '%.*s'", ag_tpl_token_name(kind),
                      AG_SPAN(t->text));
    else
        ag_tpl_syntax(p, t->line, "expected %s, got %s", ag_tpl_token_name(kind),
                      ag_tpl_token_name(t->kind));
    return false;
}

static bool expect_word(tpl_parser *p, const char *word) {
    if (!ag_tpl_accept_word(p, word))
        ag_tpl_syntax(p, tpl_current(p)->line, "expected '%s'", word);
    return p->code == AG_OK;
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static tpl_node *parse_statement(tpl_parser *p);

static bool at_any_word(const tpl_parser *p, const char *const *words) {
    for (; *words; words++)
        if (tpl_at_word(p, *words))
            return true;
    return false;
}

static bool unclosed(tpl_parser *p, const char *const *ends) {
    ag_tpl_syntax(p, tpl_current(p)->line, "the template ends inside '%s', expected '%s'",
                  p->open ? p->open : "?", ends[0]);
    return false;
}

/* Text, prints and statements up to a tag that starts with one of `ends` (NULL: to the end of the
 * template); the current token is then that word. */
static bool parse_until(tpl_parser *p, const char *const *ends, tpl_nodes *body) {
    while (p->code == AG_OK && !tpl_at(p, TOK_EOF)) {
        const tpl_token *t = tpl_current(p);
        tpl_node *node = NULL;
        tpl_skip(p);
        if (t->kind == TOK_TEXT) {
            node = ag_tpl_node(p, NODE_TEXT, t->line);
            if (node)
                node->value = tpl_string(ag_tpl_parse_str(p, t->text));
        } else if (t->kind == TOK_PRINT_BEGIN) {
            node = ag_tpl_node(p, NODE_PRINT, t->line);
            if (node)
                node->a = ag_tpl_parse_tuple(p, true, NULL);
            ag_tpl_expect(p, TOK_PRINT_END);
        } else {
            if (ends && at_any_word(p, ends))
                return true;
            node = parse_statement(p);
            ag_tpl_expect(p, TOK_BLOCK_END);
        }
        if (!ag_tpl_nodes_add(p, body, node))
            return false;
    }
    return p->code == AG_OK && (!ends || unclosed(p, ends));
}

/* The rest of an opening tag and its body; stops at the ending word. */
static bool parse_body(tpl_parser *p, const char *const *ends, tpl_nodes *body) {
    if (tpl_at(p, TOK_COLON))
        tpl_skip(p);
    return ag_tpl_expect(p, TOK_BLOCK_END) && parse_until(p, ends, body);
}

static bool parse_body_to(tpl_parser *p, const char *end, tpl_nodes *body) {
    const char *ends[] = {end, NULL};
    if (!parse_body(p, ends, body))
        return false;
    tpl_skip(p);
    return true;
}

/* ---- statements ------------------------------------------------------------------------------ */

static void parse_for(tpl_parser *p, tpl_node *node) {
    static const char *const ends[] = {"endfor", "else", NULL};
    node->a = ag_tpl_parse_target(p, "in", false);
    if (!expect_word(p, "in"))
        return;
    node->b = ag_tpl_parse_tuple(p, false, "recursive");
    if (ag_tpl_accept_word(p, "if"))
        node->c = ag_tpl_parse_expr(p, true);
    node->recursive = ag_tpl_accept_word(p, "recursive");
    p->loops++;
    bool ok = parse_body(p, ends, &node->body);
    p->loops--;
    if (ok && !ag_tpl_accept_word(p, "endfor")) {
        tpl_skip(p);
        parse_body_to(p, "endfor", &node->other);
    }
}

static void parse_if(tpl_parser *p, tpl_node *node) {
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    bool more = true;
    while (more && p->code == AG_OK) {
        tpl_node *branch = ag_tpl_node(p, NODE_BRANCH, tpl_current(p)->line);
        if (!ag_tpl_nodes_add(p, &node->items, branch))
            return;
        branch->a = ag_tpl_parse_tuple(p, false, NULL);
        if (!parse_body(p, ends, &branch->body))
            return;
        more = ag_tpl_accept_word(p, "elif");
    }
    if (ag_tpl_accept_word(p, "else")) {
        tpl_node *branch = ag_tpl_node(p, NODE_BRANCH, tpl_current(p)->line);
        if (ag_tpl_nodes_add(p, &node->items, branch))
            parse_body_to(p, "endif", &branch->body);
    } else {
        tpl_skip(p); /* endif */
    }
}

static void parse_set(tpl_parser *p, tpl_node *node) {
    node->a = ag_tpl_parse_target(p, NULL, true);
    if (p->code == AG_OK && tpl_at(p, TOK_ASSIGN)) {
        tpl_skip(p);
        node->b = ag_tpl_parse_tuple(p, true, NULL);
        return;
    }
    node->kind = NODE_SET_BLOCK;
    node->b = ag_tpl_parse_filters(p, NULL, false);
    parse_body_to(p, "endset", &node->body);
}

static void parse_params(tpl_parser *p, tpl_params *params) {
    if (!ag_tpl_expect(p, TOK_LPAREN))
        return;
    bool defaults = false;
    while (p->code == AG_OK && !tpl_at(p, TOK_RPAREN)) {
        if (params->n && !ag_tpl_expect(p, TOK_COMMA))
            return;
        tpl_node *name = ag_tpl_parse_name(p);
        if (!name)
            return;
        tpl_param param = {.id = name->id, .name = name->name};
        if (tpl_at(p, TOK_ASSIGN)) {
            tpl_skip(p);
            param.value = ag_tpl_parse_expr(p, true);
            defaults = true;
        } else if (defaults) {
            ag_tpl_syntax(p, name->line, "non-default argument follows default argument");
        }
        ag_tpl_params_add(p, params, param);
    }
    ag_tpl_expect(p, TOK_RPAREN);
}

/* The body of a macro or call block, which is a function of its own: loops around it do not count,
 * and its use of caller, varargs and kwargs is recorded. */
static void parse_function_body(tpl_parser *p, tpl_node *macro, const char *end) {
    unsigned loops = p->loops;
    p->loops = 0;
    macro->a = p->macro;
    p->macro = macro;
    parse_body_to(p, end, &macro->body);
    p->macro = macro->a;
    macro->a = NULL;
    p->loops = loops;
}

static void parse_macro(tpl_parser *p, tpl_node *node) {
    tpl_node *name = ag_tpl_parse_name(p);
    if (!name)
        return;
    node->name = name->name;
    node->id = name->id;
    parse_params(p, &node->params);
    parse_function_body(p, node, "endmacro");
}

static void parse_call_block(tpl_parser *p, tpl_node *node) {
    node->b = ag_tpl_node(p, NODE_MACRO, node->line);
    if (!node->b)
        return;
    if (tpl_at(p, TOK_LPAREN))
        parse_params(p, &node->b->params);
    node->a = ag_tpl_parse_expr(p, true);
    if (node->a && node->a->kind != NODE_CALL)
        ag_tpl_syntax(p, node->line, "expected a call after 'call'");
    parse_function_body(p, node->b, "endcall");
}

static void parse_filter_block(tpl_parser *p, tpl_node *node) {
    node->a = ag_tpl_parse_filters(p, NULL, true);
    parse_body_to(p, "endfilter", &node->body);
}

static void parse_with(tpl_parser *p, tpl_node *node) {
    while (p->code == AG_OK && !tpl_at(p, TOK_BLOCK_END)) {
        if (node->items.n && !ag_tpl_expect(p, TOK_COMMA))
            return;
        ag_tpl_nodes_add(p, &node->items, ag_tpl_parse_target(p, NULL, false));
        if (!ag_tpl_expect(p, TOK_ASSIGN))
            return;
        ag_tpl_nodes_add(p, &node->items, ag_tpl_parse_expr(p, true));
    }
    parse_body_to(p, "endwith", &node->body);
}

static void parse_generation(tpl_parser *p, tpl_node *node) {
    unsigned loops = p->loops;
    p->loops = 0;
    parse_body_to(p, "endgeneration", &node->body);
    p->loops = loops;
}

static void parse_jump(tpl_parser *p, tpl_node *node) {
    if (p->loops == 0)
        ag_tpl_syntax(p, node->line, "'%s' outside of a loop",
                      node->kind == NODE_BREAK ? "break" : "continue");
}

/* `print a, b` prints both: a scope-free list of prints. */
static void parse_print(tpl_parser *p, tpl_node *node) {
    node->a = ag_tpl_node(p, NODE_CONCAT, node->line);
    while (node->a && p->code == AG_OK && !tpl_at(p, TOK_BLOCK_END)) {
        if (node->a->items.n && !ag_tpl_expect(p, TOK_COMMA))
            return;
        ag_tpl_nodes_add(p, &node->a->items, ag_tpl_parse_expr(p, true));
    }
}

static const struct statement {
    const char *word;
    tpl_node_kind kind;
    void (*parse)(tpl_parser *p, tpl_node *node);
} statements[] = {
    {"for", NODE_FOR, parse_for},
    {"if", NODE_IF, parse_if},
    {"set", NODE_SET, parse_set},
    {"macro", NODE_MACRO, parse_macro},
    {"call", NODE_CALL_BLOCK, parse_call_block},
    {"filter", NODE_FILTER_BLOCK, parse_filter_block},
    {"with", NODE_WITH, parse_with},
    {"generation", NODE_SCOPE, parse_generation},
    {"break", NODE_BREAK, parse_jump},
    {"continue", NODE_CONTINUE, parse_jump},
    {"print", NODE_PRINT, parse_print},
};

static const struct statement *find_statement(ag_span word) {
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (ag_span_is(word, statements[i].word))
            return &statements[i];
    return NULL;
}

static tpl_node *parse_statement(tpl_parser *p) {
    const tpl_token *t = tpl_current(p);
    if (t->kind != TOK_NAME)
        return ag_tpl_syntax(p, t->line, "expected the name of a tag, got %s",
                             ag_tpl_token_name(t->kind));
    const struct statement *s = find_statement(t->text);
    if (!s && p->open)
        return ag_tpl_syntax(p, t->line, "unknown tag '%.*s' inside '%s'", AG_SPAN(t->text),
                             p->open);
    if (!s)
        return ag_tpl_syntax(p, t->line, "unknown tag '%.*s'", AG_SPAN(t->text));
    tpl_node *node = ag_tpl_node(p, s->kind, t->line);
    if (!node || !ag_tpl_parse_enter(p))
        return NULL;
    const char *around = p->open;
    p->open = s->word;
    tpl_skip(p);
    s->parse(p, node);
    p->open = around;
    p->depth--;
    return p->code == AG_OK ? node : NULL;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static ag_code parse_tokens(ag_template *t, const tpl_token *tokens, ag_err *err) {
    static const char *const fixed[] = {"loop", "caller", "varargs", "kwargs"};
    tpl_parser p = {.arena = &t->arena, .err = err, .tokens = tokens};
    p.code = ag_map_init(&p.ids, AG_ROOM_TEXT, 64, err);
    if (p.code != AG_OK)
        return p.code;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        ag_tpl_name_id(&p, ag_str(fixed[i]));
    parse_until(&p, NULL, &t->root.body);
    t->n_names = p.ids.n;
    ag_map_deinit(&p.ids);
    return p.code;
}

ag_code ag_template_parse(ag_span source, ag_template **out, ag_err *err) {
    *out = NULL;
    if (source.n > AG_MAX_TEMPLATE_BYTES)
        return ag_fail(err, AG_E_LIMIT, "the chat template is larger than %zu bytes",
                       AG_MAX_TEMPLATE_BYTES);
    if (!ag_utf8_is_valid(source))
        return ag_fail(err, AG_E_TEMPLATE, "the chat template is not valid UTF-8 at byte %zu",
                       ag_utf8_valid_prefix(source));
    ag_template *t = ag_calloc(AG_ROOM_TEXT, 1, sizeof *t);
    if (!t)
        return ag_fail(err, AG_E_NOMEM, "out of memory while parsing the chat template");
    ag_arena_init(&t->arena, AG_ROOM_TEXT, SIZE_MAX / 2);
    tpl_token *tokens;
    size_t n;
    ag_code code = ag_tpl_lex(&t->arena, source, &tokens, &n, err);
    if (code == AG_OK)
        code = parse_tokens(t, tokens, err);
    if (code == AG_OK)
        code = ag_tpl_analyze(t, err);
    if (code != AG_OK)
        ag_template_free(&t);
    *out = t;
    return code;
}

void ag_template_free(ag_template **t) {
    if (!*t)
        return;
    ag_arena_deinit(&(*t)->arena);
    ag_free(*t);
    *t = NULL;
}
