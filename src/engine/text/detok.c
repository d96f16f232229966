/* Streaming decode. Invariant: `pending` is the beginning of a character that may still become
 * valid, so never more than three bytes. */
#include "base/utf8.h"
#include "text/vocab.h"

void ag_detok_init(ag_detok *d, const ag_tokenizer *t, bool at_start, bool show_special) {
    *d = (ag_detok){.t = t,
                    .show_special = show_special,
                    .strip_space = at_start && (t->kind == AG_VOCAB_WPM || t->prefix)};
}

static void put(ag_detok *d, const char *p, size_t n, ag_buf *out) {
    if (d->strip_space && n > 0) {
        d->strip_space = false;
        if (*p == ' ') {
            p++;
            n--;
        }
    }
    ag_buf_add(out, p, n);
}

/* Write what is settled of the text s; keep an unfinished character at its end. */
static void settle(ag_detok *d, ag_span s, ag_buf *out) {
    while (s.n > 0) {
        size_t good = ag_utf8_valid_prefix(s);
        put(d, s.p, good, out);
        s = ag_span_sub(s, good, s.n);
        if (s.n == 0)
            return;
        ag_utf8_step c = ag_utf8_next(s);
        if (c.kind == AG_UTF8_INCOMPLETE) {
            memmove(d->pending, s.p, s.n);
            d->n_pending = (uint8_t)s.n;
            return;
        }
        put(d, "\xEF\xBF\xBD", 3, out);
        s = ag_span_sub(s, c.n, s.n);
    }
}

void ag_detok_push(ag_detok *d, int32_t id, ag_buf *out) {
    if (id < 0 || id >= d->t->n || (!d->show_special && ag_vocab_is_special(d->t, id)))
        return;
    ag_span s = ag_vocab_bytes(d->t, id);
    /* Finish the pending character byte by byte: what is settled then lies in s again. */
    while (d->n_pending > 0 && s.n > 0) {
        char c[4];
        size_t n = d->n_pending;
        memcpy(c, d->pending, n);
        c[n++] = *s.p;
        ag_utf8_step step = ag_utf8_next(ag_span_of(c, n));
        if (step.kind == AG_UTF8_INCOMPLETE) {
            d->pending[d->n_pending++] = (uint8_t)*s.p;
        } else {
            d->n_pending = 0;
            if (step.kind == AG_UTF8_BAD) { /* the pending bytes alone; this byte starts afresh */
                put(d, "\xEF\xBF\xBD", 3, out);
                break;
            }
            put(d, c, n, out);
        }
        s = ag_span_sub(s, 1, s.n);
    }
    settle(d, s, out);
}

void ag_detok_flush(ag_detok *d, ag_buf *out) {
    if (d->n_pending > 0)
        put(d, "\xEF\xBF\xBD", 3, out);
    d->n_pending = 0;
}
