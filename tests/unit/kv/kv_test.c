#include "unit/test.h"

#include "base/fault.h"
#include "base/mem.h"
#include "base/random.h"
#include "kv/kv.h"

static size_t bytes64(int d) {
    (void)d;
    return 64;
}

static const ag_kv_ops ops = {.name = "test", .k_bytes = bytes64, .v_bytes = bytes64};
static const ag_kv_shape shape = {.ops = &ops, .n_layers = 2, .n_heads = 1, .d = 16, .d_v = 16};

#define BLOCK AG_KV_BLOCK

static void open_kv(ag_kv *kv, int n_blocks) {
    ag_err err;
    assert_int_equal(ag_kv_open(kv, &shape, n_blocks, &err), AG_OK);
}

static void open_seq(ag_kv_seq *s, ag_kv *kv, int max_tokens) {
    ag_err err;
    assert_int_equal(ag_kv_seq_init(s, kv, max_tokens, &err), AG_OK);
}

/* Pretend that the engine computed ids[0, n). */
static void compute(ag_kv_seq *s, const int32_t *ids, int n) {
    assert_int_equal(ag_kv_seq_reserve(s, n), AG_OK);
    for (int i = s->n_tokens / BLOCK; i < ag_kv_blocks_for(n); i++)
        memset(s->at[i], ids[i * BLOCK] & 0xff, 16);
    s->n_tokens = n;
    ag_kv_seq_commit(s, ids);
}

static void count_up(int32_t *ids, int n, int from) {
    for (int i = 0; i < n; i++)
        ids[i] = from + i;
}

static void a_sequence_starts_from_what_another_computed(void **state) {
    (void)state;
    ag_kv kv;
    open_kv(&kv, 16);
    ag_kv_seq a, b;
    open_seq(&a, &kv, 8 * BLOCK);
    open_seq(&b, &kv, 8 * BLOCK);
    int32_t ids[4 * BLOCK];
    count_up(ids, 4 * BLOCK, 7);
    compute(&a, ids, 3 * BLOCK + 5);
    assert_int_equal(ag_kv_seq_adopt(&b, ids, 4 * BLOCK), 3 * BLOCK); /* while a still runs */
    assert_ptr_equal(a.at[0], b.at[0]);
    ag_kv_check(&kv, (const ag_kv_seq *const[]){&a, &b}, 2);
    ag_kv_seq_clear(&a);
    ag_kv_seq_clear(&b);
    assert_int_equal(kv.n_cached, 3);
    assert_int_equal(ag_kv_available(&kv), 16);
    ids[BLOCK] = -1; /* another text from the second block on */
    assert_int_equal(ag_kv_seq_adopt(&b, ids, 4 * BLOCK), BLOCK);
    ag_kv_seq_deinit(&a);
    ag_kv_seq_deinit(&b);
    ag_kv_close(&kv);
}

static void a_sequence_takes_what_others_computed_meanwhile(void **state) {
    (void)state;
    ag_kv kv;
    open_kv(&kv, 16);
    ag_kv_seq a, b;
    open_seq(&a, &kv, 8 * BLOCK);
    open_seq(&b, &kv, 8 * BLOCK);
    int32_t ids[5 * BLOCK];
    count_up(ids, 5 * BLOCK, 7);
    assert_int_equal(ag_kv_seq_reserve(&b, 5 * BLOCK), AG_OK);
    assert_int_equal(ag_kv_seq_adopt(&b, ids, 5 * BLOCK), 0);
    compute(&a, ids, BLOCK + 5);
    assert_true(ag_kv_seq_ahead(&a, ids, 5 * BLOCK) != ag_kv_seq_ahead(&b, ids, 5 * BLOCK));
    assert_int_equal(ag_kv_seq_adopt(&b, ids, 5 * BLOCK), BLOCK);
    assert_true(ag_kv_seq_ahead(&a, ids, 5 * BLOCK) == ag_kv_seq_ahead(&b, ids, 5 * BLOCK));
    assert_int_equal(ag_kv_seq_ahead(&b, ids, 2 * BLOCK - 1), 0);
    assert_int_equal(ag_kv_seq_adopt(&a, ids, 5 * BLOCK), 0); /* in the middle of a block */
    compute(&a, ids, 3 * BLOCK);
    assert_int_equal(ag_kv_seq_adopt(&b, ids, 5 * BLOCK), 2 * BLOCK);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(a.at[i], b.at[i]);
    assert_int_equal(b.n_blocks, 5);
    assert_int_equal(ag_kv_available(&kv), 16 - 5); /* those that b had reserved are free */
    ag_kv_check(&kv, (const ag_kv_seq *const[]){&a, &b}, 2);
    compute(&b, ids, 5 * BLOCK);
    ag_kv_seq_deinit(&a);
    ag_kv_seq_deinit(&b);
    assert_int_equal(kv.n_cached, 5);
    assert_int_equal(ag_kv_available(&kv), 16);
    ag_kv_close(&kv);
}

