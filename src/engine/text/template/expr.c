/* Expressions, in Jinja's order of precedence: if-else, or, and, not, comparisons, + and -, ~, then
 * * / // %, **, unary signs, filters and tests, and at last names, literals and what follows them.
 */
#include "text/template/number.h"
#include "text/template/parser.h"

static tpl_node *parse_or(tpl_parser *p);
static tpl_node *parse_unary(tpl_parser *p, bool with_filter);
static tpl_node *parse_primary(tpl_parser *p, bool with_namespace);
static tpl_node *parse_postfix(tpl_parser *p, tpl_node *node);

/* A node with two children; NULL when one is missing after a failure. */
static tpl_node *join(tpl_parser *p, tpl_node_kind kind, tpl_token_kind op, tpl_node *a,
                      tpl_node *b) {
    tpl_node *node = a && b ? ag_tpl_node(p, kind, a->line) : NULL;
    if (node) {
        node->op = op;
        node->a = a;
        node->b = b;
    }
    return node;
}

static tpl_node *wrap(tpl_parser *p, tpl_node_kind kind, uint32_t line, tpl_node *a) {
    tpl_node *node = a ? ag_tpl_node(p, kind, line) : NULL;
    if (node)
        node->a = a;
    return node;
}

/* ---- lists of expressions -------------------------------------------------------------------- */

static bool at_tuple_end(const tpl_parser *p, const char *end) {
    return tpl_at(p, TOK_PRINT_END) || tpl_at(p, TOK_BLOCK_END) || tpl_at(p, TOK_RPAREN) ||
           (end && tpl_at_word(p, end));
}

typedef enum tuple_kind { TUPLE_EXPR, TUPLE_NO_COND, TUPLE_TARGET, TUPLE_NS_TARGET } tuple_kind;

static tpl_node *tuple_item(tpl_parser *p, tuple_kind kind) {
    if (kind == TUPLE_TARGET || kind == TUPLE_NS_TARGET)
        return parse_primary(p, kind == TUPLE_NS_TARGET);
    return ag_tpl_parse_expr(p, kind == TUPLE_EXPR);
}

static tpl_node *parse_tuple(tpl_parser *p, tuple_kind kind, const char *end, bool in_parens) {
    tpl_node *tuple = ag_tpl_node(p, NODE_TUPLE, tpl_current(p)->line);
    bool is_tuple = false;
    while (tuple && !at_tuple_end(p, end)) {
        if (!ag_tpl_nodes_add(p, &tuple->items, tuple_item(p, kind)))
            return NULL;
        if (!tpl_at(p, TOK_COMMA))
            break;
        is_tuple = true;
        tpl_skip(p);
    }
    if (!tuple || is_tuple || (in_parens && tuple->items.n == 0))
        return tuple;
    if (tuple->items.n)
        return tuple->items.v[0];
    return ag_tpl_syntax(p, tuple->line, "expected an expression, got %s",
                         ag_tpl_token_name(tpl_current(p)->kind));
}

tpl_node *ag_tpl_parse_tuple(tpl_parser *p, bool with_cond, const char *end) {
    return p->code == AG_OK ? parse_tuple(p, with_cond ? TUPLE_EXPR : TUPLE_NO_COND, end, false)
                            : NULL;
}

static bool can_assign(const tpl_node *node) {
    if (node->kind == NODE_TUPLE) {
        for (size_t i = 0; i < node->items.n; i++)
            if (!can_assign(node->items.v[i]))
                return false;
        return true;
    }
    return node->kind == NODE_NSREF || (node->kind == NODE_NAME && node->id != TPL_ID_LOOP);
}

tpl_node *ag_tpl_parse_target(tpl_parser *p, const char *end, bool with_namespace) {
    if (p->code != AG_OK)
        return NULL;
    tpl_node *target = parse_tuple(p, with_namespace ? TUPLE_NS_TARGET : TUPLE_TARGET, end, false);
    if (target && !can_assign(target))
        return ag_tpl_syntax(p, target->line, "cannot assign to this expression");
    return target;
}

