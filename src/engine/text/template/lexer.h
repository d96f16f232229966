/* Cuts a template into tokens: text, tags and what stands inside them. White space control
 * (trim_blocks, lstrip_blocks, `-` and `+` at tags) is finished here; the parser never sees it. */
#ifndef AG_TEXT_TEMPLATE_LEXER_H
#define AG_TEXT_TEMPLATE_LEXER_H

#include "base/arena.h"

typedef enum tpl_token_kind {
    TOK_EOF,
    TOK_TEXT,
    TOK_BLOCK_BEGIN,
    TOK_BLOCK_END,
    TOK_PRINT_BEGIN,
    TOK_PRINT_END,
    TOK_NAME,
    TOK_STRING,
    TOK_INT,
    TOK_FLOAT,
    TOK_ADD,
    TOK_SUB,
    TOK_MUL,
    TOK_DIV,
    TOK_FLOORDIV,
    TOK_MOD,
    TOK_POW,
    TOK_TILDE,
    TOK_EQ,
    TOK_NE,
    TOK_LT,
    TOK_LE,
    TOK_GT,
    TOK_GE,
    TOK_ASSIGN,
    TOK_DOT,
    TOK_COLON,
    TOK_COMMA,
    TOK_SEMICOLON,
    TOK_PIPE,
    TOK_LPAREN,
    TOK_RPAREN,
    TOK_LBRACKET,
    TOK_RBRACKET,
    TOK_LBRACE,
    TOK_RBRACE,
} tpl_token_kind;

typedef struct tpl_token {
    tpl_token_kind kind;
    uint32_t line;
    ag_span text; /* TEXT, NAME, INT, FLOAT: as written; STRING: unescaped */
} tpl_token;

/* What a token is called in messages. */
const char *ag_tpl_token_name(tpl_token_kind kind);
/* Cut `source` (valid UTF-8; kept by the arena's owner as long as the tokens) into tokens; the last
 * is TOK_EOF. Everything lies in the arena. AG_E_TEMPLATE, AG_E_NOMEM. */
ag_code ag_tpl_lex(ag_arena *arena, ag_span source, tpl_token **out, size_t *n,
                   ag_err *err) AG_MUST_USE;

#endif
