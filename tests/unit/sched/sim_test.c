/* Ten thousand random traces through the policy (sim.h): whatever comes in whatever order, every
 * task ends, nothing is held by who does not run, and nobody waits for ever. */
#include "unit/sched/sim.h"

#define TRACES 10000

/* A deadline, a cancel, a rest: each now and then. */
static void give_fate(sim *s, sim_task *t) {
    t->arrives_at = s->now + (uint64_t)sim_below(s, 40000);
    t->task.priority = sim_below(s, 3) - 1;
    t->task.tenant = (uint64_t)sim_below(s, 4);
    t->task.weight = 1 + sim_below(s, 3);
    t->task.reads = sim_chance(s, 0.1);
    if (sim_chance(s, 0.15))
        t->task.expire_after = 1 + (uint64_t)sim_below(s, 100000);
    if (sim_chance(s, 0.1))
        t->task.queue_at_most = 1 + (uint64_t)sim_below(s, 50000);
    if (sim_chance(s, 0.15))
        t->cancel_at = t->arrives_at + (uint64_t)sim_below(s, 60000);
    if (sim_chance(s, 0.25)) {
        t->rest_at = t->arrives_at + (uint64_t)sim_below(s, 30000);
        t->wake_at = t->rest_at + 1 + (uint64_t)sim_below(s, 60000);
    }
}

static void run_trace(uint64_t seed, uint64_t *n_preempted, uint64_t *n_steps) {
    static sim s;
    ag_rng dice;
    ag_rng_init(&dice, seed ^ 0x5eed);
    int n_blocks = 1 + (int)(ag_rng_f64(&dice) * 12);
    int places = 1 + (int)(ag_rng_f64(&dice) * 8);
    int most = n_blocks * AG_KV_BLOCK;
    ag_policy_opts o = {.max_running = places,
                        .max_tasks = SIM_TASKS,
                        .batch_tokens = places + (int)(ag_rng_f64(&dice) * 60),
                        .whole = ag_rng_f64(&dice) < 0.1,
                        .itl_target_us = ag_rng_f64(&dice) < 0.5 ? 3000 : 0};
    if (o.whole && o.batch_tokens < most)
        o.batch_tokens = most;
    sim_open(&s, n_blocks, &o, seed);
    s.drafts = !o.whole && sim_chance(&s, 0.5);
    int n_tasks = 1 + sim_below(&s, 12);
    for (int i = 0; i < n_tasks; i++) {
        int n_prompt = 1 + sim_below(&s, most < 150 ? most - 1 : 150);
        int room = most - n_prompt < 40 ? most - n_prompt : 40;
        sim_task *t = sim_add(&s, n_prompt, 1 + sim_below(&s, room));
        give_fate(&s, t);
        t->task.reads |= o.whole;
    }
    for (int steps = 0; sim_step(&s); steps++)
        if (steps > 20000)
            fail_msg("trace %llu does not end", (unsigned long long)seed);
    for (int i = 0; i < n_tasks; i++) {
        const sim_task *t = &s.tasks[i];
        bool spared = t->cancel_at == UINT64_MAX && !t->task.expire_after && !t->task.queue_at_most;
        if (t->where != SIM_GONE || (spared && !t->completed))
            fail_msg("trace %llu: task %d was left over", (unsigned long long)seed, i);
    }
    assert_int_equal(ag_kv_available(&s.kv), n_blocks);
    for (int i = 0; i < s.policy.accounts.n; i++)
        assert_int_equal(s.policy.accounts.list[i].n_tasks, 0);
    *n_preempted += s.policy.counts.preempted;
    *n_steps += s.n_steps;
    sim_close(&s);
}

static void every_random_trace_ends_in_order(void **state) {
    (void)state;
    uint64_t n_preempted = 0, n_steps = 0;
    for (uint64_t seed = 1; seed <= TRACES; seed++)
        run_trace(seed, &n_preempted, &n_steps);
    print_message("%d traces, %llu steps, %llu preemptions\n", TRACES, (unsigned long long)n_steps,
                  (unsigned long long)n_preempted);
    assert_true(n_preempted > TRACES / 10); /* the hard case is met */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_random_trace_ends_in_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