tpl_node *ag_tpl_parse_name(tpl_parser *p) {
    const tpl_token *t = tpl_current(p);
    if (!ag_tpl_expect(p, TOK_NAME))
        return NULL;
    tpl_node *node = ag_tpl_node(p, NODE_NAME, t->line);
    if (node) {
        node->name = ag_tpl_parse_str(p, t->text);
        node->id = ag_tpl_name_id(p, t->text);
    }
    return p->code == AG_OK ? node : NULL;
}

static tpl_node *parse_list(tpl_parser *p) {
    tpl_node *list = ag_tpl_node(p, NODE_LIST, tpl_current(p)->line);
    tpl_skip(p);
    while (list && p->code == AG_OK && !tpl_at(p, TOK_RBRACKET)) {
        if (list->items.n && !ag_tpl_expect(p, TOK_COMMA))
            return NULL;
        if (tpl_at(p, TOK_RBRACKET))
            break;
        ag_tpl_nodes_add(p, &list->items, ag_tpl_parse_expr(p, true));
    }
    return ag_tpl_expect(p, TOK_RBRACKET) ? list : NULL;
}

static tpl_node *parse_dict(tpl_parser *p) {
    tpl_node *dict = ag_tpl_node(p, NODE_DICT, tpl_current(p)->line);
    tpl_skip(p);
    while (dict && p->code == AG_OK && !tpl_at(p, TOK_RBRACE)) {
        if (dict->items.n && !ag_tpl_expect(p, TOK_COMMA))
            return NULL;
        if (tpl_at(p, TOK_RBRACE))
            break;
        ag_tpl_nodes_add(p, &dict->items, ag_tpl_parse_expr(p, true));
        if (!ag_tpl_expect(p, TOK_COLON))
            return NULL;
        ag_tpl_nodes_add(p, &dict->items, ag_tpl_parse_expr(p, true));
    }
    return ag_tpl_expect(p, TOK_RBRACE) ? dict : NULL;
}

/* ---- names, literals, and what follows them -------------------------------------------------- */

static tpl_node *constant(tpl_parser *p, uint32_t line, tpl_value value) {
    tpl_node *node = ag_tpl_node(p, NODE_CONST, line);
    if (node)
        node->value = value;
    return node;
}

static tpl_node *parse_word(tpl_parser *p, bool with_namespace) {
    ag_span word = tpl_current(p)->text;
    uint32_t line = tpl_current(p)->line;
    bool yes = ag_span_is(word, "true") || ag_span_is(word, "True");
    if (yes || ag_span_is(word, "false") || ag_span_is(word, "False")) {
        tpl_skip(p);
        return constant(p, line, tpl_bool(yes));
    }
    if (ag_span_is(word, "none") || ag_span_is(word, "None")) {
        tpl_skip(p);
        return constant(p, line, tpl_none());
    }
    tpl_node *node = ag_tpl_parse_name(p);
    if (!node)
        return NULL;
    if (with_namespace && tpl_at(p, TOK_DOT)) {
        tpl_skip(p);
        node->kind = NODE_NSREF;
        node->attr = ag_tpl_parse_str(p, tpl_current(p)->text);
        return ag_tpl_expect(p, TOK_NAME) ? node : NULL;
    }
    for (tpl_node *m = p->macro; m; m = m->a) {
        m->has_caller |= node->id == TPL_ID_CALLER;
        m->has_varargs |= node->id == TPL_ID_VARARGS;
        m->has_kwargs |= node->id == TPL_ID_KWARGS;
    }
    return node;
}

