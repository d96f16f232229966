/* Methods of strings, as Python's str has them. Results of markup are markup, and what is put into
 * markup is escaped first. */
#include "text/template/filter.h"

static const char *const no_names[] = {NULL};

/* ---- arguments ------------------------------------------------------------------------------- */

/* The one optional string argument of strip and its kin. */
static bool chars_arg(tpl_run *r, const char *what, const tpl_args *args, const tpl_str **chars) {
    static const char *const names[] = {"chars", NULL};
    tpl_value v;
    if (!ag_tpl_bind(r, what, args, names, 0, &v))
        return false;
    *chars = ag_tpl_str_arg(r, what, v, true);
    return !tpl_failed(r);
}

/* Required string number i. */
static const tpl_str *need_str(tpl_run *r, const char *what, const tpl_args *args, size_t i) {
    if (i < args->n)
        return ag_tpl_str_arg(r, what, args->pos[i], false);
    ag_tpl_fail(r, "%s() takes a string argument", what);
    return NULL;
}

/* Byte offset of a code point index that may be negative or past the end. */
static size_t offset_arg(tpl_run *r, const char *what, const tpl_str *s, const tpl_args *args,
                         size_t i, size_t missing) {
    if (i >= args->n || args->pos[i].kind == TPL_NONE)
        return missing;
    tpl_int at = ag_tpl_int_arg(r, what, args->pos[i], 0);
    tpl_int length = (tpl_int)ag_tpl_str_length(s);
    if (at < 0)
        at = at + length < 0 ? 0 : at + length;
    return at > length ? SIZE_MAX : ag_tpl_offset(s, (size_t)at);
}

typedef struct part {
    const tpl_str *needle;
    size_t from, to; /* bytes of the string to look at; from > to: nothing can be found */
} part;

/* (needle, start=0, end=len): the arguments of find, count, ... */
static bool part_args(tpl_run *r, const char *what, const tpl_str *s, const tpl_args *args,
                      part *out) {
    if (args->n > 3 || args->n_kw) {
        ag_tpl_fail(r, "%s() takes 1 to 3 positional arguments", what);
        return false;
    }
    out->needle = need_str(r, what, args, 0);
    out->from = offset_arg(r, what, s, args, 1, 0);
    out->to = offset_arg(r, what, s, args, 2, s->n);
    if (out->to == SIZE_MAX)
        out->to = s->n;
    return !tpl_failed(r);
}

static tpl_value like(tpl_run *r, const tpl_str *self, const tpl_str *s) {
    return tpl_string(ag_tpl_str_as(r, s, self->markup));
}

/* ---- stripping, case, replacing -------------------------------------------------------------- */

static tpl_value strip(tpl_run *r, tpl_value self, const tpl_args *args, const char *what,
                       tpl_strip sides) {
    const tpl_str *chars;
    return chars_arg(r, what, args, &chars) ? tpl_string(ag_tpl_str_strip(r, self.s, chars, sides))
                                            : tpl_undef();
}
static tpl_value str_strip(tpl_run *r, tpl_value self, const tpl_args *args) {
    return strip(r, self, args, "strip", TPL_STRIP_BOTH);
}
static tpl_value str_lstrip(tpl_run *r, tpl_value self, const tpl_args *args) {
    return strip(r, self, args, "lstrip", TPL_STRIP_LEFT);
}
static tpl_value str_rstrip(tpl_run *r, tpl_value self, const tpl_args *args) {
    return strip(r, self, args, "rstrip", TPL_STRIP_RIGHT);
}

typedef const tpl_str *(*map_fn)(tpl_run *r, const tpl_str *s);
static tpl_value mapped(tpl_run *r, tpl_value self, const tpl_args *args, map_fn map) {
    return ag_tpl_bind(r, "this method", args, no_names, 0, NULL) ? tpl_string(map(r, self.s))
                                                                  : tpl_undef();
}
static tpl_value str_upper(tpl_run *r, tpl_value self, const tpl_args *args) {
    return mapped(r, self, args, ag_tpl_str_upper);
}
static tpl_value str_lower(tpl_run *r, tpl_value self, const tpl_args *args) {
    return mapped(r, self, args, ag_tpl_str_lower);
}
static tpl_value str_title(tpl_run *r, tpl_value self, const tpl_args *args) {
    return mapped(r, self, args, ag_tpl_str_title);
}
static tpl_value str_capitalize(tpl_run *r, tpl_value self, const tpl_args *args) {
    return mapped(r, self, args, ag_tpl_str_capitalize);
}

