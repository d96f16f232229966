/* DRY against its definition: every earlier position is tried, every breaker searched for. */
#include "unit/test.h"

#include "base/fault.h"
#include "unit/sample/plain.h"

#define N_VOCAB 12

/* Tokens behind the last end of any breaker within the window. */
static size_t plain_since(const int32_t *ids, size_t n, const ag_dry_sequence *seqs,
                          size_t n_seqs) {
    size_t since = n;
    for (size_t end = 0; end <= n; end++) {
        for (size_t k = 0; k < n_seqs; k++) {
            const size_t len = seqs[k].n;
            if (len <= end && !memcmp(ids + end - len, seqs[k].ids, len * sizeof *ids))
                since = n - end;
        }
    }
    return since;
}

static void plain_dry(const ag_sampling *p, const int32_t *ids, size_t n,
                      const ag_dry_sequence *seqs, size_t n_seqs, float *x) {
    if (p->dry_penalty_last_n >= 0 && (size_t)p->dry_penalty_last_n < n) {
        ids += n - (size_t)p->dry_penalty_last_n;
        n = (size_t)p->dry_penalty_last_n;
    }
    const size_t limit = plain_since(ids, n, seqs, n_seqs), allowed = (size_t)p->dry_allowed_length;
    for (int32_t id = 0; id < N_VOCAB; id++) {
        size_t longest = 0;
        for (size_t at = 0; at < n; at++) { /* a match ends before `at` */
            size_t len = 0;
            while (len < at && len < limit && ids[at - 1 - len] == ids[n - 1 - len])
                len++;
            if (ids[at] == id && len > longest)
                longest = len;
        }
        bool breaker = false;
        for (size_t k = 0; k < n_seqs; k++)
            breaker = breaker || (seqs[k].n == 1 && seqs[k].ids[0] == id);
        if (longest >= allowed && !breaker)
            x[id] -= (float)((double)p->dry_multiplier *
                             pow((double)p->dry_base, (double)(longest - allowed)));
    }
}

static void penalties_equal_the_definition(void **state) {
    (void)state;
    ag_rng rng;
    ag_rng_init(&rng, 11);
    ag_sample_scratch *s;
    assert_int_equal(ag_sample_scratch_new(ag_kernels_get(NULL), N_VOCAB, &s, NULL), AG_OK);
    int n_changed = 0;
    for (int round = 0; round < 4000; round++) {
        enum { MAX = 64 };
        int32_t ids[MAX], parts[4][3];
        ag_dry_sequence seqs[4];
        const size_t n = ag_rng_u64(&rng) % MAX, n_seqs = ag_rng_u64(&rng) % 4;
        const uint64_t distinct = 1 + ag_rng_u64(&rng) % 4;
        for (size_t i = 0; i < n; i++)
            ids[i] = ag_rng_u64(&rng) % 12 ? (int32_t)(ag_rng_u64(&rng) % distinct)
                                           : (int32_t)(ag_rng_u64(&rng) % N_VOCAB);
        for (size_t k = 0; k < n_seqs; k++) {
            seqs[k] = (ag_dry_sequence){parts[k], 1 + ag_rng_u64(&rng) % 3};
            for (size_t i = 0; i < seqs[k].n; i++)
                parts[k][i] = (int32_t)(ag_rng_u64(&rng) % N_VOCAB);
        }
        ag_sampling p = ag_sampling_default();
        p.dry_multiplier = 0.75f;
        p.dry_base = 1.25f;
        p.dry_allowed_length = 1 + (int32_t)(ag_rng_u64(&rng) % 4);
        p.dry_penalty_last_n = (int32_t)(ag_rng_u64(&rng) % 70) - 1;

        float want[N_VOCAB] = {0}, got[N_VOCAB] = {0};
        plain_dry(&p, ids, n, seqs, n_seqs, want);
        ag_dry_breakers *breakers;
        assert_int_equal(ag_dry_breakers_new(seqs, n_seqs, N_VOCAB, &breakers, NULL), AG_OK);
        uint32_t match[MAX];
        const ag_dry dry = {.multiplier = 0.75f,
                            .base = 1.25f,
                            .allowed = (size_t)p.dry_allowed_length,
                            .window = p.dry_penalty_last_n < 0 ? MAX : (size_t)p.dry_penalty_last_n,
                            .breakers = breakers,
                            .match = match};
        ag_history h;
        const ag_history_opts opts = {.n_vocab = N_VOCAB, .n_context = MAX, .look_back = MAX};
        assert_int_equal(ag_history_init(&h, &opts, NULL), AG_OK);
        for (size_t i = 0; i < n; i++)
            ag_history_push(&h, ids[i], false);
        ag_dry_apply(&dry, &h, s, got);
        for (int32_t id = 0; id < N_VOCAB; id++) {
            assert_true(fabsf(want[id] - got[id]) <= fabsf(want[id]) * 1e-6f);
            assert_int_equal(s->reach[id], 0);
            n_changed += got[id] != 0;
        }
        ag_history_deinit(&h);
        ag_dry_breakers_free(&breakers);
    }
    assert_true(n_changed > 1000); /* the comparison was about something */
    ag_sample_scratch_free(&s);
}

