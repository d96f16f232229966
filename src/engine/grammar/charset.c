#include "grammar/charset.h"

#include <pthread.h>
#include <stdlib.h>
#include <utf8proc.h>

void ag_charset_deinit(ag_charset *s) {
    ag_free(s->v);
    *s = (ag_charset){0};
}

void ag_charset_add(ag_charset *s, uint32_t lo, uint32_t hi) {
    if (hi > AG_CHAR_LAST)
        hi = AG_CHAR_LAST;
    if (lo > hi || s->failed)
        return;
    if (lo <= 0xDFFF && hi >= 0xD800) { /* surrogates are no characters */
        if (lo < 0xD800)
            ag_charset_add(s, lo, 0xD7FF);
        if (hi > 0xDFFF)
            ag_charset_add(s, 0xE000, hi);
        return;
    }
    if (s->n == s->room) {
        uint32_t room = s->room ? s->room * 2 : 16;
        ag_range *v =
            room <= AG_CHARSET_RANGES ? ag_realloc(AG_ROOM_GRAMMAR, s->v, room, sizeof *v) : NULL;
        if (!v) {
            s->failed = room <= AG_CHARSET_RANGES ? AG_E_NOMEM : AG_E_GRAMMAR;
            return;
        }
        s->v = v;
        s->room = room;
    }
    s->v[s->n++] = (ag_range){lo, hi};
}

void ag_charset_add_set(ag_charset *s, const ag_charset *other) {
    for (uint32_t i = 0; i < other->n; i++)
        ag_charset_add(s, other->v[i].lo, other->v[i].hi);
    s->failed = s->failed ? s->failed : other->failed;
}

static int by_lo(const void *a, const void *b) {
    const ag_range *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

void ag_charset_settle(ag_charset *s) {
    uint32_t n = 0;
    if (s->n)
        qsort(s->v, s->n, sizeof *s->v, by_lo);
    for (uint32_t i = 0; i < s->n; i++) {
        if (n > 0 && s->v[i].lo <= s->v[n - 1].hi + 1) {
            if (s->v[i].hi > s->v[n - 1].hi)
                s->v[n - 1].hi = s->v[i].hi;
        } else {
            s->v[n++] = s->v[i];
        }
    }
    s->n = n;
}

void ag_charset_invert(ag_charset *s) {
    ag_charset out = {.failed = s->failed};
    uint32_t from = 0;
    ag_charset_settle(s);
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->v[i].lo > from)
            ag_charset_add(&out, from, s->v[i].lo - 1);
        from = s->v[i].hi + 1;
    }
    ag_charset_add(&out, from, AG_CHAR_LAST);
    ag_charset_settle(&out);
    ag_charset_deinit(s);
    *s = out;
}

bool ag_charset_has(const ag_charset *s, uint32_t c) {
    for (uint32_t i = 0; i < s->n; i++)
        if (c >= s->v[i].lo && c <= s->v[i].hi)
            return true;
    return false;
}

/* ---- properties ------------------------------------------------------------------------------ */

static void add_script(ag_charset *s, const ag_range *ranges, size_t n) {
    for (size_t i = 0; i < n; i++)
        ag_charset_add(s, ranges[i].lo, ranges[i].hi);
}

/* The scripts that patterns of our users name; from Scripts.txt of Unicode 15. */
static bool add_known_script(ag_charset *s, ag_span name) {
    static const ag_range han[] = {{0x2E80, 0x2E99},   {0x2E9B, 0x2EF3},   {0x2F00, 0x2FD5},
                                   {0x3005, 0x3005},   {0x3007, 0x3007},   {0x3021, 0x3029},
                                   {0x3038, 0x303B},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
                                   {0xF900, 0xFA6D},   {0xFA70, 0xFAD9},   {0x16FE2, 0x16FE3},
                                   {0x16FF0, 0x16FF1}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B739},
                                   {0x2B740, 0x2B81D}, {0x2B820, 0x2CEA1}, {0x2CEB0, 0x2EBE0},
                                   {0x2F800, 0x2FA1D}, {0x30000, 0x3134A}, {0x31350, 0x323AF}};
    static const ag_range hiragana[] = {{0x3041, 0x3096}, {0x309D, 0x309F}, {0x1B001, 0x1B11F}};
    static const ag_range katakana[] = {{0x30A1, 0x30FA}, {0x30FD, 0x30FF}, {0x31F0, 0x31FF},
                                        {0x32D0, 0x32FE}, {0x3300, 0x3357}, {0xFF66, 0xFF6F},
                                        {0xFF71, 0xFF9D}};
    if (ag_span_is(name, "Han"))
        add_script(s, han, sizeof han / sizeof *han);
    else if (ag_span_is(name, "Hiragana"))
        add_script(s, hiragana, sizeof hiragana / sizeof *hiragana);
    else if (ag_span_is(name, "Katakana"))
        add_script(s, katakana, sizeof katakana / sizeof *katakana);
    else
        return false;
    return true;
}

