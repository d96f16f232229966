/* Filters, tests and methods: their tables and what they share. */
#ifndef AG_TEXT_TEMPLATE_FILTER_H
#define AG_TEXT_TEMPLATE_FILTER_H

#include "text/template/scope.h"

typedef tpl_value (*tpl_filter_fn)(tpl_run *r, tpl_value v, const tpl_args *args);
typedef struct tpl_filter {
    const char *name;
    tpl_filter_fn call;
} tpl_filter;
typedef bool (*tpl_test_fn)(tpl_run *r, tpl_value v, const tpl_args *args);
typedef struct tpl_test {
    const char *name;
    tpl_test_fn call;
} tpl_test;

/* NULL when there is none of that name. */
const tpl_filter *ag_tpl_find_filter(ag_span name);
const tpl_test *ag_tpl_find_test(ag_span name);
extern const tpl_filter ag_tpl_text_filters[], ag_tpl_list_filters[], ag_tpl_pick_filters[];

/* The method `name` of a value of this kind, bound to it; false when there is none. */
bool ag_tpl_find_method(tpl_run *r, tpl_value self, ag_span name, tpl_value *out);
extern const struct tpl_method_row {
    const char *name;
    tpl_method_fn call;
} ag_tpl_str_methods[];

/* Put arguments in the order of the NULL-terminated `names`; those not given are MISSING. Fails
 * when one of the first `required` is missing, or one is unknown, too many, or given twice. */
bool ag_tpl_bind(tpl_run *r, const char *what, const tpl_args *args, const char *const *names,
                 size_t required, tpl_value *out);
/* Checked arguments: `missing` for one that was not given. */
tpl_int ag_tpl_int_arg(tpl_run *r, const char *what, tpl_value v, tpl_int missing);
/* A string, or NULL when not given (or none and none is allowed) and on failure. */
const tpl_str *ag_tpl_str_arg(tpl_run *r, const char *what, tpl_value v, bool none_allowed);

/* Stable order of n values as Python's sorted() has it: the indices. NULL after a failure. */
size_t *ag_tpl_sort(tpl_run *r, const tpl_value *keys, size_t n, bool reverse);
/* The part of `item` that an attribute argument ("a.b", 0) names. MISSING names the item. */
tpl_value ag_tpl_attribute(tpl_run *r, tpl_value item, tpl_value attribute);
/* Strings in lower case, others as they are: the key of case-insensitive filters. */
tpl_value ag_tpl_ignore_case(tpl_run *r, tpl_value v);

tpl_value ag_tpl_filter_tojson(tpl_run *r, tpl_value v, const tpl_args *args);
tpl_value ag_tpl_filter_from_json(tpl_run *r, tpl_value v, const tpl_args *args);
/* format.c: "%s" % values, and "{}".format(...) */
tpl_value ag_tpl_percent(tpl_run *r, const tpl_str *format, tpl_value values);
tpl_value ag_tpl_format(tpl_run *r, const tpl_str *format, const tpl_args *args);

/* convert.c: JSON to values; strings and keys of `user` JSON are marked. */
tpl_value ag_tpl_from_json(tpl_run *r, const json_t *json, bool user);

#endif
