#include "unit/test.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "sched/gate.h"
#include "sched/pace.h"

/* A machine whose steps take what the model of pace.h says, give or take `noise`. */
typedef struct machine {
    double fixed, decode, decode_look, prefill, prefill_look, noise;
    ag_rng rng;
} machine;

static double time_of(machine *m, const ag_load *l) {
    double us = m->fixed + m->decode * l->decoding + m->decode_look * l->decode_looks +
                m->prefill * l->prefill + m->prefill_look * l->prefill_looks;
    return us * (1 + m->noise * (2 * ag_rng_f64(&m->rng) - 1));
}

static machine usual(double noise) {
    machine m = {.fixed = 50000,
                 .decode = 4000,
                 .decode_look = 1,
                 .prefill = 5000,
                 .prefill_look = 0.5,
                 .noise = noise};
    ag_rng_init(&m.rng, 1);
    return m;
}

static void learn(ag_pace *p, machine *m, int steps) {
    for (int i = 0; i < steps; i++) {
        ag_load l = {.decoding = 1 + (int)(ag_rng_f64(&m->rng) * 8)};
        l.decode_looks = l.decoding * ag_rng_f64(&m->rng) * 2000;
        if (i % 2) {
            l.prefill = 1 + (int)(ag_rng_f64(&m->rng) * 64);
            l.prefill_looks = l.prefill * ag_rng_f64(&m->rng) * 8000;
        }
        ag_pace_learn(p, &l, time_of(m, &l));
    }
}

/* Whatever is planned takes what it was planned to take. */
static void check_plans(ag_pace *p, machine *m, double part) {
    for (int decoding = 1; decoding <= 8; decoding++)
        for (int stored = 0; stored <= 8000; stored += 2000) {
            ag_load l = {.decoding = decoding, .decode_looks = decoding * 1000.0};
            m->noise = 0;
            double quiet = time_of(m, &l), us = ag_pace_spare_us(p, &l, 1);
            assert_true(ag_pace_quiet_us(p, &l) > quiet * (1 - part));
            assert_true(ag_pace_quiet_us(p, &l) < quiet * (1 + part));
            l.prefill = ag_pace_rows(p, stored, 100000, &us);
            l.prefill_looks = l.prefill * (stored + l.prefill / 2.0);
            double step = time_of(m, &l);
            assert_true(step < 1.65 * quiet * (1 + part));
            double row = m->prefill + m->prefill_look * stored;
            assert_true(step > 1.65 * quiet * (1 - part) - row);
        }
}

static void a_steady_machine_is_learned(void **state) {
    (void)state;
    ag_pace p = {0};
    machine m = usual(0);
    learn(&p, &m, 400);
    check_plans(&p, &m, 0.03);
}

static void a_noisy_machine_is_learned(void **state) {
    (void)state;
    ag_pace p = {0};
    machine m = usual(0.15);
    learn(&p, &m, 400);
    check_plans(&p, &m, 0.2);
}

static void a_machine_that_changes_is_learned_anew(void **state) {
    (void)state;
    ag_pace p = {0};
    machine m = usual(0.05);
    learn(&p, &m, 400);
    m.fixed *= 2;
    m.decode *= 2;
    m.decode_look *= 2;
    m.prefill *= 2;
    m.prefill_look *= 2;
    learn(&p, &m, 300);
    check_plans(&p, &m, 0.1);
}

/* All steps of a lone stream have one row: the constant explains it as well, and guesses seem free.
 * Times of a real machine, which was cold at its first long prompt. */
static void a_row_of_a_lone_stream_costs_no_less_than_one_of_a_prompt(void **state) {
    (void)state;
    static const ag_load warm_up = {.prefill = 8, .prefill_looks = 32};
    static const ag_load prompt = {.prefill = 158, .prefill_looks = 158 * 79};
    ag_pace p = {0};
    ag_pace_learn(&p, &warm_up, 15000);
    ag_pace_learn(&p, &(ag_load){.decoding = 1, .decode_looks = 9}, 4000);
    ag_pace_learn(&p, &prompt, 165000);
    for (int i = 0; i < 64; i++) {
        ag_pace_learn(&p, &(ag_load){.decoding = 1, .decode_looks = 158 + i}, 3500 + 3 * i);
        assert_true(ag_pace_decode_row_us(&p) > 600);
    }
}