static bool is_category(ag_span name) {
    static const char *const names[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc",
                                        "Me", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Ps",
                                        "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So",
                                        "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Co", "Cn"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (ag_span_is(name, names[i]))
            return true;
    return false;
}

/* Runs of characters of one category, found once: some 3,300 in Unicode 15. */
static struct run {
    uint32_t lo, hi;
    char category[2];
} runs[8192];
static uint32_t n_runs;

static void find_runs(void) {
    for (uint32_t c = 0; c <= AG_CHAR_LAST && n_runs < sizeof runs / sizeof *runs; c++) {
        const char *has = utf8proc_category_string((utf8proc_int32_t)c);
        struct run *last = n_runs ? &runs[n_runs - 1] : NULL;
        if (last && last->category[0] == has[0] && last->category[1] == has[1])
            last->hi = c;
        else
            runs[n_runs++] = (struct run){c, c, {has[0], has[1]}};
    }
}

bool ag_charset_add_property(ag_charset *s, ag_span name) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!is_category(name))
        return add_known_script(s, name);
    pthread_once(&once, find_runs);
    for (uint32_t i = 0; i < n_runs; i++)
        if (runs[i].category[0] == name.p[0] && (name.n == 1 || runs[i].category[1] == name.p[1]))
            ag_charset_add(s, runs[i].lo, runs[i].hi);
    return true;
}

/* ---- automata -------------------------------------------------------------------------------- */

typedef struct drawing {
    ag_drawing d;
    uint32_t end;     /* state behind the character */
    uint32_t full[4]; /* any k continuation bytes, then the end; 0: not drawn yet */
    const ag_charset *set;
    uint32_t least, most; /* only characters between these are drawn */
} drawing;

/* Characters of the set in [lo, hi], cut to what is drawn: 0 none, 1 some, 2 all. */
static int covers(const drawing *w, uint32_t lo, uint32_t hi) {
    const ag_charset *set = w->set;
    uint32_t n = (uint32_t)(hi - lo) + 1, from = 0, to = set->n;
    lo = lo < w->least ? w->least : lo;
    hi = hi > w->most ? w->most : hi;
    while (from < to) { /* the first range that does not end before lo */
        uint32_t mid = from + (to - from) / 2;
        if (set->v[mid].hi < lo)
            from = mid + 1;
        else
            to = mid;
    }
    if (lo > hi || from == set->n || set->v[from].lo > hi)
        return 0;
    return hi - lo + 1 == n && set->v[from].lo <= lo && set->v[from].hi >= hi ? 2 : 1;
}

/* The state that reads the `k` bytes left of the characters base + [0, 64^k). AG_ATOM_NONE: none.
 */
static uint32_t draw(drawing *w, uint32_t base, unsigned k) {
    uint32_t span = 1u << (6 * k);
    int how = covers(w, base, base + span - 1);
    if (how == 0)
        return AG_ATOM_NONE;
    if (k == 0)
        return w->end;
    if (how == 2 && w->full[k])
        return w->full[k];
    uint32_t state = ag_drawing_state(&w->d, false);
    if (how == 2)
        w->full[k] = state;
    for (uint32_t i = 0; i < 64 && !w->d.failed; i++) {
        uint32_t to = draw(w, base + i * (span >> 6), k - 1);
        if (to != AG_ATOM_NONE)
            ag_drawing_edge(&w->d, state, (uint8_t)(0x80 + i), (uint8_t)(0x80 + i), to);
    }
    return state;
}

static void draw_lead_bytes(drawing *w, uint32_t start, uint32_t first, uint32_t n, unsigned k,
                            uint32_t least, uint32_t most) {
    w->least = least;
    w->most = most;
    for (uint32_t i = 0; i < n && !w->d.failed; i++) {
        uint32_t to = draw(w, i << (6 * k), k);
        if (to != AG_ATOM_NONE)
            ag_drawing_edge(&w->d, start, (uint8_t)(first + i), (uint8_t)(first + i), to);
    }
}

