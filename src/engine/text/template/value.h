/* Values of the template language and the state of one render.
 *
 * Values are Python's, as far as templates can tell. Everything but namespaces, iterators, cyclers
 * and joiners is immutable, and everything lives in the render's arena.
 *
 * Errors stick: the first failure is recorded in the run, after which every function returns an
 * undefined value or false at once. Callers may therefore chain calls and check `failed` where it
 * matters: in loops and before trusting a result's kind. Thread: a run belongs to one. */
#ifndef AG_TEXT_TEMPLATE_VALUE_H
#define AG_TEXT_TEMPLATE_VALUE_H

#include "base/arena.h"
#include "text/template/str.h"

__extension__ typedef __int128 tpl_int; /* Python's integers are unbounded; past 128 bits we fail */
__extension__ typedef unsigned __int128 tpl_uint;

typedef enum tpl_kind {
    TPL_UNDEFINED,
    TPL_MISSING, /* never seen by a template: an argument not given, a variable not yet set */
    TPL_NONE,
    TPL_BOOL,
    TPL_INT,
    TPL_FLOAT,
    TPL_STR,
    TPL_LIST,
    TPL_TUPLE,
    TPL_DICT,
    TPL_VIEW, /* d.keys(), d.values(), d.items() */
    TPL_RANGE,
    TPL_ITER, /* a generator: lazy, read once */
    TPL_NAMESPACE,
    TPL_MACRO,
    TPL_FUNC,   /* a global function */
    TPL_METHOD, /* a method bound to its object */
    TPL_LOOP,   /* the variable `loop` */
    TPL_CYCLER,
    TPL_JOINER,
} tpl_kind;

typedef struct tpl_value tpl_value;
typedef struct tpl_list tpl_list;
typedef struct tpl_dict tpl_dict;
typedef struct tpl_view tpl_view;
typedef struct tpl_range tpl_range;
typedef struct tpl_iter tpl_iter;
typedef struct tpl_undefined tpl_undefined;
typedef struct tpl_macro tpl_macro;
typedef struct tpl_func tpl_func;
typedef struct tpl_method tpl_method;
typedef struct tpl_loop tpl_loop;
typedef struct tpl_cycler tpl_cycler;
typedef struct tpl_run tpl_run;
typedef struct tpl_args tpl_args;
typedef struct tpl_scope tpl_scope;

struct tpl_value {
    tpl_kind kind;
    union {
        bool b;
        tpl_int i;
        double f;
        const tpl_str *s;
        const tpl_list *l; /* LIST, TUPLE */
        tpl_dict *d;       /* DICT, NAMESPACE (its attributes) */
        const tpl_view *view;
        const tpl_range *range;
        tpl_iter *iter;
        const tpl_undefined *u; /* may be NULL: nothing is known about it */
        const tpl_macro *macro;
        const tpl_func *func;
        const tpl_method *method;
        tpl_loop *loop;
        tpl_cycler *cycler; /* CYCLER, JOINER */
    };
};

struct tpl_list {
    tpl_value *v;
    size_t n;
    bool group; /* the pair (grouper, list) that groupby makes: its items have these names too */
};

typedef struct tpl_entry {
    uint64_t hash;
    tpl_value key, value;
} tpl_entry;

struct tpl_dict { /* in insertion order */
    tpl_entry *e;
    size_t n, room;
};

typedef enum tpl_view_kind { TPL_KEYS, TPL_VALUES, TPL_ITEMS } tpl_view_kind;
struct tpl_view {
    const tpl_dict *d;
    tpl_view_kind kind;
};

struct tpl_range {
    tpl_int start, stop, step;
    size_t n;
};

struct tpl_undefined {
    const tpl_str *name; /* of the variable or attribute; NULL for an element that is not text */
    const char *owner;   /* type of the object that lacks it; NULL for a variable */
    const char *hint;    /* says it all; NULL: made from the above */
    bool unsafe;         /* the sandbox hides it */
};

typedef tpl_value (*tpl_call_fn)(tpl_run *r, const tpl_args *args);
typedef tpl_value (*tpl_method_fn)(tpl_run *r, tpl_value self, const tpl_args *args);
struct tpl_func {
    const char *name;
    tpl_call_fn call;
};
struct tpl_method {
    const char *name;
    tpl_method_fn call;
    tpl_value self;
};

struct tpl_cycler { /* also a joiner: one item, its separator */
    const tpl_value *v;
    size_t n, at;
};

struct tpl_args {
    const tpl_value *pos;
    size_t n;
    const tpl_str **names; /* of the keyword arguments */
    const tpl_value *kw;
    size_t n_kw;
};

/* ---- the render ------------------------------------------------------------------------------ */

struct tpl_run {
    ag_arena arena;
    ag_code code; /* sticky */
    ag_err *err;
    uint64_t steps_left;
    unsigned depth_left;
    size_t output_cap;
    const struct tm *now;
    uint32_t line;     /* of the node being evaluated, for messages */
    tpl_scope *scope;  /* innermost */
    tpl_builder *out;  /* where output goes */
    tpl_dict *context; /* the template's variables */
    const struct ag_template *t;
};