/* The step beside `n` prompts, over that of all of them as streams. */
static double stretch(const ag_pace *p, machine *m, int streams, int n) {
    const ag_load l = {.decoding = streams, .decode_looks = 200};
    const ag_load all = {.decoding = streams + n - 1, .decode_looks = 200};
    return (time_of(m, &l) + ag_pace_spare_us(p, &l, n)) / time_of(m, &all);
}

/* The more prompts wait beside the more streams, the longer a step may take beside what it takes
 * once all are streams. */
static void the_more_wait_the_faster_they_are_read(void **state) {
    (void)state;
    /* Of a small model it may take longer, up to a pause that nobody minds. */
    static const struct {
        int streams, prompts;
        double small, usual, large;
    } want[] = {{30, 1, 1.65, 1.65, 1.65}, {2, 3, 2.31, 2.31, 1.75}, {30, 2, 3, 2, 2},
                {4, 2, 2.31, 2.31, 1.75},  {4, 10, 3.99, 2.45, 2.3}, {10, 7, 5.16, 2.6, 2.6},
                {2, 29, 13, 4, 4}};
    ag_pace p = {0};
    machine m = usual(0);
    for (int size = -1; size <= 1; size++) {
        p = (ag_pace){0};
        m = usual(0);
        const double by = pow(10, size);
        m.fixed *= by, m.decode *= by, m.decode_look *= by, m.prefill *= by, m.prefill_look *= by;
        learn(&p, &m, 400);
        for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
            const double times = size < 0   ? want[i].small
                                 : size > 0 ? want[i].large
                                            : want[i].usual;
            const double got = stretch(&p, &m, want[i].streams, want[i].prompts) / times;
            assert_true(got > 0.96 && got < 1.04);
        }
    }
    p.target_us = 1000000; /* but a target is a target */
    const ag_load l = {.decoding = 2, .decode_looks = 200};
    assert_true(ag_pace_spare_us(&p, &l, 29) < 1.1 * (p.target_us - time_of(&m, &l)));
}

/* A step that lost its core for a second says little about the next. */
static void one_step_far_off_does_not_throw_it(void **state) {
    (void)state;
    ag_pace p = {0};
    machine m = usual(0);
    learn(&p, &m, 400);
    ag_load l = {.decoding = 4, .decode_looks = 4000};
    double before = ag_pace_quiet_us(&p, &l);
    ag_pace_learn(&p, &l, 100 * before);
    assert_true(ag_pace_quiet_us(&p, &l) < 1.5 * before);
}

/* Prompts that were not seen for long keep the price they had. */
static void what_is_not_seen_stays_known(void **state) {
    (void)state;
    ag_pace p = {0};
    machine m = usual(0);
    learn(&p, &m, 400);
    for (int i = 0; i < 5000; i++) {
        ag_load l = {.decoding = 3, .decode_looks = 3.0 * i};
        ag_pace_learn(&p, &l, time_of(&m, &l));
    }
    double us = 100000;
    int rows = ag_pace_rows(&p, 0, 1000, &us);
    assert_in_range(rows, 18, 21);
}

/* While prompts wait no step is without them, and the streams become more. */
static void more_streams_are_learned_beside_prompts(void **state) {
    (void)state;
    ag_pace p = {0};
    machine m = usual(0);
    ag_load l = {.prefill = 512, .prefill_looks = 512 * 256.0};
    ag_pace_learn(&p, &l, time_of(&m, &l));
    for (int i = 0; i < 50; i++) {
        l = (ag_load){.decoding = 1, .decode_looks = 100.0 + i};
        ag_pace_learn(&p, &l, time_of(&m, &l));
    }
    for (l.decoding = 2; l.decoding <= 8; l.decoding++)
        for (int i = 0; i < 5; i++) {
            double us = ag_pace_spare_us(&p, &l, 1);
            l.prefill = ag_pace_rows(&p, 0, 500, &us);
            l.prefill_looks = l.prefill * (l.prefill / 2.0);
            ag_pace_learn(&p, &l, time_of(&m, &l));
        }
    l = (ag_load){.decoding = 8, .decode_looks = 800};
    double quiet = time_of(&m, &l), learned = ag_pace_quiet_us(&p, &l);
    assert_true(learned > 0.8 * quiet && learned < 1.2 * quiet);
}

