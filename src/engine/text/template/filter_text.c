/* Filters that make strings. */
#include "text/template/filter.h"

static const char *const no_names[] = {NULL};

static tpl_value filter_string(tpl_run *r, tpl_value v, const tpl_args *args) {
    if (!ag_tpl_bind(r, "string", args, no_names, 0, NULL))
        return tpl_undef();
    return tpl_string(ag_tpl_to_str(r, v));
}

static tpl_value filter_upper(tpl_run *r, tpl_value v, const tpl_args *args) {
    if (!ag_tpl_bind(r, "upper", args, no_names, 0, NULL))
        return tpl_undef();
    return tpl_string(ag_tpl_str_upper(r, ag_tpl_to_str(r, v)));
}

static tpl_value filter_lower(tpl_run *r, tpl_value v, const tpl_args *args) {
    if (!ag_tpl_bind(r, "lower", args, no_names, 0, NULL))
        return tpl_undef();
    return tpl_string(ag_tpl_str_lower(r, ag_tpl_to_str(r, v)));
}

static tpl_value filter_capitalize(tpl_run *r, tpl_value v, const tpl_args *args) {
    if (!ag_tpl_bind(r, "capitalize", args, no_names, 0, NULL))
        return tpl_undef();
    return tpl_string(ag_tpl_str_capitalize(r, ag_tpl_to_str(r, v)));
}

static bool separates_words(uint32_t cp) {
    return ag_tpl_is_space(cp) || cp == '-' || cp == '(' || cp == '{' || cp == '[' || cp == '<';
}

/* Jinja's own idea of words, unlike str.title(): only white space and -({[< separate them. */
static tpl_value filter_title(tpl_run *r, tpl_value v, const tpl_args *args) {
    if (!ag_tpl_bind(r, "title", args, no_names, 0, NULL))
        return tpl_undef();
    const tpl_str *s = ag_tpl_to_str(r, v);
    if (!s)
        return tpl_undef();
    tpl_builder b = tpl_builder_of(r);
    bool first = true;
    for (size_t at = 0, n; at < s->n && ag_tpl_spend(r, 1);) {
        uint32_t cp = ag_tpl_cp(s, at, &n);
        size_t end = at + n;
        bool separator = separates_words(cp);
        while (!separator && !first && end < s->n && !separates_words(ag_tpl_cp(s, end, &n)))
            end += n;
        const tpl_str *part = ag_tpl_str_sub(r, s, at, end);
        tpl_add_all(&b, separator ? part
                        : first   ? ag_tpl_str_upper(r, part)
                                  : ag_tpl_str_lower(r, part));
        first = separator;
        at = end;
    }
    return tpl_string(ag_tpl_built(&b));
}

static tpl_value filter_trim(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"chars", NULL};
    tpl_value chars;
    if (!ag_tpl_bind(r, "trim", args, names, 0, &chars))
        return tpl_undef();
    const tpl_str *set = ag_tpl_str_arg(r, "trim", chars, true);
    return tpl_string(ag_tpl_str_strip(r, ag_tpl_to_str(r, v), set, TPL_STRIP_BOTH));
}

static tpl_value filter_replace(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"old", "new", "count", NULL};
    tpl_value a[3];
    if (!ag_tpl_bind(r, "replace", args, names, 2, a))
        return tpl_undef();
    tpl_int max = a[2].kind == TPL_NONE ? -1 : ag_tpl_int_arg(r, "replace", a[2], -1);
    const tpl_str *s = ag_tpl_str_as(r, ag_tpl_to_str(r, v), false);
    return tpl_string(ag_tpl_str_replace(r, s, ag_tpl_to_str(r, a[0]), ag_tpl_to_str(r, a[1]),
                                         max < 0 || max > INT64_MAX ? -1 : (int64_t)max));
}

static tpl_value filter_escape(tpl_run *r, tpl_value v, const tpl_args *args) {
    if (!ag_tpl_bind(r, "escape", args, no_names, 0, NULL))
        return tpl_undef();
    return tpl_string(ag_tpl_str_escape(r, ag_tpl_to_str(r, v)));
}

static tpl_value filter_forceescape(tpl_run *r, tpl_value v, const tpl_args *args) {
    if (!ag_tpl_bind(r, "forceescape", args, no_names, 0, NULL))
        return tpl_undef();
    return tpl_string(ag_tpl_str_escape(r, ag_tpl_str_as(r, ag_tpl_to_str(r, v), false)));
}

static tpl_value filter_safe(tpl_run *r, tpl_value v, const tpl_args *args) {
    if (!ag_tpl_bind(r, "safe", args, no_names, 0, NULL))
        return tpl_undef();
    return tpl_string(ag_tpl_str_as(r, ag_tpl_to_str(r, v), true));
}

static const tpl_str *spaces(tpl_run *r, tpl_int n) {
    tpl_builder b = tpl_builder_of(r);
    for (tpl_int i = 0; i < n && ag_tpl_spend(r, 1); i++)
        ag_tpl_adds(&b, " ");
    return ag_tpl_built(&b);
}