/* The example everyone gives: after "a b c x a b c" x is penalised for a match of three. */
static void a_repetition_is_penalised_by_its_length(void **state) {
    (void)state;
    const int32_t text[] = {1, 2, 3, 9, 1, 2, 3};
    ag_sampling p = ag_sampling_default();
    p.temperature = 0;
    p.dry_multiplier = 1;
    p.dry_base = 2; /* 2^(3 - 2) = 2 */
    float x[N_VOCAB] = {0};
    for (int i = 0; i < 2; i++) {
        x[9] = i ? 2.01f : 1.99f;
        bench b = bench_new(&p, N_VOCAB, 100, NULL);
        ag_sampler_prompt(b.sampler, text, 7);
        assert_int_equal(bench_pick(&b, x, -1).id, i ? 9 : 0);
        bench_free(&b);
    }
}

static void an_endless_repetition_does_not_overflow(void **state) {
    (void)state;
    ag_sampling p = ag_sampling_default();
    p.temperature = 0;
    p.dry_multiplier = 100;
    p.dry_base = 100;
    float x[2] = {0, -INFINITY};
    bench b = bench_new(&p, 2, 5000, NULL);
    for (int i = 0; i < 5000; i++)
        bench_accept(&b, 0);
    assert_int_equal(bench_pick(&b, x, -1).id, 0); /* penalised, not forbidden */
    bench_free(&b);
}

static void bad_breakers_are_refused(void **state) {
    (void)state;
    const int32_t ids[] = {0, 12, -1};
    const ag_dry_sequence bad[] = {{ids, 0}, {ids, 2}, {ids + 2, 1}};
    ag_dry_breakers *b;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ag_dry_breakers_new(&bad[i], 1, N_VOCAB, &b, NULL), AG_E_ARG);
        assert_null(b);
    }
    assert_int_equal(ag_dry_breakers_new(NULL, AG_DRY_MAX_SEQUENCES + 1, N_VOCAB, &b, NULL),
                     AG_E_LIMIT);
    assert_int_equal(ag_dry_breakers_new(NULL, 0, N_VOCAB, &b, NULL), AG_OK);
    ag_dry_breakers_free(&b);
    ag_dry_breakers_free(&b);
}

static void breakers_survive_failed_allocations(void **state) {
    (void)state;
    const int32_t ids[30] = {3, 4};
    const ag_dry_sequence seqs[] = {{ids, 1}, {ids, 30}};
    const size_t before = ag_mem_bytes(AG_ROOM_SAMPLE);
    for (long n = 1;; n++) {
        ag_dry_breakers *b;
        ag_fault_arm(AG_FAULT_ALLOC, n, false);
        const ag_code code = ag_dry_breakers_new(seqs, 2, N_VOCAB, &b, NULL);
        const bool fired = ag_fault_fired(AG_FAULT_ALLOC);
        ag_fault_arm(AG_FAULT_ALLOC, 0, false);
        assert_int_equal(code, fired ? AG_E_NOMEM : AG_OK);
        assert_int_equal(b != NULL, !fired);
        ag_dry_breakers_free(&b);
        assert_int_equal(ag_mem_bytes(AG_ROOM_SAMPLE), before);
        if (!fired)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(penalties_equal_the_definition),
        cmocka_unit_test(a_repetition_is_penalised_by_its_length),
        cmocka_unit_test(an_endless_repetition_does_not_overflow),
        cmocka_unit_test(bad_breakers_are_refused),
        cmocka_unit_test(breakers_survive_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