static void without_knowledge_a_prompt_gets_a_little(void **state) {
    (void)state;
    ag_pace p = {0};
    ag_load l = {.decoding = 1};
    double us = ag_pace_spare_us(&p, &l, 1);
    assert_int_equal(ag_pace_rows(&p, 0, 1000, &us), 16);
    l.decoding = 0;
    us = ag_pace_spare_us(&p, &l, 1);
    assert_true(us < 0);
    assert_int_equal(ag_pace_rows(&p, 0, 1000, &us), 1000);
}

/* ---- gate.h ---------------------------------------------------------------------------------- */

static void the_gate_holds_requests_and_tokens(void **state) {
    (void)state;
    ag_gate g = {.max_requests = 3, .max_tokens = 100};
    ag_err err;
    assert_int_equal(ag_gate_enter(&g, 0, 500, 0, &err), AG_OK); /* alone, whatever its length */
    assert_int_equal(ag_gate_enter(&g, 0, 1, 0, &err), AG_E_AGAIN);
    assert_int_equal(g.refused_tokens, 1);
    g.requests = g.tokens = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(ag_gate_enter(&g, 0, 10, 0, &err), AG_OK);
    assert_int_equal(ag_gate_enter(&g, 0, 10, 0, &err), AG_E_AGAIN);
    assert_int_equal(g.refused_requests, 1);
    assert_int_equal(g.entered, 4);
    assert_true(ag_gate_retry_s(&g) >= 1);
    g.requests = 2;
    assert_true(ag_gate_retry_s(&g) <= 0);
}

static void a_prompt_that_is_not_known_yet_is_refused_where_any_would_be(void **state) {
    (void)state;
    ag_gate g = {.max_requests = 3, .max_tokens = 100, .requests = 2, .tokens = 99};
    ag_err err;
    assert_int_equal(ag_gate_ask(&g, 0, 0, 0, &err), AG_OK);
    assert_int_equal(g.requests + g.entered, 2); /* nothing came in */
    g.tokens = 100;
    assert_int_equal(ag_gate_ask(&g, 0, 0, 0, &err), AG_E_AGAIN);
    assert_null(strstr(err.msg, "this one"));
    assert_int_equal(g.refused_tokens, 1);
    assert_int_equal(ag_gate_enter(&g, 0, 7, 0, &err), AG_E_AGAIN);
    assert_non_null(strstr(err.msg, "this one has about 7"));
    g.requests = 3;
    assert_int_equal(ag_gate_ask(&g, 0, 0, 0, &err), AG_E_AGAIN);
    assert_int_equal(g.refused_requests, 1);
    g.requests = 2, g.tokens = 50; /* a line that is much longer than its patience */
    ag_drain_note(&g.drain, 1, 1, 10e6);
    assert_int_equal(ag_gate_ask(&g, 0, 0, 1000, &err), AG_E_AGAIN);
    assert_int_equal(g.refused_late, 1);
}

static uint64_t enter_all(ag_gate *g, uint64_t tenant, ag_code until) {
    ag_err err;
    uint64_t n = 0;
    ag_code code;
    while (!(code = ag_gate_enter(g, tenant, 10, 0, &err)))
        n++;
    assert_int_equal(code, until);
    return n;
}

static void a_tenant_leaves_room_in_the_line_for_others(void **state) {
    (void)state;
    ag_gate g = {.max_requests = 64, .max_tokens = 100000};
    ag_err err;
    assert_int_equal(ag_gate_init(&g, 8, &err), AG_OK);
    assert_int_equal(enter_all(&g, 1, AG_E_SHARE), 48); /* three times what is left */
    assert_int_equal(enter_all(&g, 2, AG_E_SHARE), 12);
    assert_int_equal(enter_all(&g, 3, AG_E_SHARE), 3);
    assert_int_equal(g.refused_share, 3);
    assert_true(ag_gate_retry_s(&g) <= 0); /* who is new may come at once */
    /* As those of the first are answered, parts become equal. */
    g.requests = 24 + 12 + 3;
    g.tokens = 10 * g.requests;
    ag_gate_recount(&g);
    for (int i = 0; i < 24; i++)
        ag_gate_count(&g, 1, 10);
    for (int i = 0; i < 15; i++)
        ag_gate_count(&g, i < 12 ? 2 : 3, 10);
    assert_int_equal(enter_all(&g, 3, AG_E_SHARE), 18);
    /* Nobody in particular has no part. */
    assert_int_equal(enter_all(&g, 0, AG_E_AGAIN), 64 - 24 - 12 - 21);
    ag_gate_deinit(&g);
}

