#include "sched/stream.h"

#include "base/limits.h"

ag_code ag_stream_init(ag_stream *s, const ag_tokenizer *t, bool at_start, const char *const *stops,
                       size_t n_stops, ag_err *err) {
    *s = (ag_stream){0};
    ag_buf_init(&s->held, AG_ROOM_SCHED, AG_MAX_TEXT_BYTES);
    ag_detok_init(&s->detok, t, at_start, false);
    if (n_stops > AG_MAX_STOPS)
        return ag_fail(err, AG_E_ARG, "stop: %zu strings; at most %d are supported", n_stops,
                       AG_MAX_STOPS);
    s->stops = ag_calloc(AG_ROOM_SCHED, n_stops, sizeof *s->stops);
    s->stop_len = ag_calloc(AG_ROOM_SCHED, n_stops, sizeof *s->stop_len);
    if (!s->stops || !s->stop_len || !ag_buf_reserve(&s->held, 1024))
        return ag_fail(err, AG_E_NOMEM, "out of memory for a request");
    for (size_t i = 0; i < n_stops; i++) {
        size_t n = stops[i] ? strlen(stops[i]) : 0;
        if (n == 0 || n > AG_MAX_STOP_BYTES)
            return ag_fail(err, AG_E_ARG, "stop[%zu] has %zu bytes, expected 1 to %u", i, n,
                           AG_MAX_STOP_BYTES);
        s->stops[i] = ag_strndup(AG_ROOM_SCHED, stops[i], n);
        if (!s->stops[i])
            return ag_fail(err, AG_E_NOMEM, "out of memory for a request");
        s->stop_len[i] = n;
        s->n_stops++;
    }
    return AG_OK;
}

void ag_stream_deinit(ag_stream *s) {
    for (size_t i = 0; i < s->n_stops; i++)
        ag_free(s->stops[i]);
    ag_free(s->stops);
    ag_free(s->stop_len);
    ag_free(s->show);
    ag_buf_deinit(&s->held);
    *s = (ag_stream){0};
}

ag_code ag_stream_show(ag_stream *s, const int32_t *ids, size_t n, ag_err *err) {
    if (n > AG_MAX_SHOWN)
        return ag_fail(err, AG_E_ARG, "show_ids: %zu ids; at most %d are supported", n,
                       AG_MAX_SHOWN);
    s->show = ag_calloc(AG_ROOM_SCHED, n, sizeof *s->show);
    if (!s->show)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a request");
    for (; s->n_show < n; s->n_show++)
        s->show[s->n_show] = ids[s->n_show];
    return AG_OK;
}

static bool is_shown(const ag_stream *s, int32_t id) {
    for (size_t i = 0; i < s->n_show; i++)
        if (s->show[i] == id)
            return true;
    return false;
}

static void drop_given(ag_stream *s) {
    if (s->given == 0)
        return;
    memmove(s->held.p, s->held.p + s->given, s->held.n - s->given);
    s->held.n -= s->given;
    s->given = 0;
}

/* Start of the first complete stop string, or SIZE_MAX. */
static size_t find_stop(const ag_stream *s) {
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < s->n_stops; i++) {
        size_t at = ag_span_find(ag_buf_span(&s->held), ag_span_of(s->stops[i], s->stop_len[i]), 0);
        if (at < first)
            first = at;
    }
    return first;
}

/* Length of the longest end of the text that begins some stop string. */
static size_t hold_back(const ag_stream *s) {
    size_t most = 0;
    for (size_t i = 0; i < s->n_stops; i++) {
        size_t n = s->stop_len[i] - 1 < s->held.n ? s->stop_len[i] - 1 : s->held.n;
        for (; n > most; n--)
            if (memcmp(s->held.p + s->held.n - n, s->stops[i], n) == 0) {
                most = n;
                break;
            }
    }
    return most;
}

ag_code ag_stream_push(ag_stream *s, int32_t id, ag_span *text, bool *stopped, ag_err *err) {
    drop_given(s);
    *stopped = false;
    s->detok.show_special = is_shown(s, id);
    ag_detok_push(&s->detok, id, &s->held);
    ag_code code = ag_buf_check(&s->held, "the text of an answer", err);
    if (code)
        return code;
    size_t at = find_stop(s);
    if (at != SIZE_MAX) {
        *stopped = true;
        s->given = at;
    } else {
        s->given = s->held.n - hold_back(s);
    }
    *text = ag_span_of(s->held.p, s->given);
    if (*stopped) {
        s->detok.n_pending = 0;
        s->held.n = s->given;
    }
    return AG_OK;
}

ag_code ag_stream_end(ag_stream *s, ag_span *text, ag_err *err) {
    drop_given(s);
    ag_detok_flush(&s->detok, &s->held);
    ag_code code = ag_buf_check(&s->held, "the text of an answer", err);
    s->given = s->held.n;
    *text = ag_span_of(s->held.p, s->given);
    return code;
}
