/* Text is normalised in stretches: from a character that nothing before can change to the next such
 * one. Stretches in which no character is suspicious are copied.
 *
 * The canonical ordering of a stretch uses a stable counting sort, because utf8proc's own exchanges
 * neighbours, which takes quadratic time on a megabyte of mixed accents. */
#include "text/nfc.h"

#include <utf8proc.h>

#include "base/utf8.h"
#include "text/unicode.h"

#define MAX_DECOMPOSED 18 /* code points of one character; canonical ones have at most 4 */

typedef struct stretch {
    int32_t *v; /* owned: n code points, and as many again to sort with */
    size_t n, room;
} stretch;

static bool is_suspicious(uint32_t cp) { return ag_unicode_entry(cp) & AG_UNICODE_NOT_NFC; }

/* 0 for marks that are too young for the table as well: they stay where they are. */
static int combining_class(int32_t cp) {
    return is_suspicious((uint32_t)cp) ? utf8proc_get_property(cp)->combining_class : 0;
}

/* Stable order by combining class of v[0, n), which holds no starter. */
static void order_marks(int32_t *v, size_t n, int32_t *tmp) {
    size_t at[256] = {0};
    for (size_t i = 0; i < n; i++)
        at[combining_class(v[i])]++;
    for (size_t c = 0, sum = 0; c < 256; c++) {
        size_t count = at[c];
        at[c] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        tmp[at[combining_class(v[i])]++] = v[i];
    memcpy(v, tmp, n * sizeof *v);
}

static void order(stretch *s) {
    for (size_t i = 0, end; i < s->n; i = end) {
        end = i + 1;
        if (combining_class(s->v[i]) == 0)
            continue;
        while (end < s->n && combining_class(s->v[end]) != 0)
            end++;
        if (end - i > 1)
            order_marks(s->v + i, end - i, s->v + s->room);
    }
}

static ag_code reserve(stretch *s, size_t more, ag_err *err) {
    if (s->n + more <= s->room)
        return AG_OK;
    size_t room = (s->n + more) * 2;
    int32_t *v = ag_realloc(AG_ROOM_TEXT, s->v, room, 2 * sizeof *v);
    if (!v)
        return ag_fail(err, AG_E_NOMEM, "out of memory while normalising text");
    s->v = v;
    s->room = room;
    return AG_OK;
}

static ag_code decompose(stretch *s, uint32_t cp, ag_err *err) {
    ag_code code = reserve(s, MAX_DECOMPOSED, err);
    if (code != AG_OK)
        return code;
    int last_class = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char((int32_t)cp, s->v + s->n, MAX_DECOMPOSED,
                                                 UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &last_class);
    if (n < 1 || n > MAX_DECOMPOSED) { /* unassigned here: it stays what it is */
        s->v[s->n++] = (int32_t)cp;
        return AG_OK;
    }
    s->n += (size_t)n;
    return AG_OK;
}

static void flush(stretch *s, ag_buf *out) {
    if (s->n == 0)
        return;
    order(s);
    utf8proc_ssize_t n =
        utf8proc_normalize_utf32(s->v, (utf8proc_ssize_t)s->n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        char c[4];
        ag_buf_add(out, c, ag_utf8_encode((uint32_t)s->v[i], c));
    }
    s->n = 0;
}

/* Offset of the last starter before the first suspicious character; n when there is none. */
static size_t find_suspicious(const uint8_t *p, size_t at, size_t n) {
    size_t starter = at, len;
    for (; at < n; at += len) {
        if (p[at] < 0xCC) { /* below U+0300: nothing combines or decomposes to something else */
            starter = at;
            len = p[at] < 0x80 ? 1 : 2;
            continue;
        }
        uint32_t cp = ag_char_at(p + at, &len);
        if (is_suspicious(cp))
            return starter;
        starter = at;
    }
    return n;
}

ag_code ag_nfc(ag_span text, ag_buf *buf, ag_span *out, ag_err *err) {
    const uint8_t *p = (const uint8_t *)text.p;
    size_t at = find_suspicious(p, 0, text.n), done = 0;
    *out = text;
    if (at == text.n)
        return AG_OK;
    buf->n = 0;
    stretch s = {0};
    ag_code code = AG_OK;
    while (at < text.n && code == AG_OK) {
        ag_buf_add(buf, p + done, at - done);
        /* The stretch: the starter at `at`, then suspicious characters up to the next clean one. */
        size_t len;
        bool first = true;
        for (; at < text.n && code == AG_OK; at += len, first = false) {
            uint32_t cp = ag_char_at(p + at, &len);
            if (!first && !is_suspicious(cp))
                break;
            code = decompose(&s, cp, err);
        }
        if (code == AG_OK)
            flush(&s, buf);
        done = at;
        at = find_suspicious(p, at, text.n);
    }
    ag_buf_add(buf, p + done, text.n - done);
    ag_free(s.v);
    *out = ag_buf_span(buf);
    return code != AG_OK ? code : ag_buf_check(buf, "normalised text", err);
}