static void the_last_token_is_always_left_to_compute(void **state) {
    (void)state;
    ag_kv kv;
    open_kv(&kv, 4);
    ag_kv_seq a;
    open_seq(&a, &kv, 4 * BLOCK);
    int32_t ids[2 * BLOCK];
    count_up(ids, 2 * BLOCK, 1);
    compute(&a, ids, 2 * BLOCK);
    ag_kv_seq_clear(&a);
    assert_int_equal(ag_kv_seq_adopt(&a, ids, 2 * BLOCK), BLOCK);
    ag_kv_seq_clear(&a);
    assert_int_equal(ag_kv_seq_adopt(&a, ids, BLOCK), 0);
    ag_kv_seq_deinit(&a);
    ag_kv_close(&kv);
}

static void the_least_recently_used_block_is_evicted_first(void **state) {
    (void)state;
    ag_kv kv;
    open_kv(&kv, 4);
    ag_kv_seq a, b;
    open_seq(&a, &kv, 4 * BLOCK);
    open_seq(&b, &kv, 4 * BLOCK);
    int32_t old[2 * BLOCK], recent[2 * BLOCK];
    count_up(old, 2 * BLOCK, 1000);
    count_up(recent, 2 * BLOCK, 5000);
    compute(&a, old, 2 * BLOCK);
    compute(&b, recent, 2 * BLOCK);
    ag_kv_seq_clear(&a);
    ag_kv_seq_clear(&b);
    assert_int_equal(ag_kv_seq_reserve(&a, 1), AG_OK); /* takes the end of the old text */
    assert_int_equal(kv.n_cached, 3);
    ag_kv_seq_clear(&a);
    assert_int_equal(ag_kv_seq_adopt(&a, old, 2 * BLOCK + 0), BLOCK);
    ag_kv_seq_clear(&a);
    assert_int_equal(ag_kv_seq_adopt(&b, recent, 2 * BLOCK), BLOCK);
    ag_kv_seq_deinit(&a);
    ag_kv_seq_deinit(&b);
    ag_kv_close(&kv);
}

static void too_large_a_wish_changes_nothing(void **state) {
    (void)state;
    ag_kv kv;
    open_kv(&kv, 2);
    ag_kv_seq a;
    open_seq(&a, &kv, 8 * BLOCK);
    assert_int_equal(ag_kv_seq_reserve(&a, 3 * BLOCK), AG_E_NO_BLOCKS);
    assert_int_equal(a.n_blocks, 0);
    assert_int_equal(ag_kv_available(&kv), 2);
    ag_kv_seq_deinit(&a);
    ag_kv_close(&kv);
}

/* Sequences over a tiny alphabet of texts come and go at random; the laws hold after every step,
 * and an adopted block holds what its tokens say. */