static void a_part_is_one_of_tokens_too(void **state) {
    (void)state;
    ag_gate g = {.max_requests = 1000, .max_tokens = 400};
    ag_err err;
    assert_int_equal(ag_gate_init(&g, 8, &err), AG_OK);
    assert_int_equal(ag_gate_enter(&g, 1, 390, 0, &err), AG_OK); /* a long prompt alone is fine */
    assert_int_equal(ag_gate_enter(&g, 1, 1, 0, &err), AG_E_SHARE);
    assert_int_equal(ag_gate_enter(&g, 2, 5, 0, &err), AG_OK);
    ag_gate_deinit(&g);
}

static void the_time_to_come_back_follows_the_drain(void **state) {
    (void)state;
    ag_gate g = {.max_requests = 100, .max_tokens = 1000000, .requests = 100, .tokens = 1000};
    for (int i = 0; i < 1000; i++) /* 2 requests and 500 tokens a second */
        ag_drain_note(&g.drain, 50, 0.2, 100000);
    double rate = ag_drain_per_s(&g.drain, g.drain.requests);
    assert_true(rate > 1.99 && rate < 2.01);
    double s = ag_gate_retry_s(&g);
    assert_true(s > 12.4 && s < 12.6); /* until 25 have gone */
    assert_true(ag_gate_wait_s(&g) > 50 && ag_gate_wait_s(&g) < 51);
    for (int i = 0; i < 1000; i++) /* now ten times as fast */
        ag_drain_note(&g.drain, 500, 2, 100000);
    assert_true(ag_gate_retry_s(&g) < 2);
    ag_err err; /* room, but not for this one: a quarter of 100 requests, at 20 a second */
    g.max_tokens = 1100, g.max_requests = 1000;
    assert_int_equal(ag_gate_ask(&g, 0, 200, 0, &err), AG_E_AGAIN);
    assert_non_null(strstr(err.msg, "in about 2 s"));
    g.max_tokens = 1000; /* full by tokens: a quarter of them is a quarter of the requests */
    s = ag_gate_retry_s(&g);
    assert_true(s > 1.2 && s < 1.5);
}

static void who_would_come_far_too_late_is_sent_away(void **state) {
    (void)state;
    ag_gate g = {.max_requests = 100, .max_tokens = 1000000, .requests = 20};
    ag_err err;
    assert_int_equal(ag_gate_enter(&g, 0, 1, 1000, &err), AG_OK); /* nothing is known yet */
    for (int i = 0; i < 1000; i++)
        ag_drain_note(&g.drain, 50, 0.2, 100000); /* 2 a second: 11 s */
    assert_int_equal(ag_gate_enter(&g, 0, 1, 6000000, &err), AG_OK);
    assert_int_equal(ag_gate_enter(&g, 0, 1, 4000000, &err), AG_E_AGAIN);
    assert_int_equal(g.refused_late, 1);
    g.requests = 0; /* who comes first does not wait */
    assert_int_equal(ag_gate_enter(&g, 0, 1, 1000, &err), AG_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_steady_machine_is_learned),
        cmocka_unit_test(a_row_of_a_lone_stream_costs_no_less_than_one_of_a_prompt),
        cmocka_unit_test(a_noisy_machine_is_learned),
        cmocka_unit_test(a_machine_that_changes_is_learned_anew),
        cmocka_unit_test(the_more_wait_the_faster_they_are_read),
        cmocka_unit_test(one_step_far_off_does_not_throw_it),
        cmocka_unit_test(what_is_not_seen_stays_known),
        cmocka_unit_test(more_streams_are_learned_beside_prompts),
        cmocka_unit_test(without_knowledge_a_prompt_gets_a_little),
        cmocka_unit_test(the_gate_holds_requests_and_tokens),
        cmocka_unit_test(a_prompt_that_is_not_known_yet_is_refused_where_any_would_be),
        cmocka_unit_test(who_would_come_far_too_late_is_sent_away),
        cmocka_unit_test(a_tenant_leaves_room_in_the_line_for_others),
        cmocka_unit_test(a_part_is_one_of_tokens_too),
        cmocka_unit_test(the_time_to_come_back_follows_the_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
