/* Case and character classes of strings, as Python's str has them: full case mapping (ß becomes SS,
 * a final Σ becomes ς), classes from the general category. */
#include <utf8proc.h>

#include "text/template/value.h"

typedef struct casing {
    uint32_t cp, upper[3], title[3];
} casing;

static const casing longer[] = {
#include "text/template/casing.inc"
};

static const casing *find_casing(uint32_t cp) {
    size_t from = 0, to = sizeof longer / sizeof *longer;
    while (from < to) {
        size_t mid = (from + to) / 2;
        if (longer[mid].cp == cp)
            return &longer[mid];
        if (longer[mid].cp < cp)
            from = mid + 1;
        else
            to = mid;
    }
    return NULL;
}

static utf8proc_category_t category(uint32_t cp) { return utf8proc_category((int32_t)cp); }

bool ag_tpl_is_space(uint32_t cp) {
    if (cp < 0x80)
        return (cp >= 9 && cp <= 13) || (cp >= 0x1c && cp <= 0x20);
    return cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

static bool is_cased(uint32_t cp) {
    utf8proc_category_t c = category(cp);
    return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT;
}

static bool is_case_ignorable(uint32_t cp) {
    static const uint32_t marks[] = {0x27,   0x2e,   0x3a,   0xb7,   0x387,  0x55f,
                                     0x5f4,  0x2018, 0x2019, 0x2024, 0x2027, 0xfe13,
                                     0xfe52, 0xfe55, 0xff07, 0xff0e, 0xff1a};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (marks[i] == cp)
            return true;
    utf8proc_category_t c = category(cp);
    return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_ME || c == UTF8PROC_CATEGORY_CF ||
           c == UTF8PROC_CATEGORY_LM || c == UTF8PROC_CATEGORY_SK;
}

/* Σ at `at` ends a word: a cased letter before it and none after, ignorable ones not counted. */
static bool is_final_sigma(const tpl_str *s, size_t at) {
    size_t i = at, n;
    uint32_t cp = 0;
    do {
        if (i == 0)
            return false;
        do
            i--;
        while (i > 0 && ((uint8_t)s->p[i] & 0xc0) == 0x80);
        cp = ag_tpl_cp(s, i, &n);
    } while (is_case_ignorable(cp));
    if (!is_cased(cp))
        return false;
    for (i = at + 2; i < s->n; i += n) {
        cp = ag_tpl_cp(s, i, &n);
        if (!is_case_ignorable(cp))
            return !is_cased(cp);
    }
    return true;
}

static void add_mapped(tpl_builder *b, const uint32_t cps[3], bool marked) {
    for (int i = 0; i < 3 && cps[i]; i++)
        ag_tpl_add_cp(b, cps[i], marked);
}

static void add_lower(tpl_builder *b, const tpl_str *s, size_t at, uint32_t cp) {
    bool marked = tpl_marked_at(s, at);
    if (cp == 0x3a3) {
        ag_tpl_add_cp(b, is_final_sigma(s, at) ? 0x3c2 : 0x3c3, marked);
    } else if (cp == 0x130) {
        ag_tpl_add_cp(b, 'i', marked);
        ag_tpl_add_cp(b, 0x307, marked);
    } else {
        ag_tpl_add_cp(b, (uint32_t)utf8proc_tolower((int32_t)cp), marked);
    }
}

static void add_upper(tpl_builder *b, const tpl_str *s, size_t at, uint32_t cp) {
    const casing *c = cp < 0x80 ? NULL : find_casing(cp);
    if (c)
        add_mapped(b, c->upper, tpl_marked_at(s, at));
    else
        ag_tpl_add_cp(b, (uint32_t)utf8proc_toupper((int32_t)cp), tpl_marked_at(s, at));
}

static void add_title(tpl_builder *b, const tpl_str *s, size_t at, uint32_t cp) {
    const casing *c = cp < 0x80 ? NULL : find_casing(cp);
    if (c)
        add_mapped(b, c->title, tpl_marked_at(s, at));
    else
        ag_tpl_add_cp(b, (uint32_t)utf8proc_totitle((int32_t)cp), tpl_marked_at(s, at));
}

typedef void (*map_fn)(tpl_builder *b, const tpl_str *s, size_t at, uint32_t cp);

static const tpl_str *map_all(tpl_run *r, const tpl_str *s, map_fn first, map_fn rest) {
    if (!s || !ag_tpl_spend(r, s->n / 16))
        return NULL;
    tpl_builder b = tpl_builder_of(r);
    for (size_t at = 0, n; at < s->n && !tpl_failed(r); at += n) {
        uint32_t cp = ag_tpl_cp(s, at, &n);
        (at ? rest : first)(&b, s, at, cp);
    }
    return ag_tpl_str_as(r, ag_tpl_built(&b), s->markup);
}

const tpl_str *ag_tpl_str_upper(tpl_run *r, const tpl_str *s) {
    return map_all(r, s, add_upper, add_upper);
}
const tpl_str *ag_tpl_str_lower(tpl_run *r, const tpl_str *s) {
    return map_all(r, s, add_lower, add_lower);
}
const tpl_str *ag_tpl_str_capitalize(tpl_run *r, const tpl_str *s) {
    return map_all(r, s, add_title, add_lower);
}

const tpl_str *ag_tpl_str_title(tpl_run *r, const tpl_str *s) {
    if (!s || !ag_tpl_spend(r, s->n / 16))
        return NULL;
    tpl_builder b = tpl_builder_of(r);
    bool inside = false; /* the character before was cased */
    for (size_t at = 0, n; at < s->n && !tpl_failed(r); at += n) {
        uint32_t cp = ag_tpl_cp(s, at, &n);
        (inside ? add_lower : add_title)(&b, s, at, cp);
        inside = is_cased(cp);
    }
    return ag_tpl_str_as(r, ag_tpl_built(&b), s->markup);
}

/* ---- classes --------------------------------------------------------------------------------- */

/* Digits that are no decimals: superscripts, subscripts and circled digits. */
static bool is_other_digit(uint32_t cp) {
    static const uint32_t ranges[][2] = {
        {0xb2, 0xb3},       {0xb9, 0xb9},       {0x1369, 0x1371},   {0x19da, 0x19da},
        {0x2070, 0x2070},   {0x2074, 0x2079},   {0x2080, 0x2089},   {0x2460, 0x2468},
        {0x2474, 0x247c},   {0x2488, 0x2490},   {0x24ea, 0x24ea},   {0x24f5, 0x24fd},
        {0x24ff, 0x24ff},   {0x2776, 0x277e},   {0x2780, 0x2788},   {0x278a, 0x2792},
        {0x10a40, 0x10a43}, {0x10e60, 0x10e68}, {0x11052, 0x1105a}, {0x1f100, 0x1f10a}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (cp >= ranges[i][0] && cp <= ranges[i][1])
            return true;
    return false;
}

static bool is_alpha(utf8proc_category_t c) {
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool ag_tpl_cp_is(uint32_t cp, tpl_class class) {
    utf8proc_category_t c = category(cp);
    switch (class) {
    case TPL_CLASS_ALPHA:
        return is_alpha(c);
    case TPL_CLASS_DECIMAL:
        return c == UTF8PROC_CATEGORY_ND;
    case TPL_CLASS_DIGIT:
        return c == UTF8PROC_CATEGORY_ND || is_other_digit(cp);
    case TPL_CLASS_NUMERIC:
        return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_NO;
    case TPL_CLASS_ALNUM:
        return is_alpha(c) || ag_tpl_cp_is(cp, TPL_CLASS_NUMERIC);
    case TPL_CLASS_SPACE:
        return ag_tpl_is_space(cp);
    case TPL_CLASS_PRINTABLE:
        return cp == ' ' || (c < UTF8PROC_CATEGORY_ZS && c != UTF8PROC_CATEGORY_CN);
    }
    return false;
}

bool ag_tpl_str_is(const tpl_str *s, tpl_class class) {
    for (size_t at = 0, n; at < s->n; at += n)
        if (!ag_tpl_cp_is(ag_tpl_cp(s, at, &n), class))
            return false;
    return s->n > 0 || class == TPL_CLASS_PRINTABLE;
}

/* No cased letter outside `wanted`, and at least one inside. */
static bool all_cased_are(const tpl_str *s, utf8proc_category_t wanted) {
    bool any = false;
    for (size_t at = 0, n; at < s->n; at += n) {
        uint32_t cp = ag_tpl_cp(s, at, &n);
        if (category(cp) == wanted)
            any = true;
        else if (is_cased(cp))
            return false;
    }
    return any;
}

bool ag_tpl_str_is_lower(const tpl_str *s) { return all_cased_are(s, UTF8PROC_CATEGORY_LL); }
bool ag_tpl_str_is_upper(const tpl_str *s) { return all_cased_are(s, UTF8PROC_CATEGORY_LU); }

bool ag_tpl_str_is_title(const tpl_str *s) {
    bool any = false, inside = false;
    for (size_t at = 0, n; at < s->n; at += n) {
        utf8proc_category_t c = category(ag_tpl_cp(s, at, &n));
        bool upper = c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LT;
        if (upper ? inside : (c == UTF8PROC_CATEGORY_LL && !inside))
            return false;
        inside = upper || c == UTF8PROC_CATEGORY_LL;
        any |= inside;
    }
    return any;
}