/* Strings that follow each other are one. */
static tpl_node *parse_string(tpl_parser *p) {
    uint32_t line = tpl_current(p)->line;
    ag_span all = tpl_current(p)->text;
    tpl_skip(p);
    while (tpl_at(p, TOK_STRING)) {
        ag_span more = tpl_current(p)->text;
        char *sum = ag_arena_get(p->arena, all.n + more.n + 1);
        if (!sum) {
            p->code = ag_fail(p->err, AG_E_NOMEM, "out of memory while parsing the chat template");
            return NULL;
        }
        if (all.n)
            memcpy(sum, all.p, all.n);
        if (more.n)
            memcpy(sum + all.n, more.p, more.n);
        all = (ag_span){sum, all.n + more.n};
        tpl_skip(p);
    }
    return constant(p, line, tpl_string(ag_tpl_parse_str(p, all)));
}

static tpl_node *parse_number(tpl_parser *p) {
    const tpl_token *t = tpl_current(p);
    tpl_int i;
    double f;
    tpl_skip(p);
    if (t->kind == TOK_INT && ag_tpl_parse_int(t->text, 0, &i))
        return constant(p, t->line, tpl_integer(i));
    if (t->kind == TOK_FLOAT && ag_tpl_parse_float(t->text, &f))
        return constant(p, t->line, tpl_float(f));
    return ag_tpl_syntax(p, t->line, "the number %.*s is too large or malformed", AG_SPAN(t->text));
}

static tpl_node *parse_primary(tpl_parser *p, bool with_namespace) {
    const tpl_token *t = tpl_current(p);
    tpl_node *node = NULL;
    if (!ag_tpl_parse_enter(p))
        return NULL;
    switch (t->kind) {
    case TOK_NAME:
        node = parse_word(p, with_namespace);
        break;
    case TOK_STRING:
        node = parse_string(p);
        break;
    case TOK_INT:
    case TOK_FLOAT:
        node = parse_number(p);
        break;
    case TOK_LPAREN:
        tpl_skip(p);
        node = parse_tuple(p, TUPLE_EXPR, NULL, true);
        if (!ag_tpl_expect(p, TOK_RPAREN))
            node = NULL;
        break;
    case TOK_LBRACKET:
        node = parse_list(p);
        break;
    case TOK_LBRACE:
        node = parse_dict(p);
        break;
    default:
        ag_tpl_syntax(p, t->line, "expected an expression, got %s", ag_tpl_token_name(t->kind));
    }
    p->depth--;
    return p->code == AG_OK ? node : NULL;
}

static bool parse_args(tpl_parser *p, tpl_call *call) {
    uint32_t line = tpl_current(p)->line;
    bool first = true, ok = true;
    if (!ag_tpl_expect(p, TOK_LPAREN))
        return false;
    for (; ok && p->code == AG_OK && !tpl_at(p, TOK_RPAREN); first = false) {
        if (!first && !ag_tpl_expect(p, TOK_COMMA))
            return false;
        if (tpl_at(p, TOK_RPAREN))
            break;
        if (tpl_at(p, TOK_MUL)) {
            ok = !call->star && !call->star2;
            tpl_skip(p);
            call->star = ag_tpl_parse_expr(p, true);
        } else if (tpl_at(p, TOK_POW)) {
            ok = !call->star2;
            tpl_skip(p);
            call->star2 = ag_tpl_parse_expr(p, true);
        } else if (tpl_at(p, TOK_NAME) && tpl_peek(p)->kind == TOK_ASSIGN) {
            ok = !call->star2;
            tpl_param kw = {.name = ag_tpl_parse_str(p, tpl_current(p)->text)};
            tpl_skip(p);
            tpl_skip(p);
            kw.value = ag_tpl_parse_expr(p, true);
            ag_tpl_params_add(p, &call->kw, kw);
        } else {
            ok = !call->star && !call->star2 && call->kw.n == 0;
            ag_tpl_nodes_add(p, &call->pos, ag_tpl_parse_expr(p, true));
        }
    }
    if (!ok)
        ag_tpl_syntax(p, line, "arguments of a call stand in the wrong order");
    return ag_tpl_expect(p, TOK_RPAREN);
}