static tpl_value str_replace(tpl_run *r, tpl_value self, const tpl_args *args) {
    static const char *const names[] = {"old", "new", "count", NULL};
    tpl_value a[3];
    if (!ag_tpl_bind(r, "replace", args, names, 2, a))
        return tpl_undef();
    const tpl_str *from = ag_tpl_str_arg(r, "replace", a[0], false);
    const tpl_str *to = ag_tpl_str_arg(r, "replace", a[1], false);
    tpl_int max = ag_tpl_int_arg(r, "replace", a[2], -1);
    from = ag_tpl_str_soft(r, self.s, from);
    to = ag_tpl_str_soft(r, self.s, to);
    return like(
        r, self.s,
        ag_tpl_str_replace(r, self.s, from, to, max < 0 || max > INT64_MAX ? -1 : (int64_t)max));
}

static tpl_value str_removeprefix(tpl_run *r, tpl_value self, const tpl_args *args) {
    const tpl_str *s = self.s, *prefix = need_str(r, "removeprefix", args, 0);
    if (!prefix || !ag_span_starts(tpl_span(s), tpl_span(prefix)))
        return self;
    return tpl_string(ag_tpl_str_sub(r, s, prefix->n, s->n));
}

static tpl_value str_removesuffix(tpl_run *r, tpl_value self, const tpl_args *args) {
    const tpl_str *s = self.s, *suffix = need_str(r, "removesuffix", args, 0);
    if (!suffix || !ag_span_ends(tpl_span(s), tpl_span(suffix)))
        return self;
    return tpl_string(ag_tpl_str_sub(r, s, 0, s->n - suffix->n));
}

/* ---- splitting ------------------------------------------------------------------------------- */

static bool split_args(tpl_run *r, const char *what, const tpl_args *args, const tpl_str **sep,
                       int64_t *max) {
    static const char *const names[] = {"sep", "maxsplit", NULL};
    tpl_value a[2];
    if (!ag_tpl_bind(r, what, args, names, 0, a))
        return false;
    *sep = ag_tpl_str_arg(r, what, a[0], true);
    tpl_int n = ag_tpl_int_arg(r, what, a[1], -1);
    *max = n < 0 || n > INT64_MAX ? INT64_MAX : (int64_t)n;
    if (*sep && (*sep)->n == 0)
        ag_tpl_fail(r, "empty separator");
    return !tpl_failed(r);
}

static bool push_part(tpl_run *r, tpl_vec *parts, const tpl_str *s, size_t from, size_t to) {
    return ag_tpl_push(r, parts, tpl_string(ag_tpl_str_sub(r, s, from, to)));
}

/* Words between runs of white space. */
static void split_words(tpl_run *r, const tpl_str *s, int64_t max, tpl_vec *parts) {
    size_t at = 0, n;
    while (ag_tpl_spend(r, 1)) {
        while (at < s->n && ag_tpl_is_space(ag_tpl_cp(s, at, &n)))
            at += n;
        if (at >= s->n)
            return;
        size_t from = at;
        if (max-- == 0) { /* the rest, without white space at its end */
            const tpl_str *rest = ag_tpl_str_sub(r, s, from, s->n);
            ag_tpl_push(r, parts, tpl_string(ag_tpl_str_strip(r, rest, NULL, TPL_STRIP_RIGHT)));
            return;
        }
        while (at < s->n && !ag_tpl_is_space(ag_tpl_cp(s, at, &n)))
            at += n;
        if (!push_part(r, parts, s, from, at))
            return;
    }
}

