/* The parser's state, shared by statements (parser.c) and expressions (expr.c).
 *
 * Errors stick: after the first one every function returns NULL or false at once. */
#ifndef AG_TEXT_TEMPLATE_PARSER_H
#define AG_TEXT_TEMPLATE_PARSER_H

#include "base/map.h"
#include "text/template/node.h"

#define TPL_MAX_NESTING 400 /* of expressions and statements in a template's source */

typedef struct tpl_parser {
    ag_arena *arena;
    ag_err *err;
    ag_code code; /* sticky */
    const tpl_token *tokens;
    size_t at; /* the current token */
    ag_map ids;
    unsigned depth;
    unsigned loops;   /* open loops of the innermost macro */
    tpl_node *macro;  /* innermost open macro; its `a` is the one around it */
    const char *open; /* innermost open statement, for messages */
} tpl_parser;

static inline const tpl_token *tpl_current(const tpl_parser *p) { return &p->tokens[p->at]; }
/* The token after the current one (EOF repeats). */
static inline const tpl_token *tpl_peek(const tpl_parser *p) {
    return &p->tokens[p->at + (p->tokens[p->at].kind != TOK_EOF)];
}
static inline void tpl_skip(tpl_parser *p) { p->at += p->tokens[p->at].kind != TOK_EOF; }
static inline bool tpl_at(const tpl_parser *p, tpl_token_kind kind) {
    return tpl_current(p)->kind == kind;
}
/* The current token is the word `word`. */
static inline bool tpl_at_word(const tpl_parser *p, const char *word) {
    return tpl_at(p, TOK_NAME) && ag_span_is(tpl_current(p)->text, word);
}
bool ag_tpl_accept_word(tpl_parser *p, const char *word);
bool ag_tpl_expect(tpl_parser *p, tpl_token_kind kind);

/* Fail at a line: "chat template, line N: ...". Returns NULL. */
tpl_node *ag_tpl_syntax(tpl_parser *p, uint32_t line, const char *fmt, ...) AG_PRINTF(3, 4);
tpl_node *ag_tpl_node(tpl_parser *p, tpl_node_kind kind, uint32_t line);
bool ag_tpl_nodes_add(tpl_parser *p, tpl_nodes *list, tpl_node *node);
bool ag_tpl_params_add(tpl_parser *p, tpl_params *list, tpl_param param);
const tpl_str *ag_tpl_parse_str(tpl_parser *p, ag_span text);
uint32_t ag_tpl_name_id(tpl_parser *p, ag_span name);
bool ag_tpl_parse_enter(tpl_parser *p);

/* expr.c. Grammar and precedence are Jinja's. */
tpl_node *ag_tpl_parse_expr(tpl_parser *p, bool with_cond);
/* An expression, or a tuple without brackets up to the tag's end or the word `end`. */
tpl_node *ag_tpl_parse_tuple(tpl_parser *p, bool with_cond, const char *end);
/* What can stand left of `=`; ns.attr only where `with_namespace`. */
tpl_node *ag_tpl_parse_target(tpl_parser *p, const char *end, bool with_namespace);
/* One name as a target. */
tpl_node *ag_tpl_parse_name(tpl_parser *p);
/* `| filter | filter ...` after `input` (NULL: the text of a block); `inlined`: the first filter
 * has no bar in front. NULL without failure when there is no filter. */
tpl_node *ag_tpl_parse_filters(tpl_parser *p, tpl_node *input, bool inlined);

/* analyze.c: finds unknown filters and tests and which names start unset. */
ag_code ag_tpl_analyze(ag_template *t, ag_err *err);

#endif