static tpl_value filter_indent(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"width", "first", "blank", NULL};
    tpl_value a[3];
    if (!ag_tpl_bind(r, "indent", args, names, 0, a))
        return tpl_undef();
    if (v.kind != TPL_STR)
        return v.kind == TPL_UNDEFINED
                   ? ag_tpl_fail_undefined(r, v)
                   : ag_tpl_fail(r, "indent needs a string, not %s", ag_tpl_type_name(v));
    const tpl_str *s = v.s, *by = a[0].kind == TPL_STR
                                      ? a[0].s
                                      : spaces(r, ag_tpl_int_arg(r, "indent", a[0], 4));
    bool blank = ag_tpl_truth(a[2]);
    tpl_builder b = tpl_builder_of(r);
    if (ag_tpl_truth(a[1]))
        tpl_add_all(&b, by);
    /* Lines as splitlines() sees them; each line end becomes one newline, a final one stays. */
    for (size_t at = 0, end = 0, n = 0; at <= s->n && ag_tpl_spend(r, 1); at = end + n) {
        for (end = at, n = 0; end < s->n && !(n = ag_tpl_line_end(s, end));)
            end++;
        if (at > 0)
            ag_tpl_adds(&b, "\n");
        if (at > 0 && (blank || end > at))
            tpl_add_all(&b, by);
        ag_tpl_add_part(&b, s, at, end);
        if (end == s->n)
            break;
    }
    return tpl_string(ag_tpl_str_as(r, ag_tpl_built(&b), s->markup));
}

static tpl_value filter_center(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"width", NULL};
    tpl_value a;
    if (!ag_tpl_bind(r, "center", args, names, 0, &a))
        return tpl_undef();
    const tpl_str *s = ag_tpl_to_str(r, v);
    if (!s)
        return tpl_undef();
    tpl_int length = (tpl_int)ag_tpl_str_length(s), width = ag_tpl_int_arg(r, "center", a, 80);
    tpl_int pad = width > length ? width - length : 0, left = pad / 2 + (pad & width & 1);
    tpl_builder b = tpl_builder_of(r);
    tpl_add_all(&b, spaces(r, left));
    tpl_add_all(&b, s);
    tpl_add_all(&b, spaces(r, pad - left));
    return tpl_string(ag_tpl_str_as(r, ag_tpl_built(&b), s->markup));
}

static tpl_value filter_truncate(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"length", "killwords", "end", "leeway", NULL};
    tpl_value a[4];
    if (!ag_tpl_bind(r, "truncate", args, names, 0, a))
        return tpl_undef();
    size_t n = 0;
    const tpl_str *end = ag_tpl_str_arg(r, "truncate", a[2], false);
    tpl_int length = ag_tpl_int_arg(r, "truncate", a[0], 255);
    tpl_int leeway = a[3].kind == TPL_NONE ? 5 : ag_tpl_int_arg(r, "truncate", a[3], 5);
    if (!end)
        end = ag_tpl_str(r, "...", 3, false);
    if (tpl_failed(r))
        return tpl_undef();
    tpl_int end_length = (tpl_int)ag_tpl_str_length(end);
    if (length < end_length || leeway < 0)
        return ag_tpl_fail(r, "truncate: length and leeway are too small");
    bool sized = ag_tpl_length(v, &n);
    if (sized && (tpl_int)n <= length + leeway)
        return v;
    if (v.kind != TPL_STR)
        return ag_tpl_fail(r, "truncate needs a string, not %s", ag_tpl_type_name(v));
    const tpl_str *s = v.s;
    size_t cut = ag_tpl_offset(s, (size_t)(length - end_length)), space = cut;
    if (!ag_tpl_truth(a[1])) {
        while (space > 0 && s->p[space - 1] != ' ')
            space--;
        cut = space > 0 ? space - 1 : cut;
    }
    const tpl_str *head = ag_tpl_str_sub(r, s, 0, cut);
    return tpl_string(ag_tpl_str_concat(r, head, end));
}

static tpl_value filter_wordcount(tpl_run *r, tpl_value v, const tpl_args *args) {
    if (!ag_tpl_bind(r, "wordcount", args, no_names, 0, NULL))
        return tpl_undef();
    const tpl_str *s = ag_tpl_to_str(r, v);
    tpl_int words = 0;
    bool inside = false;
    for (size_t at = 0, n; s && at < s->n; at += n) {
        uint32_t cp = ag_tpl_cp(s, at, &n);
        bool word = cp == '_' || ag_tpl_cp_is(cp, TPL_CLASS_ALNUM);
        words += word && !inside;
        inside = word;
    }
    return tpl_integer(words);
}

static tpl_value filter_format(tpl_run *r, tpl_value v, const tpl_args *args) {
    const tpl_str *format = ag_tpl_to_str(r, v);
    if (args->n && args->n_kw)
        return ag_tpl_fail(r, "format takes positional or keyword arguments, not both");
    tpl_value *pos = ag_tpl_alloc(r, args->n, sizeof *pos);
    if (!format || !pos)
        return tpl_undef();
    if (args->n)
        memcpy(pos, args->pos, args->n * sizeof *pos);
    tpl_value values = ag_tpl_list(r, TPL_TUPLE, pos, args->n);
    if (args->n_kw) {
        values = ag_tpl_dict(r, args->n_kw);
        for (size_t i = 0; i < args->n_kw && !tpl_failed(r); i++)
            ag_tpl_dict_set(r, values.d, tpl_string(args->names[i]), args->kw[i]);
    }
    return tpl_failed(r) ? tpl_undef() : ag_tpl_percent(r, format, values);
}

const tpl_filter ag_tpl_text_filters[] = {{"string", filter_string},
                                          {"upper", filter_upper},
                                          {"lower", filter_lower},
                                          {"capitalize", filter_capitalize},
                                          {"title", filter_title},
                                          {"trim", filter_trim},
                                          {"replace", filter_replace},
                                          {"escape", filter_escape},
                                          {"e", filter_escape},
                                          {"forceescape", filter_forceescape},
                                          {"safe", filter_safe},
                                          {"indent", filter_indent},
                                          {"center", filter_center},
                                          {"truncate", filter_truncate},
                                          {"wordcount", filter_wordcount},
                                          {"format", filter_format},
                                          {NULL, NULL}};