static tpl_value str_split(tpl_run *r, tpl_value self, const tpl_args *args) {
    const tpl_str *sep;
    int64_t max;
    tpl_vec parts = {0};
    if (!split_args(r, "split", args, &sep, &max))
        return tpl_undef();
    if (!sep) {
        split_words(r, self.s, max, &parts);
        return ag_tpl_list(r, TPL_LIST, parts.v, parts.n);
    }
    size_t from = 0;
    for (; max > 0; max--) {
        size_t at = ag_tpl_str_find(r, self.s, sep, from);
        if (at == SIZE_MAX || !push_part(r, &parts, self.s, from, at))
            break;
        from = at + sep->n;
    }
    push_part(r, &parts, self.s, from, self.s->n);
    return ag_tpl_list(r, TPL_LIST, parts.v, parts.n);
}

static tpl_value reversed(tpl_run *r, tpl_vec *parts) {
    for (size_t i = 0, j = parts->n; i + 1 < j; i++) {
        tpl_value v = parts->v[i];
        parts->v[i] = parts->v[--j];
        parts->v[j] = v;
    }
    return ag_tpl_list(r, TPL_LIST, parts->v, parts->n);
}

/* Start of the code point that ends at byte `to` (> 0). */
static size_t before(const tpl_str *s, size_t to) {
    size_t at = to - 1;
    while (at > 0 && ((uint8_t)s->p[at] & 0xc0) == 0x80)
        at--;
    return at;
}

static bool space_ends_at(const tpl_str *s, size_t to) {
    size_t n;
    return ag_tpl_is_space(ag_tpl_cp(s, before(s, to), &n));
}

static void rsplit_words(tpl_run *r, const tpl_str *s, int64_t max, tpl_vec *parts) {
    size_t to = s->n;
    while (ag_tpl_spend(r, 1)) {
        while (to > 0 && space_ends_at(s, to))
            to = before(s, to);
        if (to == 0)
            return;
        size_t from = to;
        if (max-- == 0) {
            const tpl_str *rest = ag_tpl_str_sub(r, s, 0, to);
            ag_tpl_push(r, parts, tpl_string(ag_tpl_str_strip(r, rest, NULL, TPL_STRIP_LEFT)));
            return;
        }
        while (from > 0 && !space_ends_at(s, from))
            from = before(s, from);
        if (!push_part(r, parts, s, from, to))
            return;
        to = from;
    }
}

static tpl_value str_rsplit(tpl_run *r, tpl_value self, const tpl_args *args) {
    const tpl_str *sep;
    int64_t max;
    tpl_vec parts = {0};
    if (!split_args(r, "rsplit", args, &sep, &max))
        return tpl_undef();
    if (!sep) {
        rsplit_words(r, self.s, max, &parts);
        return reversed(r, &parts);
    }
    size_t to = self.s->n;
    for (; max > 0; max--) {
        size_t at = ag_tpl_str_rfind(r, self.s, sep, to);
        if (at == SIZE_MAX || !push_part(r, &parts, self.s, at + sep->n, to))
            break;
        to = at;
    }
    push_part(r, &parts, self.s, 0, to);
    return reversed(r, &parts);
}

static tpl_value str_splitlines(tpl_run *r, tpl_value self, const tpl_args *args) {
    static const char *const names[] = {"keepends", NULL};
    tpl_value keep;
    tpl_vec parts = {0};
    const tpl_str *s = self.s;
    if (!ag_tpl_bind(r, "splitlines", args, names, 0, &keep))
        return tpl_undef();
    for (size_t from = 0, at = 0; from < s->n && ag_tpl_spend(r, 1); from = at) {
        size_t n = 0, end;
        while (at < s->n && !(n = ag_tpl_line_end(s, at)))
            at++;
        end = at;
        at += n;
        if (!push_part(r, &parts, s, from, ag_tpl_truth(keep) ? at : end))
            break;
    }
    return ag_tpl_list(r, TPL_LIST, parts.v, parts.n);
}