static tpl_node *parse_call(tpl_parser *p, tpl_node *callee) {
    tpl_node *node = wrap(p, NODE_CALL, tpl_current(p)->line, callee);
    return node && parse_args(p, &node->call) ? node : NULL;
}

static bool at_slice_end(const tpl_parser *p) {
    return tpl_at(p, TOK_RBRACKET) || tpl_at(p, TOK_COMMA);
}

/* One subscript: an expression or a slice. */
static tpl_node *parse_subscript(tpl_parser *p) {
    uint32_t line = tpl_current(p)->line;
    tpl_node *from = NULL;
    if (!tpl_at(p, TOK_COLON)) {
        from = ag_tpl_parse_expr(p, true);
        if (!from || !tpl_at(p, TOK_COLON))
            return from;
    }
    tpl_skip(p);
    tpl_node *slice = ag_tpl_node(p, NODE_SLICE, line);
    if (!slice)
        return NULL;
    slice->a = from;
    if (!tpl_at(p, TOK_COLON) && !at_slice_end(p))
        slice->b = ag_tpl_parse_expr(p, true);
    if (p->code == AG_OK && tpl_at(p, TOK_COLON)) {
        tpl_skip(p);
        if (!at_slice_end(p))
            slice->c = ag_tpl_parse_expr(p, true);
    }
    return p->code == AG_OK ? slice : NULL;
}

static tpl_node *parse_brackets(tpl_parser *p, tpl_node *owner) {
    tpl_node *tuple = ag_tpl_node(p, NODE_TUPLE, tpl_current(p)->line);
    tpl_skip(p);
    while (tuple && p->code == AG_OK && !tpl_at(p, TOK_RBRACKET)) {
        if (tuple->items.n && !ag_tpl_expect(p, TOK_COMMA))
            return NULL;
        ag_tpl_nodes_add(p, &tuple->items, parse_subscript(p));
    }
    if (!ag_tpl_expect(p, TOK_RBRACKET))
        return NULL;
    return join(p, NODE_ITEM, 0, owner, tuple->items.n == 1 ? tuple->items.v[0] : tuple);
}

static tpl_node *parse_dot(tpl_parser *p, tpl_node *owner) {
    tpl_skip(p);
    const tpl_token *t = tpl_current(p);
    if (t->kind == TOK_INT)
        return join(p, NODE_ITEM, 0, owner, parse_number(p));
    if (t->kind != TOK_NAME)
        return ag_tpl_syntax(p, t->line, "expected a name or number after '.', got %s",
                             ag_tpl_token_name(t->kind));
    tpl_skip(p);
    tpl_node *node = wrap(p, NODE_ATTR, t->line, owner);
    if (node)
        node->attr = ag_tpl_parse_str(p, t->text);
    return node;
}

static tpl_node *parse_postfix(tpl_parser *p, tpl_node *node) {
    while (node && p->code == AG_OK) {
        if (tpl_at(p, TOK_DOT))
            node = parse_dot(p, node);
        else if (tpl_at(p, TOK_LBRACKET))
            node = parse_brackets(p, node);
        else if (tpl_at(p, TOK_LPAREN))
            node = parse_call(p, node);
        else
            break;
    }
    return p->code == AG_OK ? node : NULL;
}

/* ---- filters and tests ----------------------------------------------------------------------- */

/* A name that may have dots, into node->name. */
static bool parse_dotted(tpl_parser *p, tpl_node *node) {
    const tpl_token *first = tpl_current(p), *last = first;
    if (!ag_tpl_expect(p, TOK_NAME))
        return false;
    while (p->code == AG_OK && tpl_at(p, TOK_DOT)) {
        tpl_skip(p);
        last = tpl_current(p);
        ag_tpl_expect(p, TOK_NAME);
    }
    if (p->code == AG_OK)
        node->name = ag_tpl_parse_str(
            p, ag_span_of(first->text.p, (size_t)(last->text.p + last->text.n - first->text.p)));
    return p->code == AG_OK;
}