static inline bool tpl_failed(const tpl_run *r) { return r->code != AG_OK; }
/* Record a failure (the first one counts) and return an undefined value. */
tpl_value ag_tpl_fail(tpl_run *r, const char *fmt, ...) AG_PRINTF(2, 3);
tpl_value ag_tpl_fail_as(tpl_run *r, ag_code code, const char *fmt, ...) AG_PRINTF(3, 4);
/* The failure of using an undefined value. */
tpl_value ag_tpl_fail_undefined(tpl_run *r, tpl_value v);
/* Zeroed arena memory; NULL and failed past the budget or out of memory. */
void *ag_tpl_alloc(tpl_run *r, size_t n, size_t size);
/* Take n steps from the budget; false and failed when it is used up. */
bool ag_tpl_spend(tpl_run *r, uint64_t n);
/* Go one level deeper (false and failed at the limit) and come back. */
bool ag_tpl_enter(tpl_run *r);
static inline void tpl_leave(tpl_run *r) { r->depth_left++; }

/* ---- making values --------------------------------------------------------------------------- */

static inline tpl_value tpl_undef(void) { return (tpl_value){.kind = TPL_UNDEFINED}; }
static inline tpl_value tpl_missing(void) { return (tpl_value){.kind = TPL_MISSING}; }
static inline tpl_value tpl_none(void) { return (tpl_value){.kind = TPL_NONE}; }
static inline tpl_value tpl_bool(bool b) { return (tpl_value){.kind = TPL_BOOL, .b = b}; }
static inline tpl_value tpl_integer(tpl_int i) { return (tpl_value){.kind = TPL_INT, .i = i}; }
static inline tpl_value tpl_float(double f) { return (tpl_value){.kind = TPL_FLOAT, .f = f}; }
/* NULL (a failed allocation) gives an undefined value. */
static inline tpl_value tpl_string(const tpl_str *s) {
    return s ? (tpl_value){.kind = TPL_STR, .s = s} : tpl_undef();
}
/* Unmarked text; copied. */
tpl_value ag_tpl_text(tpl_run *r, const char *s);
tpl_value ag_tpl_undef_name(tpl_run *r, const tpl_str *name);
tpl_value ag_tpl_undef_attr(tpl_run *r, tpl_value owner, tpl_value name);
tpl_value ag_tpl_undef_unsafe(tpl_run *r, tpl_value owner, const tpl_str *name);
tpl_value ag_tpl_undef_hint(tpl_run *r, const char *hint); /* hint is a literal */
/* A list or tuple over v, which becomes its own. */
tpl_value ag_tpl_list(tpl_run *r, tpl_kind kind, tpl_value *v, size_t n);
tpl_value ag_tpl_pair(tpl_run *r, tpl_value a, tpl_value b); /* a tuple */
tpl_value ag_tpl_dict(tpl_run *r, size_t room);
/* Set or replace; an unhashable key fails. */
bool ag_tpl_dict_set(tpl_run *r, tpl_dict *d, tpl_value key, tpl_value value);
/* The value under key, or NULL. An unhashable key is simply not found. */
const tpl_value *ag_tpl_dict_find(tpl_run *r, const tpl_dict *d, tpl_value key);
const tpl_value *ag_tpl_dict_find_text(const tpl_dict *d, ag_span key);

/* A growing array in the arena. */
typedef struct tpl_vec {
    tpl_value *v;
    size_t n, room;
} tpl_vec;
bool ag_tpl_push(tpl_run *r, tpl_vec *vec, tpl_value v);

/* ---- asking values --------------------------------------------------------------------------- */

const char *ag_tpl_type_name(tpl_value v); /* as Python's type(v).__name__ */
bool ag_tpl_truth(tpl_value v);
bool ag_tpl_is_hashable(tpl_value v);
static inline bool tpl_is_int(tpl_value v) { return v.kind == TPL_INT || v.kind == TPL_BOOL; }
static inline bool tpl_is_number(tpl_value v) { return tpl_is_int(v) || v.kind == TPL_FLOAT; }
static inline tpl_int tpl_to_int(tpl_value v) { return v.kind == TPL_BOOL ? v.b : v.i; }
static inline double tpl_to_float(tpl_value v) {
    return v.kind == TPL_FLOAT ? v.f : (double)tpl_to_int(v);
}
bool ag_tpl_equal(tpl_run *r, tpl_value a, tpl_value b);
/* -1, 0, 1 by Python's order, 2 when a NaN is involved; values without an order fail. */
int ag_tpl_compare(tpl_run *r, tpl_value a, tpl_value b, const char *op);
/* `a in b` */
bool ag_tpl_contains(tpl_run *r, tpl_value b, tpl_value a);
/* len(v); false when v has none. */
bool ag_tpl_length(tpl_value v, size_t *n);

/* str(v) and repr(v). */
const tpl_str *ag_tpl_to_str(tpl_run *r, tpl_value v);
void ag_tpl_add_str(tpl_run *r, tpl_builder *b, tpl_value v);
void ag_tpl_add_repr(tpl_run *r, tpl_builder *b, tpl_value v);

/* ---- iterating ------------------------------------------------------------------------------- */

/* An iterator over v, which must be iterable. */
tpl_iter *ag_tpl_iter(tpl_run *r, tpl_value v);
bool ag_tpl_is_iterable(tpl_value v);
/* The next item, or false at the end and on failure. */
bool ag_tpl_next(tpl_run *r, tpl_iter *it, tpl_value *out);
/* All items of v as a list or tuple. */
tpl_value ag_tpl_collect(tpl_run *r, tpl_value v, tpl_kind kind);
/* A generator that hands out what `step` makes of the items of `source`. */
typedef bool (*tpl_step_fn)(tpl_run *r, void *state, tpl_value item, tpl_value *out, bool *keep);
tpl_value ag_tpl_generator(tpl_run *r, tpl_iter *source, tpl_step_fn step, void *state);
/* A generator over the items of l, in reverse order if asked. */
tpl_value ag_tpl_generator_over(tpl_run *r, tpl_value list, bool reversed);

#endif