static tpl_value partition(tpl_run *r, tpl_value self, const tpl_args *args, bool last) {
    const tpl_str *s = self.s, *sep = need_str(r, "partition", args, 0);
    tpl_vec parts = {0};
    if (!sep)
        return tpl_undef();
    if (sep->n == 0)
        return ag_tpl_fail(r, "empty separator");
    size_t at = last ? ag_tpl_str_rfind(r, s, sep, s->n) : ag_tpl_str_find(r, s, sep, 0);
    bool found = at != SIZE_MAX;
    size_t cut = found ? at : last ? 0 : s->n;
    push_part(r, &parts, s, 0, cut);
    push_part(r, &parts, s, cut, found ? cut + sep->n : cut);
    push_part(r, &parts, s, found ? cut + sep->n : cut, s->n);
    return ag_tpl_list(r, TPL_TUPLE, parts.v, parts.n);
}
static tpl_value str_partition(tpl_run *r, tpl_value self, const tpl_args *args) {
    return partition(r, self, args, false);
}
static tpl_value str_rpartition(tpl_run *r, tpl_value self, const tpl_args *args) {
    return partition(r, self, args, true);
}

static tpl_value str_join(tpl_run *r, tpl_value self, const tpl_args *args) {
    static const char *const names[] = {"iterable", NULL};
    tpl_value items;
    if (!ag_tpl_bind(r, "join", args, names, 1, &items))
        return tpl_undef();
    tpl_builder b = tpl_builder_of(r);
    tpl_iter *it = ag_tpl_iter(r, items);
    size_t i = 0;
    for (tpl_value item; ag_tpl_next(r, it, &item); i++) {
        if (item.kind != TPL_STR && !self.s->markup)
            return ag_tpl_fail(r, "sequence item %zu: expected str instance, %s found", i,
                               ag_tpl_type_name(item));
        if (i)
            tpl_add_all(&b, self.s);
        tpl_add_all(&b, ag_tpl_str_soft(r, self.s, ag_tpl_to_str(r, item)));
    }
    return like(r, self.s, ag_tpl_built(&b));
}

/* ---- searching ------------------------------------------------------------------------------- */

static tpl_value found_at(tpl_run *r, const tpl_str *s, size_t at, bool must) {
    if (at == SIZE_MAX)
        return must ? ag_tpl_fail(r, "substring not found") : tpl_integer(-1);
    tpl_str head = {.p = s->p, .n = at};
    return tpl_integer((tpl_int)ag_tpl_str_length(&head));
}

static tpl_value search(tpl_run *r, tpl_value self, const tpl_args *args, const char *what,
                        bool last, bool must) {
    part p;
    size_t at = SIZE_MAX;
    if (!part_args(r, what, self.s, args, &p))
        return tpl_undef();
    if (p.from <= p.to && p.needle->n <= p.to - p.from) {
        at = last ? ag_tpl_str_rfind(r, self.s, p.needle, p.to)
                  : ag_tpl_str_find(r, self.s, p.needle, p.from);
        if (at != SIZE_MAX && (at < p.from || at > p.to - p.needle->n))
            at = SIZE_MAX;
    }
    return found_at(r, self.s, at, must);
}
static tpl_value str_find(tpl_run *r, tpl_value self, const tpl_args *args) {
    return search(r, self, args, "find", false, false);
}
static tpl_value str_rfind(tpl_run *r, tpl_value self, const tpl_args *args) {
    return search(r, self, args, "rfind", true, false);
}
static tpl_value str_index(tpl_run *r, tpl_value self, const tpl_args *args) {
    return search(r, self, args, "index", false, true);
}
static tpl_value str_rindex(tpl_run *r, tpl_value self, const tpl_args *args) {
    return search(r, self, args, "rindex", true, true);
}

static tpl_value str_count(tpl_run *r, tpl_value self, const tpl_args *args) {
    part p;
    tpl_int n = 0;
    if (!part_args(r, "count", self.s, args, &p))
        return tpl_undef();
    if (p.from > p.to)
        return tpl_integer(0);
    if (p.needle->n == 0) {
        tpl_str all = {.p = self.s->p + p.from, .n = p.to - p.from};
        return tpl_integer((tpl_int)ag_tpl_str_length(&all) + 1);
    }
    for (size_t at = p.from;; n++) {
        at = ag_tpl_str_find(r, self.s, p.needle, at);
        if (at == SIZE_MAX || at + p.needle->n > p.to)
            return tpl_integer(n);
        at += p.needle->n;
    }
}