tpl_node *ag_tpl_parse_filters(tpl_parser *p, tpl_node *input, bool inlined) {
    while (p->code == AG_OK && (inlined || tpl_at(p, TOK_PIPE))) {
        if (!inlined)
            tpl_skip(p);
        inlined = false;
        tpl_node *node = ag_tpl_node(p, NODE_FILTER, tpl_current(p)->line);
        if (!node || !parse_dotted(p, node))
            return NULL;
        node->a = input;
        if (tpl_at(p, TOK_LPAREN) && !parse_args(p, &node->call))
            return NULL;
        input = node;
    }
    return p->code == AG_OK ? input : NULL;
}

/* A test's argument may stand without brackets: `x is divisibleby 3`. */
static bool at_bare_argument(const tpl_parser *p) {
    switch (tpl_current(p)->kind) {
    case TOK_NAME:
        return !tpl_at_word(p, "else") && !tpl_at_word(p, "or") && !tpl_at_word(p, "and");
    case TOK_STRING:
    case TOK_INT:
    case TOK_FLOAT:
    case TOK_LBRACKET:
    case TOK_LBRACE:
        return true;
    default:
        return false;
    }
}

static tpl_node *parse_test(tpl_parser *p, tpl_node *subject) {
    uint32_t line = tpl_current(p)->line;
    tpl_skip(p);
    bool negated = ag_tpl_accept_word(p, "not");
    tpl_node *node = wrap(p, NODE_TEST, line, subject);
    if (!node || !parse_dotted(p, node))
        return NULL;
    if (tpl_at(p, TOK_LPAREN)) {
        parse_args(p, &node->call);
    } else if (at_bare_argument(p)) {
        if (tpl_at_word(p, "is"))
            return ag_tpl_syntax(p, line, "tests cannot be chained with 'is'");
        ag_tpl_nodes_add(p, &node->call.pos, parse_postfix(p, parse_primary(p, false)));
    }
    if (p->code != AG_OK)
        return NULL;
    return negated ? wrap(p, NODE_NOT, line, node) : node;
}

static tpl_node *parse_filters_and_tests(tpl_parser *p, tpl_node *node) {
    while (node && p->code == AG_OK) {
        if (tpl_at(p, TOK_PIPE))
            node = ag_tpl_parse_filters(p, node, false);
        else if (tpl_at_word(p, "is"))
            node = parse_test(p, node);
        else if (tpl_at(p, TOK_LPAREN))
            node = parse_call(p, node);
        else
            break;
    }
    return p->code == AG_OK ? node : NULL;
}

/* ---- operators ------------------------------------------------------------------------------- */

static tpl_node *parse_unary(tpl_parser *p, bool with_filter) {
    uint32_t line = tpl_current(p)->line;
    tpl_node *node = NULL;
    if (!ag_tpl_parse_enter(p))
        return NULL;
    if (tpl_at(p, TOK_SUB) || tpl_at(p, TOK_ADD)) {
        tpl_node_kind kind = tpl_at(p, TOK_SUB) ? NODE_NEG : NODE_POS;
        tpl_skip(p);
        node = wrap(p, kind, line, parse_unary(p, false));
    } else {
        node = parse_primary(p, false);
    }
    node = parse_postfix(p, node);
    if (with_filter)
        node = parse_filters_and_tests(p, node);
    p->depth--;
    return node;
}

static tpl_node *parse_pow(tpl_parser *p) {
    tpl_node *left = parse_unary(p, true);
    while (left && tpl_at(p, TOK_POW)) {
        tpl_skip(p);
        left = join(p, NODE_BINARY, TOK_POW, left, parse_unary(p, true));
    }
    return left;
}

static tpl_node *parse_product(tpl_parser *p) {
    tpl_node *left = parse_pow(p);
    while (left && (tpl_at(p, TOK_MUL) || tpl_at(p, TOK_DIV) || tpl_at(p, TOK_FLOORDIV) ||
                    tpl_at(p, TOK_MOD))) {
        tpl_token_kind op = tpl_current(p)->kind;
        tpl_skip(p);
        left = join(p, NODE_BINARY, op, left, parse_pow(p));
    }
    return left;
}

