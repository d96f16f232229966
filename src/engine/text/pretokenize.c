/* The expressions of the published pre-tokenizers as scanners, and the table that names them.
 *
 * Written above each scanner is the expression it equals. Alternatives are tried in order and are
 * greedy with backtracking; the comments say where backtracking shows. */
#include "text/pretokenize.h"

#include "text/unicode.h"

/* End of the run of characters whose class is in `set`, starting at `at`. */
static inline size_t run_of(const uint8_t *p, size_t at, size_t n, unsigned set) {
    size_t len;
    while (at < n && AG_IN(set, ag_class_at(p + at, &len)))
        at += len;
    return at;
}

static inline bool is_in(const uint8_t *p, size_t at, size_t n, unsigned set) {
    size_t len;
    return at < n && AG_IN(set, ag_class_at(p + at, &len));
}

/* 's|'t|'re|'ve|'m|'ll|'d at `at`: its end, or `at`. With `fold` letters match in both cases, and
 * U+017F counts as an s. */
static size_t contraction(const uint8_t *p, size_t at, size_t n, bool fold) {
    if (n - at < 2 || p[at] != '\'')
        return at;
    const uint8_t mask = fold ? 0x20 : 0;
    uint8_t a = p[at + 1] | mask, b = n - at > 2 ? p[at + 2] | mask : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return at + 2;
    if ((a == 'l' && b == 'l') || ((a == 'r' || a == 'v') && b == 'e'))
        return at + 3;
    if (fold && n - at > 2 && p[at + 1] == 0xC5 && p[at + 2] == 0xBF)
        return at + 3;
    return at;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ at white space; the first alternative only with `lines`. Of a run
 * without line ends before a word all but the last character match; the last is left to the word.
 */
static size_t white(const uint8_t *p, size_t at, size_t n, bool lines) {
    size_t end = at, last = at, line_end = at, len;
    while (end < n) {
        ag_class c = ag_class_at(p + end, &len);
        if (!AG_IN(AG_SET_WHITE, c))
            break;
        last = end;
        end += len;
        if (c == AG_CLASS_NEWLINE)
            line_end = end;
    }
    if (lines && line_end > at)
        return line_end;
    return end == n || last == at ? end : last;
}

static inline size_t newlines(const uint8_t *p, size_t at, size_t n, bool slash) {
    while (at < n && (p[at] == '\r' || p[at] == '\n' || (slash && p[at] == '/')))
        at++;
    return at;
}

static inline size_t numbers(const uint8_t *p, size_t at, size_t n, int max) {
    size_t len;
    for (; max > 0 && at < n && ag_class_at(p + at, &len) == AG_CLASS_NUMBER; max--)
        at += len;
    return at;
}

/* ---- one expression for the whole text: every position matches ------------------------------- */

/* A  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*
 *    |\s*[\r\n]+|\s+(?!\S)|\s+
 * with `max` for the 3, and with [\p{L}\p{M}] for \p{L} when `letters` says so. */
static inline size_t word_a(const uint8_t *p, size_t at, size_t n, unsigned letters, int max) {
    size_t end = contraction(p, at, n, true), len, len2;
    if (end > at)
        return end;
    ag_class c = ag_class_at(p + at, &len);
    if (AG_IN(letters, c))
        return run_of(p, at + len, n, letters);
    if (c == AG_CLASS_NUMBER)
        return numbers(p, at, n, max);
    if (c != AG_CLASS_NEWLINE && is_in(p, at + len, n, letters))
        return run_of(p, at + len, n, letters);
    const unsigned other = ~(letters | AG_SET_N | AG_SET_WHITE);
    size_t start = at;
    if (p[at] == ' ' && at + 1 < n) {
        start = at + 1;
        c = ag_class_at(p + start, &len2);
    }
    if (AG_IN(other, c))
        return newlines(p, run_of(p, start, n, other), n, false);
    return white(p, at, n, true);
}

/* G  's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static inline size_t word_g(const uint8_t *p, size_t at, size_t n) {
    size_t end = contraction(p, at, n, false), len;
    if (end > at)
        return end;
    size_t start = p[at] == ' ' && at + 1 < n ? at + 1 : at;
    ag_class c = ag_class_at(p + start, &len);
    if (AG_IN(AG_SET_WHITE, c))
        return white(p, at, n, false);
    unsigned set = AG_SET_L;
    if (c == AG_CLASS_NUMBER)
        set = AG_SET_N;
    else if (!AG_IN(AG_SET_L, c))
        set = ~(AG_SET_L | AG_SET_N | AG_SET_WHITE);
    return run_of(p, start + len, n, set);
}

/* [U]*[W]+|[U]+[W]* after an optional other character, where U are the letters that may be upper
 * case and W those that may be lower; both hold marks and letters without case. Returns `at` when
 * neither matches from `at` on.
 *
 * The first alternative takes all U, then needs a W. When none follows it gives characters back
 * until one that is in W as well: the match then ends behind the last such character, and pure
 * capitals after it start the next word. */
static size_t cased_letters(const uint8_t *p, size_t at, size_t n) {
    const unsigned upper = AG_SET(UPPER) | AG_SET(LETTER) | AG_SET(MARK);
    const unsigned lower = AG_SET(LOWER) | AG_SET(LETTER) | AG_SET(MARK);
    size_t end = at, both_end = at, len;
    while (end < n) {
        ag_class c = ag_class_at(p + end, &len);
        if (!AG_IN(upper, c))
            break;
        end += len;
        if (AG_IN(lower, c))
            both_end = end;
    }
    if (is_in(p, end, n, lower))
        return run_of(p, end, n, lower);
    return both_end > at ? both_end : end;
}

/* The letters of T and O with their optional leading [^\r\n\p{L}\p{N}]; `at` when there are none.
 * A leading mark is a letter of U and W as well: the optional part takes it if the first
 * alternative can match behind it, else it begins the letters; the second alternative comes last.
 */
static size_t cased_word(const uint8_t *p, size_t at, size_t n) {
    size_t len;
    ag_class c = ag_class_at(p + at, &len);
    if (AG_IN(AG_SET_L, c))
        return cased_letters(p, at, n);
    if (c == AG_CLASS_NUMBER || c == AG_CLASS_NEWLINE)
        return at;
    size_t behind = at + len, end = cased_letters(p, behind, n);
    if (c != AG_CLASS_MARK)
        return end > behind ? end : at;
    if (end > behind && run_of(p, behind, end, AG_SET(UPPER)) < end)
        return end;  /* [W]+ found something behind the mark */
    return at + len; /* only capitals or nothing: the mark alone is the [W]+ */
}

/* T  [^\r\n\p{L}\p{N}]?[U]*[W]+|[^\r\n\p{L}\p{N}]?[U]+[W]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*
 *    |\s*[\r\n]+|\s+(?!\S)|\s+
 * O is the same with (?i:'s|'t|'re|'ve|'m|'ll|'d)? behind the letters and \p{N}{1,3}. */
static inline size_t word_cased(const uint8_t *p, size_t at, size_t n, bool suffix, int max) {
    size_t end = cased_word(p, at, n), len;
    if (end > at)
        return suffix ? contraction(p, end, n, true) : end;
    ag_class c = ag_class_at(p + at, &len);
    if (c == AG_CLASS_NUMBER)
        return numbers(p, at, n, max);
    size_t start = at;
    if (p[at] == ' ' && at + 1 < n) {
        start = at + 1;
        c = ag_class_at(p + start, &len);
    }
    const unsigned other = ~(AG_SET_L | AG_SET_N | AG_SET_WHITE);
    if (AG_IN(other, c))
        return newlines(p, run_of(p, start, n, other), n, true);
    return white(p, at, n, true);
}

static bool find_a3(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    *from = at;
    return (*to = word_a(p, at, n, AG_SET_L, 3)) > at;
}
static bool find_a1(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    *from = at;
    return (*to = word_a(p, at, n, AG_SET_L, 1)) > at;
}
static bool find_a1_marks(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    *from = at;
    return (*to = word_a(p, at, n, AG_SET_LM, 1)) > at;
}
static bool find_g(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    *from = at;
    return (*to = word_g(p, at, n)) > at;
}
static bool find_t(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    *from = at;
    return (*to = word_cased(p, at, n, false, 1)) > at;
}
static bool find_o(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    *from = at;
    return (*to = word_cased(p, at, n, true, 3)) > at;
}

/* ---- expressions that leave gaps ------------------------------------------------------------- */

/* D  [!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*
 *    |\s*[\r\n]+|\s+(?!\S)|\s+        Returns `at` where nothing matches. */
static size_t word_d(const uint8_t *p, size_t at, size_t n) {
    size_t len;
    ag_class c = ag_class_at(p + at, &len);
    if (p[at] < 0x80 && AG_IN(AG_SET_PS, c)) {
        size_t end = at + 1;
        while (end < n && (p[end] | 0x20) >= 'a' && (p[end] | 0x20) <= 'z')
            end++;
        if (end > at + 1)
            return end;
    }
    if (AG_IN(AG_SET_LM, c))
        return run_of(p, at + len, n, AG_SET_LM);
    if (!AG_IN(AG_SET(NEWLINE) | AG_SET_PS, c) && is_in(p, at + len, n, AG_SET_LM))
        return run_of(p, at + len, n, AG_SET_LM);
    size_t start = p[at] == ' ' ? at + 1 : at;
    if (is_in(p, start, n, AG_SET_PS))
        return newlines(p, run_of(p, start, n, AG_SET_PS), n, false);
    return AG_IN(AG_SET_WHITE, c) ? white(p, at, n, true) : at;
}

static bool find_d(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    for (size_t len; at < n; at += len) {
        if ((*to = word_d(p, at, n)) > at) {
            *from = at;
            return true;
        }
        ag_class_at(p + at, &len);
    }
    return false;
}

/* Start of the first character at or after `at` whose class is in `set`; n when there is none. */
static inline size_t first_of(const uint8_t *p, size_t at, size_t n, unsigned set) {
    size_t len;
    while (at < n && !AG_IN(set, ag_class_at(p + at, &len)))
        at += len;
    return at;
}

/* \p{N} */
static bool find_digit(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    *from = first_of(p, at, n, AG_SET_N);
    *to = numbers(p, *from, n, 1);
    return *from < n;
}
/* \p{N}{1,3} */
static bool find_digits3(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    *from = first_of(p, at, n, AG_SET_N);
    *to = numbers(p, *from, n, 3);
    return *from < n;
}
/* \p{N}+ */
static bool find_digits(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    *from = first_of(p, at, n, AG_SET_N);
    *to = run_of(p, *from, n, AG_SET_N);
    return *from < n;
}
/* [0-9][0-9][0-9] */
static bool find_ascii3(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    size_t run = 0;
    for (; at < n; at++) {
        run = p[at] >= '0' && p[at] <= '9' ? run + 1 : 0;
        if (run == 3) {
            *from = at - 2;
            *to = at + 1;
            return true;
        }
    }
    return false;
}
/* [\r\n] */
static bool find_newline(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    while (at < n && p[at] != '\r' && p[at] != '\n')
        at++;
    *from = at;
    *to = at + 1;
    return at < n;
}

/* \s?[set]+: the white space in front belongs to the match if no earlier match took it. */
static bool find_after_space(const uint8_t *p, size_t at, size_t n, unsigned set, size_t *from,
                             size_t *to) {
    size_t white_at = SIZE_MAX, len;
    for (; at < n; at += len) {
        ag_class c = ag_class_at(p + at, &len);
        if (AG_IN(set, c)) {
            *from = white_at != SIZE_MAX ? white_at : at;
            *to = run_of(p, at, n, set);
            return true;
        }
        white_at = AG_IN(AG_SET_WHITE, c) ? at : SIZE_MAX;
    }
    return false;
}
static bool find_letters(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    return find_after_space(p, at, n, AG_SET_L, from, to);
}
static bool find_punct(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    return find_after_space(p, at, n, AG_SET(PUNCT), from, to);
}

/* \s+$ in a piece without line ends (or that is one): a run of white space that ends the piece. */
static bool find_last_white(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    *from = n;
    for (size_t len; at < n; at += len) {
        if (!AG_IN(AG_SET_WHITE, ag_class_at(p + at, &len)))
            *from = n;
        else if (*from == n)
            *from = at;
    }
    *to = n;
    return *from < n;
}

/* [\p{P}$+<=>^~|]+, with ` too where `tick` is set */
static inline bool find_marks(const uint8_t *p, size_t at, size_t n, bool tick, size_t *from,
                              size_t *to) {
    *from = n;
    for (size_t len; at < n; at += len) {
        ag_class c = ag_class_at(p + at, &len);
        bool in =
            c == AG_CLASS_PUNCT || (c == AG_CLASS_SYMBOL && p[at] < 0x80 && (tick || p[at] != '`'));
        if (in && *from == n)
            *from = at;
        if (!in && *from < n)
            break;
    }
    *to = at;
    return *from < n;
}
static bool find_marks_default(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    return find_marks(p, at, n, false, from, to);
}
static bool find_marks_falcon(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    return find_marks(p, at, n, true, from, to);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const ag_pre table[] = {
    {.names = "llama-bpe llama3 llama-v3 pixtral falcon3 falcon-h1 midm-2.0 lfm2",
     .steps = {find_a3},
     .ignore_merges = true,
     .adds_bos = true},
    {.names = "glm4 glm5", .steps = {find_a3}, .ignore_merges = true},
    {.names = "chatglm-bpe dbrx smaug-bpe", .steps = {find_a3}},
    {.names = "qwen2 deepseek-r1-qwen stablelm2 megrez", .steps = {find_a1}, .nfc = true},
    {.names = "hunyuan grok-2 solar-open", .steps = {find_a1}},
    {.names = "qwen35", .steps = {find_a1_marks}},
    {.names = "gpt-2 phi-2 jais exaone4 gigachat trillion granite-docling", .steps = {find_g}},
    {.names = "mpt olmo", .steps = {find_g}, .nfc = true},
    {.names = "smollm starcoder refact codeshell exaone minerva-7b", .steps = {find_digit, find_g}},
    {.names = "command-r", .steps = {find_digit, find_g}, .nfc = true},
    {.names = "tekken", .steps = {find_t}, .ignore_merges = true, .adds_bos = true},
    {.names = "gpt-4o llama4", .steps = {find_o}},
    {.names = "deepseek-v3 hunyuan-dense joyai-llm",
     .steps = {find_digits3, ag_find_cjk_or_kana, find_d}},
    {.names = "deepseek-llm",
     .steps = {find_newline, ag_find_deepseek_word, ag_find_deepseek_punct, find_last_white,
               ag_find_cjk, find_digit}},
    {.names = "deepseek-coder",
     .steps = {find_newline, find_letters, find_punct, ag_find_cjk, find_digit}},
    {.names = "falcon", .steps = {find_marks_falcon, find_g, find_ascii3}},
    {.names = "default", .steps = {find_marks_default, find_g, find_digits, find_ascii3}},
};
#define N_ROWS (sizeof table / sizeof table[0])

const ag_pre *ag_pre_find(ag_span name) {
    for (size_t i = 0; i < N_ROWS; i++) {
        const char *at = table[i].names;
        while (*at) {
            size_t n = strcspn(at, " ");
            if (ag_span_eq(name, ag_span_of(at, n)))
                return &table[i];
            at += n + (at[n] == ' ');
        }
    }
    return NULL;
}

void ag_pre_list(ag_buf *out) {
    for (size_t i = 0; i < N_ROWS; i++) {
        if (i > 0)
            ag_buf_addc(out, ' ');
        ag_buf_adds(out, table[i].names);
    }
}

/* Recursion is as deep as the row has steps. */
static ag_code split(ag_find_fn *const *step, const uint8_t *p, size_t n, ag_word_fn *fn, void *ctx,
                     ag_err *err) {
    if (!*step)
        return fn(ctx, p, n, err);
    size_t at = 0, from, to;
    while (at < n) {
        if (!(*step)(p, at, n, &from, &to))
            from = to = n;
        ag_code code = AG_OK;
        if (from > at)
            code = split(step + 1, p + at, from - at, fn, ctx, err);
        if (code == AG_OK && to > from)
            code = split(step + 1, p + from, to - from, fn, ctx, err);
        if (code != AG_OK)
            return code;
        at = to;
    }
    return AG_OK;
}

ag_code ag_pre_split(const ag_pre *pre, ag_span text, ag_word_fn *fn, void *ctx, ag_err *err) {
    return split(pre->steps, (const uint8_t *)text.p, text.n, fn, ctx, err);
}