/* startswith and endswith take one string or a tuple of them. */
static bool any_fits(tpl_run *r, const char *what, ag_span s, tpl_value tries, bool at_end) {
    if (tries.kind == TPL_STR)
        return at_end ? ag_span_ends(s, tpl_span(tries.s)) : ag_span_starts(s, tpl_span(tries.s));
    if (tries.kind != TPL_TUPLE) {
        ag_tpl_fail(r, "%s first arg must be str or a tuple of str, not %s", what,
                    ag_tpl_type_name(tries));
        return false;
    }
    for (size_t i = 0; i < tries.l->n && ag_tpl_spend(r, 1); i++) {
        const tpl_str *one = ag_tpl_str_arg(r, what, tries.l->v[i], false);
        if (one && any_fits(r, what, s, tries.l->v[i], at_end))
            return true;
    }
    return false;
}

static tpl_value fits(tpl_run *r, tpl_value self, const tpl_args *args, bool at_end) {
    const char *what = at_end ? "endswith" : "startswith";
    if (args->n < 1 || args->n > 3 || args->n_kw)
        return ag_tpl_fail(r, "%s() takes 1 to 3 positional arguments", what);
    size_t from = offset_arg(r, what, self.s, args, 1, 0);
    size_t to = offset_arg(r, what, self.s, args, 2, self.s->n);
    if (tpl_failed(r) || from > self.s->n || from > to)
        return tpl_bool(false);
    return tpl_bool(
        any_fits(r, what, ag_span_sub(tpl_span(self.s), from, to), args->pos[0], at_end));
}
static tpl_value str_startswith(tpl_run *r, tpl_value self, const tpl_args *args) {
    return fits(r, self, args, false);
}
static tpl_value str_endswith(tpl_run *r, tpl_value self, const tpl_args *args) {
    return fits(r, self, args, true);
}

/* ---- classes and padding --------------------------------------------------------------------- */

#define CLASS_METHOD(name, condition)                                                              \
    static tpl_value str_##name(tpl_run *r, tpl_value self, const tpl_args *args) {                \
        return ag_tpl_bind(r, #name, args, no_names, 0, NULL) ? tpl_bool(condition) : tpl_undef(); \
    }
CLASS_METHOD(isalpha, ag_tpl_str_is(self.s, TPL_CLASS_ALPHA))
CLASS_METHOD(isdigit, ag_tpl_str_is(self.s, TPL_CLASS_DIGIT))
CLASS_METHOD(isnumeric, ag_tpl_str_is(self.s, TPL_CLASS_NUMERIC))
CLASS_METHOD(isdecimal, ag_tpl_str_is(self.s, TPL_CLASS_DECIMAL))
CLASS_METHOD(isalnum, ag_tpl_str_is(self.s, TPL_CLASS_ALNUM))
CLASS_METHOD(isspace, ag_tpl_str_is(self.s, TPL_CLASS_SPACE))
CLASS_METHOD(isprintable, ag_tpl_str_is(self.s, TPL_CLASS_PRINTABLE))
CLASS_METHOD(islower, ag_tpl_str_is_lower(self.s))
CLASS_METHOD(isupper, ag_tpl_str_is_upper(self.s))
CLASS_METHOD(istitle, ag_tpl_str_is_title(self.s))