/* What a JSON string writes for one of the characters that it may not hold as they are. */
static void draw_escapes(drawing *w, uint32_t start) {
    static const char shorts[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    uint32_t slash = ag_drawing_state(&w->d, false), u = 0, zeros[2] = {0, 0}, high[2] = {0, 0};
    ag_drawing_edge(&w->d, start, '\\', '\\', slash);
    for (const char *p = shorts; *p; p += 2)
        if (ag_charset_has(w->set, (uint8_t)p[0]))
            ag_drawing_edge(&w->d, slash, (uint8_t)p[1], (uint8_t)p[1], w->end);
    for (uint32_t c = 0; c < 0x20; c++) {
        if (!ag_charset_has(w->set, c) || (c && strchr("\b\f\n\r\t", (int)c)))
            continue;
        if (!u) {
            u = ag_drawing_state(&w->d, false);
            zeros[0] = ag_drawing_state(&w->d, false);
            zeros[1] = ag_drawing_state(&w->d, false);
            ag_drawing_edge(&w->d, slash, 'u', 'u', u);
            ag_drawing_edge(&w->d, u, '0', '0', zeros[0]);
            ag_drawing_edge(&w->d, zeros[0], '0', '0', zeros[1]);
        }
        if (!high[c >> 4]) {
            high[c >> 4] = ag_drawing_state(&w->d, false);
            ag_drawing_edge(&w->d, zeros[1], (uint8_t)('0' + (c >> 4)), (uint8_t)('0' + (c >> 4)),
                            high[c >> 4]);
        }
        const char *digits = (c & 15) < 10 ? "0123456789" : "abcdef";
        uint8_t low = (uint8_t)digits[(c & 15) < 10 ? c & 15 : (c & 15) - 10];
        ag_drawing_edge(&w->d, high[c >> 4], low, low, w->end);
        if (low >= 'a')
            ag_drawing_edge(&w->d, high[c >> 4], (uint8_t)(low - 32), (uint8_t)(low - 32), w->end);
    }
}

static uint32_t hex_to(drawing *w, uint32_t from, uint32_t to) {
    ag_drawing_edge(&w->d, from, '0', '9', to);
    ag_drawing_edge(&w->d, from, 'a', 'f', to);
    ag_drawing_edge(&w->d, from, 'A', 'F', to);
    return to;
}

/* Every escape of a JSON string: the short ones, \uXXXX, and surrogates in pairs. */
static void draw_all_escapes(drawing *w, uint32_t start) {
    ag_drawing *d = &w->d;
    uint32_t slash = ag_drawing_state(d, false), u = ag_drawing_state(d, false);
    uint32_t left[4], high[3], pair[3];
    for (int i = 1; i < 4; i++) /* hexadecimal digits still to come */
        left[i] = ag_drawing_state(d, false);
    left[0] = w->end;
    for (int i = 0; i < 3; i++)
        high[i] = ag_drawing_state(d, false);
    for (int i = 0; i < 3; i++)
        pair[i] = ag_drawing_state(d, false);
    ag_drawing_edge(d, start, '\\', '\\', slash);
    for (const char *p = "\"\\/bfnrt"; *p; p++)
        ag_drawing_edge(d, slash, (uint8_t)*p, (uint8_t)*p, w->end);
    ag_drawing_edge(d, slash, 'u', 'u', u);
    hex_to(w, u, left[3]);
    for (int i = 3; i > 0; i--)
        hex_to(w, left[i], left[i - 1]);
    /* D8 to DB begin a pair, DC to DF are only its second half. */
    ag_drawing_edge(d, u, 'd', 'd', high[0]);
    ag_drawing_edge(d, u, 'D', 'D', high[0]);
    ag_drawing_edge(d, high[0], '0', '7', left[2]);
    ag_drawing_edge(d, high[0], '8', '9', high[1]);
    ag_drawing_edge(d, high[0], 'a', 'b', high[1]);
    ag_drawing_edge(d, high[0], 'A', 'B', high[1]);
    hex_to(w, high[1], high[2]);
    hex_to(w, high[2], pair[0]);
    ag_drawing_edge(d, pair[0], '\\', '\\', pair[1]);
    ag_drawing_edge(d, pair[1], 'u', 'u', pair[2]);
    uint32_t second = ag_drawing_state(d, false);
    ag_drawing_edge(d, pair[2], 'd', 'd', second);
    ag_drawing_edge(d, pair[2], 'D', 'D', second);
    ag_drawing_edge(d, second, 'c', 'f', left[2]);
    ag_drawing_edge(d, second, 'C', 'F', left[2]);
}

ag_code ag_charset_atom(const ag_charset *s, ag_chars_as as, ag_atom **out, ag_err *err) {
    const bool in_json = as != AG_CHARS_PLAIN;
    *out = NULL;
    if (s->failed == AG_E_NOMEM)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a class of characters");
    if (s->failed)
        return ag_fail(err, AG_E_GRAMMAR, "a class of characters has more than %u ranges",
                       AG_CHARSET_RANGES);
    drawing w = {.set = s};
    uint32_t start = ag_drawing_state(&w.d, false);
    w.end = ag_drawing_state(&w.d, true);
    for (uint32_t c = in_json ? 0x20 : 0; c < 0x80 && !w.d.failed; c++)
        if (ag_charset_has(s, c) && !(in_json && (c == '"' || c == '\\')))
            ag_drawing_edge(&w.d, start, (uint8_t)c, (uint8_t)c, w.end);
    if (as == AG_CHARS_IN_JSON)
        draw_escapes(&w, start);
    else if (in_json)
        draw_all_escapes(&w, start);
    draw_lead_bytes(&w, start, 0xC0, 32, 1, 0x80, 0x7FF);
    draw_lead_bytes(&w, start, 0xE0, 16, 2, 0x800, 0xFFFF);
    draw_lead_bytes(&w, start, 0xF0, 5, 3, 0x10000, AG_CHAR_LAST);
    return ag_drawing_finish(&w.d, out, err);
}