static tpl_node *parse_concat(tpl_parser *p) {
    tpl_node *first = parse_product(p);
    if (!first || !tpl_at(p, TOK_TILDE))
        return first;
    tpl_node *node = ag_tpl_node(p, NODE_CONCAT, first->line);
    if (!node || !ag_tpl_nodes_add(p, &node->items, first))
        return NULL;
    while (tpl_at(p, TOK_TILDE)) {
        tpl_skip(p);
        if (!ag_tpl_nodes_add(p, &node->items, parse_product(p)))
            return NULL;
    }
    return node;
}

static tpl_node *parse_sum(tpl_parser *p) {
    tpl_node *left = parse_concat(p);
    while (left && (tpl_at(p, TOK_ADD) || tpl_at(p, TOK_SUB))) {
        tpl_token_kind op = tpl_current(p)->kind;
        tpl_skip(p);
        left = join(p, NODE_BINARY, op, left, parse_concat(p));
    }
    return left;
}

/* The comparison at the current token, skipped; TOK_NAME stands for `in`. */
static bool take_comparison(tpl_parser *p, tpl_token_kind *op, bool *negated) {
    *op = tpl_current(p)->kind;
    *negated = false;
    if (*op >= TOK_EQ && *op <= TOK_GE) {
        tpl_skip(p);
        return true;
    }
    if (tpl_at_word(p, "not") && tpl_peek(p)->kind == TOK_NAME &&
        ag_span_is(tpl_peek(p)->text, "in")) {
        *negated = true;
        tpl_skip(p);
    }
    return ag_tpl_accept_word(p, "in");
}

static tpl_node *parse_compare(tpl_parser *p) {
    tpl_node *first = parse_sum(p), *node = NULL;
    tpl_token_kind op;
    bool negated;
    while (first && take_comparison(p, &op, &negated)) {
        if (!node)
            node = wrap(p, NODE_COMPARE, first->line, first);
        tpl_node *operand = node ? wrap(p, NODE_OPERAND, first->line, parse_sum(p)) : NULL;
        if (!operand || !ag_tpl_nodes_add(p, &node->items, operand))
            return NULL;
        operand->op = op;
        operand->negated = negated;
    }
    return node ? node : first;
}

static tpl_node *parse_not(tpl_parser *p) {
    uint32_t line = tpl_current(p)->line;
    if (!tpl_at_word(p, "not"))
        return parse_compare(p);
    if (!ag_tpl_parse_enter(p))
        return NULL;
    tpl_skip(p);
    tpl_node *node = wrap(p, NODE_NOT, line, parse_not(p));
    p->depth--;
    return node;
}

static tpl_node *parse_and(tpl_parser *p) {
    tpl_node *left = parse_not(p);
    while (left && ag_tpl_accept_word(p, "and"))
        left = join(p, NODE_AND, 0, left, parse_not(p));
    return left;
}

static tpl_node *parse_or(tpl_parser *p) {
    tpl_node *left = parse_and(p);
    while (left && ag_tpl_accept_word(p, "or"))
        left = join(p, NODE_OR, 0, left, parse_and(p));
    return left;
}

tpl_node *ag_tpl_parse_expr(tpl_parser *p, bool with_cond) {
    if (!ag_tpl_parse_enter(p))
        return NULL;
    tpl_node *node = parse_or(p);
    while (with_cond && node && ag_tpl_accept_word(p, "if")) {
        tpl_node *value = node;
        node = join(p, NODE_COND, 0, value, parse_or(p));
        if (node && ag_tpl_accept_word(p, "else"))
            node->c = ag_tpl_parse_expr(p, true);
    }
    p->depth--;
    return p->code == AG_OK ? node : NULL;
}