/* Pad to args' width: `left` and `right` say where; both: centre. */
static tpl_value pad(tpl_run *r, tpl_value self, const tpl_args *args, bool left, bool right) {
    static const char *const names[] = {"width", "fillchar", NULL};
    tpl_value a[2];
    if (!ag_tpl_bind(r, "justify", args, names, 1, a))
        return tpl_undef();
    tpl_int width = ag_tpl_int_arg(r, "justify", a[0], 0);
    const tpl_str *fill = ag_tpl_str_arg(r, "justify", a[1], false);
    if (!fill)
        fill = ag_tpl_str(r, " ", 1, false);
    tpl_int length = (tpl_int)ag_tpl_str_length(self.s);
    if (tpl_failed(r) || width <= length)
        return self;
    if (ag_tpl_str_length(fill) != 1)
        return ag_tpl_fail(r, "the fill character must be exactly one character long");
    fill = ag_tpl_str_soft(r, self.s, fill);
    tpl_int n = width - length, before_it = left && right ? n / 2 + (n & width & 1) : left ? n : 0;
    tpl_builder b = tpl_builder_of(r);
    for (tpl_int i = 0; i < n && ag_tpl_spend(r, 1); i++) {
        if (i == before_it)
            tpl_add_all(&b, self.s);
        tpl_add_all(&b, fill);
    }
    if (before_it == n)
        tpl_add_all(&b, self.s);
    return like(r, self.s, ag_tpl_built(&b));
}
static tpl_value str_ljust(tpl_run *r, tpl_value self, const tpl_args *args) {
    return pad(r, self, args, false, true);
}
static tpl_value str_rjust(tpl_run *r, tpl_value self, const tpl_args *args) {
    return pad(r, self, args, true, false);
}
static tpl_value str_center(tpl_run *r, tpl_value self, const tpl_args *args) {
    return pad(r, self, args, true, true);
}

static tpl_value str_zfill(tpl_run *r, tpl_value self, const tpl_args *args) {
    static const char *const names[] = {"width", NULL};
    tpl_value a;
    if (!ag_tpl_bind(r, "zfill", args, names, 1, &a))
        return tpl_undef();
    const tpl_str *s = self.s;
    tpl_int n = ag_tpl_int_arg(r, "zfill", a, 0) - (tpl_int)ag_tpl_str_length(s);
    size_t sign = s->n && (s->p[0] == '-' || s->p[0] == '+');
    tpl_builder b = tpl_builder_of(r);
    ag_tpl_add_part(&b, s, 0, sign);
    for (tpl_int i = 0; i < n && ag_tpl_spend(r, 1); i++)
        ag_tpl_adds(&b, "0");
    ag_tpl_add_part(&b, s, sign, s->n);
    return like(r, s, ag_tpl_built(&b));
}

static tpl_value str_format(tpl_run *r, tpl_value self, const tpl_args *args) {
    return ag_tpl_format(r, self.s, args);
}

const struct tpl_method_row ag_tpl_str_methods[] = {{"strip", str_strip},
                                                    {"lstrip", str_lstrip},
                                                    {"rstrip", str_rstrip},
                                                    {"split", str_split},
                                                    {"rsplit", str_rsplit},
                                                    {"splitlines", str_splitlines},
                                                    {"partition", str_partition},
                                                    {"rpartition", str_rpartition},
                                                    {"join", str_join},
                                                    {"replace", str_replace},
                                                    {"startswith", str_startswith},
                                                    {"endswith", str_endswith},
                                                    {"find", str_find},
                                                    {"rfind", str_rfind},
                                                    {"index", str_index},
                                                    {"rindex", str_rindex},
                                                    {"count", str_count},
                                                    {"upper", str_upper},
                                                    {"lower", str_lower},
                                                    {"title", str_title},
                                                    {"capitalize", str_capitalize},
                                                    {"removeprefix", str_removeprefix},
                                                    {"removesuffix", str_removesuffix},
                                                    {"format", str_format},
                                                    {"isalpha", str_isalpha},
                                                    {"isdigit", str_isdigit},
                                                    {"isnumeric", str_isnumeric},
                                                    {"isdecimal", str_isdecimal},
                                                    {"isalnum", str_isalnum},
                                                    {"isspace", str_isspace},
                                                    {"isprintable", str_isprintable},
                                                    {"islower", str_islower},
                                                    {"isupper", str_isupper},
                                                    {"istitle", str_istitle},
                                                    {"ljust", str_ljust},
                                                    {"rjust", str_rjust},
                                                    {"center", str_center},
                                                    {"zfill", str_zfill},
                                                    {NULL, NULL}};
