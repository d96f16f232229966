/* The syntax tree of a template. Constant once parsed; everything lies in the template's arena. */
#ifndef AG_TEXT_TEMPLATE_NODE_H
#define AG_TEXT_TEMPLATE_NODE_H

#include "text/template/lexer.h"
#include "text/template/template.h"
#include "text/template/value.h"

typedef enum tpl_node_kind {
    /* expressions */
    NODE_CONST,   /* value */
    NODE_NAME,    /* name, id */
    NODE_NSREF,   /* name, id: the namespace; attr: only as a target of set */
    NODE_LIST,    /* items */
    NODE_TUPLE,   /* items */
    NODE_DICT,    /* items: key, value, key, value, ... */
    NODE_COND,    /* a if b else c (NULL: undefined) */
    NODE_OR,      /* a, b */
    NODE_AND,     /* a, b */
    NODE_NOT,     /* a */
    NODE_COMPARE, /* a, items: NODE_OPERAND */
    NODE_OPERAND, /* op, a; `negated` for not in */
    NODE_BINARY,  /* a op b */
    NODE_CONCAT,  /* items */
    NODE_NEG,     /* a */
    NODE_POS,     /* a */
    NODE_ATTR,    /* a.attr */
    NODE_ITEM,    /* a[b] */
    NODE_SLICE,   /* a:b:c as the b of an ITEM; each may be NULL */
    NODE_CALL,    /* a(call) */
    NODE_FILTER,  /* a | name(call); a is NULL where the input is a block's text */
    NODE_TEST,    /* a is name(call) */
    /* statements */
    NODE_TEXT,         /* value */
    NODE_PRINT,        /* a */
    NODE_FOR,          /* for a in b if c (may be NULL): body, else other; flag: recursive */
    NODE_IF,           /* items: NODE_BRANCH */
    NODE_BRANCH,       /* if a (NULL: else) body */
    NODE_SET,          /* a = b */
    NODE_SET_BLOCK,    /* a = body, through the filter b (may be NULL) */
    NODE_MACRO,        /* name, id, params, body */
    NODE_CALL_BLOCK,   /* call a with NODE_MACRO b as its caller */
    NODE_FILTER_BLOCK, /* body through filter a */
    NODE_WITH,         /* items: target, value, target, value, ...; body */
    NODE_SCOPE,        /* body in a scope of its own (generation) */
    NODE_BREAK,
    NODE_CONTINUE,
} tpl_node_kind;

typedef struct tpl_node tpl_node;
typedef struct tpl_nodes {
    tpl_node **v;
    size_t n, room;
} tpl_nodes;

typedef struct tpl_param {
    uint32_t id;
    const tpl_str *name;
    tpl_node *value; /* of a call's keyword argument; a macro's default, NULL when it has none */
} tpl_param;
typedef struct tpl_params {
    tpl_param *v;
    size_t n, room;
} tpl_params;

typedef struct tpl_call {
    tpl_nodes pos;
    tpl_params kw;
    tpl_node *star, *star2; /* *args and **kwargs, may be NULL */
} tpl_call;

struct tpl_node {
    tpl_node_kind kind;
    tpl_token_kind op;
    uint32_t line;
    uint32_t id; /* of `name` among the template's names */
    bool negated;
    bool recursive;
    bool has_caller, has_varargs, has_kwargs; /* a macro's body uses them */
    const tpl_str *name, *attr;
    tpl_value value;
    tpl_node *a, *b, *c;
    tpl_nodes items, body, other;
    tpl_call call;
    tpl_params params;
    /* Names that are unset when the scope of this node opens, whatever the context says: the
     * reference binds a name to the innermost scope that assigns it (see analyze.c). */
    uint32_t *unset, *unset_other; /* of the body, and of a loop's else */
    size_t n_unset, n_unset_other;
};

/* Names every template has. */
enum { TPL_ID_LOOP, TPL_ID_CALLER, TPL_ID_VARARGS, TPL_ID_KWARGS, TPL_ID_FIRST_FREE };

struct ag_template {
    ag_arena arena;
    tpl_node root;  /* body */
    size_t n_names; /* ids are below it */
};

#endif