static void random_traces_keep_the_laws(void **state) {
    (void)state;
    enum { SEQS = 5, LONG = 6 * BLOCK };
    ag_rng rng;
    ag_rng_init(&rng, 42);
    ag_kv kv;
    open_kv(&kv, 17);
    ag_kv_seq seqs[SEQS];
    const ag_kv_seq *all[SEQS];
    static int32_t ids[SEQS][LONG];
    for (int i = 0; i < SEQS; i++) {
        open_seq(&seqs[i], &kv, LONG);
        all[i] = &seqs[i];
    }
    int adopted = 0, caught_up = 0;
    for (int round = 0; round < 20000; round++) {
        int i = (int)(ag_rng_u64(&rng) % SEQS);
        ag_kv_seq *s = &seqs[i];
        if (s->n_blocks == 0) {
            for (int b = 0; b < LONG / BLOCK; b++) /* three choices a block */
                for (int t = 0; t < BLOCK; t++)
                    ids[i][b * BLOCK + t] = t + (t == 0 ? (int32_t)(ag_rng_u64(&rng) % 3) : 0);
            adopted += ag_kv_seq_adopt(s, ids[i], LONG) / BLOCK;
            for (int b = 0; b < s->n_blocks; b++)
                assert_int_equal(s->at[b][0], ids[i][b * BLOCK] & 0xff);
            if (ag_kv_seq_reserve(s, s->n_tokens + 1) == AG_OK)
                compute(s, ids[i], s->n_tokens + 1);
        } else if (ag_rng_u64(&rng) % 8 == 0 || s->n_tokens == LONG) {
            ag_kv_seq_clear(s);
        } else {
            int n = s->n_tokens + 1 + (int)(ag_rng_u64(&rng) % 40);
            if (ag_rng_u64(&rng) % 2)
                n = ag_kv_blocks_for(n) * BLOCK;
            if (n > LONG)
                n = LONG;
            int found = ag_rng_u64(&rng) % 2 ? ag_kv_seq_adopt(s, ids[i], LONG) : 0;
            caught_up += found / BLOCK;
            for (int b = 0; b < s->n_tokens / BLOCK; b++)
                assert_int_equal(s->at[b][0], ids[i][b * BLOCK] & 0xff);
            n = n > s->n_tokens ? n : s->n_tokens;
            if (ag_kv_seq_reserve(s, n) == AG_OK)
                compute(s, ids[i], n);
            else
                ag_kv_seq_clear(s);
        }
        ag_kv_check(&kv, all, SEQS);
    }
    assert_true(adopted > 1000 && caught_up > 20);
    for (int i = 0; i < SEQS; i++)
        ag_kv_seq_deinit(&seqs[i]);
    assert_int_equal(ag_kv_available(&kv), kv.n_blocks);
    ag_kv_close(&kv);
}

static void running_out_of_memory_leaves_nothing_behind(void **state) {
    (void)state;
    size_t before = ag_mem_bytes(AG_ROOM_KV);
    for (long n = 1;; n++) {
        ag_err err;
        ag_kv kv;
        ag_kv_seq s = {0};
        ag_fault_arm(AG_FAULT_ALLOC, n, false);
        ag_code code = ag_kv_open(&kv, &shape, 8, &err);
        if (!code) {
            code = ag_kv_seq_init(&s, &kv, 100, &err);
            if (!code)
                ag_kv_seq_deinit(&s);
            ag_kv_close(&kv);
        }
        bool fired = ag_fault_fired(AG_FAULT_ALLOC);
        ag_fault_arm(AG_FAULT_ALLOC, 0, false);
        assert_int_equal(ag_mem_bytes(AG_ROOM_KV), before);
        if (!fired)
            break;
        assert_int_equal(code, AG_E_NOMEM);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sequence_starts_from_what_another_computed),
        cmocka_unit_test(a_sequence_takes_what_others_computed_meanwhile),
        cmocka_unit_test(the_last_token_is_always_left_to_compute),
        cmocka_unit_test(the_least_recently_used_block_is_evicted_first),
        cmocka_unit_test(too_large_a_wish_changes_nothing),
        cmocka_unit_test(random_traces_keep_the_laws),
        cmocka_unit_test(running_out_of_memory_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
