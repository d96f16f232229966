#include "sched/breakers.h"

#include "base/limits.h"

/* Sequences as they are found: their ids lie behind each other in one list. */
typedef struct finds {
    ag_ids ids;
    ag_ids starts; /* where each sequence begins in ids */
} finds;

static ag_code note(finds *f, int32_t id, const ag_ids *rest, ag_err *err) {
    ag_code code = ag_ids_add(&f->starts, (int32_t)f->ids.n, err);
    if (!code)
        code = ag_ids_add(&f->ids, id, err);
    for (size_t i = 0; rest && i < rest->n && !code; i++)
        code = ag_ids_add(&f->ids, rest->v[i], err);
    return code;
}

/* A token that ends in the first `n` bytes of the string begins it; the rest follows as the
 * tokenizer would write it. */
static ag_code find_beginnings(finds *f, int32_t id, ag_span text, ag_span breaker,
                               const ag_ids *rests, ag_err *err) {
    size_t longest = breaker.n - 1 < text.n ? breaker.n - 1 : text.n;
    for (size_t n = 1; n <= longest; n++) {
        if (!ag_span_ends(text, ag_span_sub(breaker, 0, n)) || rests[n].n == 0)
            continue;
        ag_code code = note(f, id, &rests[n], err);
        if (code)
            return code;
    }
    return AG_OK;
}

static ag_code find_breaker(finds *f, const ag_tokenizer *t, int32_t n_vocab, ag_span breaker,
                            ag_ids *rests, ag_err *err) {
    ag_code code = AG_OK;
    for (size_t n = 1; n < breaker.n && !code; n++)
        code = ag_tokenizer_encode(t, ag_span_sub(breaker, n, breaker.n), 0, &rests[n], err);
    for (int32_t id = 0; id < n_vocab && !code; id++) {
        ag_span text = ag_tokenizer_bytes(t, id);
        if (ag_span_find(text, breaker, 0) != SIZE_MAX)
            code = note(f, id, NULL, err);
        else
            code = find_beginnings(f, id, text, breaker, rests, err);
    }
    return code;
}

static ag_code hand_over(const finds *f, int32_t n_vocab, ag_dry_breakers **out, ag_err *err) {
    size_t n = f->starts.n;
    ag_dry_sequence *seqs = ag_calloc(AG_ROOM_SCHED, n, sizeof *seqs);
    if (!seqs)
        return ag_fail(err, AG_E_NOMEM, "out of memory for dry_breakers");
    for (size_t i = 0; i < n; i++) {
        size_t from = (size_t)f->starts.v[i];
        size_t to = i + 1 < n ? (size_t)f->starts.v[i + 1] : f->ids.n;
        seqs[i] = (ag_dry_sequence){f->ids.v + from, to - from};
    }
    ag_code code = ag_dry_breakers_new(seqs, n, n_vocab, out, err);
    ag_free(seqs);
    return code;
}

ag_code ag_breakers_build(const ag_sampling *p, const ag_tokenizer *t, int32_t n_vocab,
                          ag_dry_breakers **out, ag_err *err) {
    static const char *const usual[] = {"\n", ":", "\"", "*"};
    const char *const *strings = p->dry_breakers ? p->dry_breakers : usual;
    size_t n = p->dry_breakers ? p->n_dry_breakers : sizeof usual / sizeof *usual;
    if (n > AG_SAMPLE_MAX_BREAKERS)
        return ag_fail(err, AG_E_ARG, "dry_breakers: %zu strings; at most %u are supported", n,
                       AG_SAMPLE_MAX_BREAKERS);
    finds f = {0};
    ag_code code = AG_OK;
    for (size_t i = 0; i < n && !code; i++) {
        ag_span breaker = ag_str(strings[i]);
        ag_ids rests[AG_MAX_BREAKER_BYTES + 1] = {0};
        if (breaker.n == 0 || breaker.n > AG_MAX_BREAKER_BYTES)
            code = ag_fail(err, AG_E_ARG, "dry_breakers[%zu] has %zu bytes, expected 1 to %u", i,
                           breaker.n, AG_MAX_BREAKER_BYTES);
        else
            code = find_breaker(&f, t, n_vocab, breaker, rests, err);
        for (size_t k = 0; k <= AG_MAX_BREAKER_BYTES; k++)
            ag_ids_deinit(&rests[k]);
    }
    if (!code)
        code = hand_over(&f, n_vocab, out, err);
    ag_ids_deinit(&f.ids);
    ag_ids_deinit(&f.starts);
    return code;
}
