/* Attention over paged KV: each tier equals the plain one bit for bit, the plain one stays within a
 * stated bound of double precision, and a row's result never depends on its company (the law). */
#include "unit/kernels/check.h"

#include "kernels/half.h"

#define MAX_BLOCKS 12

static const ag_kernels *tier[CHECK_TIERS];
static ag_kernels spare;
static int n_tiers;

static int find_tiers(void **state) {
    (void)state;
    check_seed();
    n_tiers = check_tiers(tier, &spare);
    return 0;
}

/* One sequence: keys, values, queries and the paged cache they are stored in. */
typedef struct scene {
    int type, d, group, ctx, window, n_keys;
    int d_v; /* 0: d */
    bool v_in_k;
    float softcap;
    float *k, *v; /* [ctx][d] */
    float *q;     /* [ctx][group][d]: a query for every position */
    uint8_t *pool;
    size_t block_bytes, k_at, v_at;
    const uint8_t *blocks[MAX_BLOCKS];
} scene;

static void scene_init(scene *s, int type, int d, int group, int ctx) {
    const ag_kv_ops *ops = &tier[0]->kv[type];
    *s = (scene){.type = type, .d = d, .group = group, .ctx = ctx};
    s->k_at = 64; /* something of another head lies before and between */
    s->v_at = s->k_at + ops->k_bytes(d) + 128;
    s->block_bytes = s->v_at + ops->v_bytes(d) + 64;
    s->pool = ag_alloc(AG_ROOM_TEST, MAX_BLOCKS * s->block_bytes);
    s->k = check_new((size_t)ctx * d);
    s->v = check_new((size_t)ctx * d);
    s->q = check_new((size_t)ctx * group * d);
    assert_non_null(s->pool);
    assert_true((ctx + AG_KV_BLOCK - 1) / AG_KV_BLOCK <= MAX_BLOCKS);
    memset(s->pool, 0xff, MAX_BLOCKS * s->block_bytes); /* NaN in every type */
    for (int b = 0; b < MAX_BLOCKS; b++)                /* blocks lie in no order */
        s->blocks[b] = s->pool + (size_t)((b * 5 + 3) % MAX_BLOCKS) * s->block_bytes;
    check_fill(s->k, (size_t)ctx * d, 1);
    check_fill(s->v, (size_t)ctx * d, 1);
    check_fill(s->q, (size_t)ctx * group * d, 4);
}

static void scene_free(scene *s) {
    check_free(s->k, (size_t)s->ctx * s->d);
    check_free(s->v, (size_t)s->ctx * s->d);
    check_free(s->q, (size_t)s->ctx * s->group * s->d);
    ag_free(s->pool);
}

static void store(scene *s, const ag_kernels *k, int from, int to) {
    for (int p = from; p < to; p++) {
        uint8_t *block = (uint8_t *)s->blocks[p / AG_KV_BLOCK];
        k->kv[s->type].store_k(block + s->k_at, s->d, p % AG_KV_BLOCK, s->k + (size_t)p * s->d);
        k->kv[s->type].store_v(block + s->v_at, s->d, p % AG_KV_BLOCK, s->v + (size_t)p * s->d);
    }
}

/* Rows of positions pos0 .. pos0 + n_tok - 1, query heads g0 .. g0 + heads - 1, into their places
 * in out [ctx][group][d]. */
static void attend(const scene *s, const ag_kernels *k, int pos0, int n_tok, int g0, int heads,
                   float *out) {
    const size_t n = k->kv[s->type].attend_scratch(n_tok, heads, s->d);
    const size_t row = (size_t)s->group * s->d, at = (size_t)pos0 * row + (size_t)g0 * s->d;
    float *scratch = check_new(n);
    ag_attend_args args = {.q = s->q + at,
                           .q_stride = row,
                           .out = out + at,
                           .out_stride = row,
                           .n_tok = n_tok,
                           .group = heads,
                           .d = s->d,
                           .d_v = s->d_v,
                           .v_in_k = s->v_in_k,
                           .pos0 = pos0,
                           .n_keys = s->n_keys,
                           .window = s->window,
                           .scale = 1 / sqrtf((float)s->d),
                           .softcap = s->softcap,
                           .blocks = s->blocks,
                           .k_at = s->k_at,
                           .v_at = s->v_at,
                           .scratch = scratch};
    k->kv[s->type].attend(&args);
    check_free(scratch, n);
}

/* x as the cache holds it, by the definition of each type. */
static void as_stored(int type, int d, float *x) {
    for (int i = 0; i < d; i++) {
        if (type == AG_KV_F16)
            x[i] = ag_f16_to_f32(ag_f32_to_f16(x[i]));
        if (type == AG_KV_BF16)
            x[i] = ag_bf16_to_f32(ag_f32_to_bf16(x[i]));
    }
    for (int i = 0; type == AG_KV_Q8_0 && i < d; i += 32) {
        const int n = d - i < 32 ? d - i : 32;
        float most = 0;
        for (int j = i; j < i + n; j++)
            most = fabsf(x[j]) > most ? fabsf(x[j]) : most;
        const float scale = ag_f16_to_f32(ag_f32_to_f16(most / 127));
        for (int j = i; j < i + n; j++) {
            const float y = rintf(x[j] * (1 / scale));
            x[j] = scale * (y > 127 ? 127 : y < -127 ? -127 : y);
        }
    }
}

/* One row in double precision from the stored values. Returns the largest |score|. */
static double exact_row(const scene *s, int pos, const float *q, double *out) {
    static float k[512], v[512];
    double score[MAX_BLOCKS * AG_KV_BLOCK], most = -INFINITY, largest = 0, sum = 0;
    const int first = s->window && pos >= s->window ? pos - s->window + 1 : 0;
    for (int p = first; p <= pos; p++) {
        memcpy(k, s->k + (size_t)p * s->d, s->d * sizeof *k);
        as_stored(s->type, s->d, k);
        score[p] = 0;
        for (int i = 0; i < s->d; i++)
            score[p] += (double)q[i] * k[i];
        score[p] /= sqrt(s->d);
        if (s->softcap > 0)
            score[p] = s->softcap * tanh(score[p] / s->softcap);
        most = fmax(most, score[p]);
        largest = fmax(largest, fabs(score[p]));
    }
    memset(out, 0, s->d * sizeof *out);
    for (int p = first; p <= pos; p++) {
        const double weight = exp(score[p] - most);
        memcpy(v, s->v + (size_t)p * s->d, s->d * sizeof *v);
        as_stored(s->type, s->d, v);
        sum += weight;
        for (int i = 0; i < s->d; i++)
            out[i] += weight * v[i];
    }
    for (int i = 0; i < s->d; i++)
        out[i] /= sum;
    return largest;
}

static const int dims[] = {16, 32, 48, 64, 80, 96, 112, 128, 144, 256};
#define N_DIMS (sizeof dims / sizeof *dims)

/* Bound: 1e-6 (1 + the largest |score|) with |V| <= 1. A score's own error grows with its size. */
static void attention_is_within_1e6_of_double(void **state) {
    (void)state;
    for (int type = 0; type < AG_KV_TYPES; type++)
        for (size_t i = 0; i < N_DIMS; i++) {
            scene s;
            scene_init(&s, type, dims[i], 3, 100);
            s.window = i % 3 == 1 ? 37 : 0;
            s.softcap = i % 4 == 3 ? 2.5f : 0;
            const size_t row = (size_t)s.group * s.d, n = (size_t)s.ctx * row;
            float *out = check_new(n);
            store(&s, tier[0], 0, s.ctx);
            attend(&s, tier[0], 0, s.ctx, 0, s.group, out);
            double want[512];
            for (int r = 0; r < s.ctx * s.group; r++) {
                const double largest = exact_row(&s, r / s.group, s.q + (size_t)r * s.d, want);
                for (int j = 0; j < s.d; j++)
                    assert_true(fabs(want[j] - out[(size_t)r * s.d + j]) <= 1e-6 * (1 + largest));
            }
            check_free(out, n);
            scene_free(&s);
        }
}

static void every_tier_equals_the_plain_one(void **state) {
    (void)state;
    for (int round = 0; round < check_rounds(100); round++) {
        scene s;
        scene_init(&s, round % AG_KV_TYPES, dims[check_below(N_DIMS)], 1 + check_below(17),
                   1 + check_below(130));
        s.window = check_below(2) ? 1 + check_below(80) : 0;
        s.softcap = check_below(3) ? 0 : 3;
        const int pos0 = check_below(s.ctx);
        const size_t n = (size_t)s.ctx * s.group * s.d;
        float *want = check_new(n), *got = check_new(n);
        store(&s, tier[0], 0, s.ctx);
        attend(&s, tier[0], pos0, s.ctx - pos0, 0, s.group, want);
        for (int t = 1; t < n_tiers; t++) {
            memset(got, 0xff, n * sizeof *got);
            attend(&s, tier[t], pos0, s.ctx - pos0, 0, s.group, got);
            check_same(tier[t]->kv[s.type].name, tier[t]->isa, want, got, n);
        }
        check_free(want, n);
        check_free(got, n);
        scene_free(&s);
    }
}

static void every_tier_stores_the_same_bytes(void **state) {
    (void)state;
    static const float by[] = {1, 1e-4f, 1e-9f, 1e5f, 1e9f};
    for (int round = 0; round < 200; round++) {
        scene s;
        scene_init(&s, round % AG_KV_TYPES, dims[check_below(N_DIMS)], 1, 1);
        check_fill(s.k, s.d, by[check_below(5)]);
        check_fill(s.v, s.d, by[check_below(5)]);
        if (round % 5 == 3) /* every type in turn */
            s.k[check_below(s.d)] = round % 2 ? -NAN : -INFINITY;
        /* Rounded as numbers, these NaN would become zero, infinity, or another NaN. */
        static const uint32_t nans[] = {0x7fffffffu, 0x7f800001u, 0xffffffffu, 0x7fa12345u};
        if (round % 5 == 1)
            memcpy(s.v + check_below(s.d), nans + check_below(4), sizeof *s.v);
        if (round % 7 == 3)
            memset(s.v, 0, s.d * sizeof *s.v);
        const ag_kv_ops *ref = &tier[0]->kv[s.type];
        const size_t kb = ref->k_bytes(s.d), vb = ref->v_bytes(s.d);
        const int slot = check_below(AG_KV_BLOCK);
        uint8_t *want = s.pool, *got = s.pool + s.block_bytes; /* blocks of the scene, unused */
        assert_int_equal(kb % 64, 0);
        assert_int_equal(vb % 64, 0);
        ref->store_k(want, s.d, slot, s.k);
        ref->store_v(want + kb, s.d, slot, s.v);
        for (int t = 1; t < n_tiers; t++) {
            const ag_kv_ops *ops = &tier[t]->kv[s.type];
            memset(got, 0xff, s.block_bytes);
            assert_true(ops->k_bytes(s.d) == kb && ops->v_bytes(s.d) == vb);
            ops->store_k(got, s.d, slot, s.k);
            ops->store_v(got + kb, s.d, slot, s.v);
            assert_memory_equal(want, got, s.block_bytes);
        }
        scene_free(&s);
    }
}

/* Tokens are stored just before they are used, so later slots hold NaN then, and keys later. */
static void run_in_chunks(scene *s, const ag_kernels *k, int most, bool by_head, float *out) {
    memset(s->pool, 0xff, MAX_BLOCKS * s->block_bytes);
    for (int p = 0, n; p < s->ctx; p += n) {
        n = most == 1 ? 1 : 1 + check_below(most);
        n = n < s->ctx - p ? n : s->ctx - p;
        store(s, k, p, p + n);
        for (int g = 0; by_head && g < s->group; g++)
            attend(s, k, p, n, g, 1, out);
        if (!by_head)
            attend(s, k, p, n, 0, s->group, out);
    }
}

static void check_law(scene *s, const ag_kernels *k) {
    const size_t n = (size_t)s->ctx * s->group * s->d;
    float *whole = check_new(n), *parts = check_new(n);
    memset(s->pool, 0xff, MAX_BLOCKS * s->block_bytes);
    store(s, k, 0, s->ctx);
    attend(s, k, 0, s->ctx, 0, s->group, whole);
    run_in_chunks(s, k, 1, false, parts);
    check_same("one token at a time", k->isa, whole, parts, n);
    run_in_chunks(s, k, 50, false, parts);
    check_same("in random chunks", k->isa, whole, parts, n);
    run_in_chunks(s, k, 9, true, parts);
    check_same("one head at a time", k->isa, whole, parts, n);
    check_free(whole, n);
    check_free(parts, n);
}

static void a_row_does_not_depend_on_its_company(void **state) {
    (void)state;
    static const int groups[] = {1, 3, 4, 7, 8, 12, 16};
    static const int sizes[] = {64, 80, 96, 128, 256};
    for (int round = 0; round < check_rounds(56); round++)
        for (int t = round % 8 ? 1 : 0; t < n_tiers; t++) { /* the plain tier is slow */
            scene s;
            scene_init(&s, round % AG_KV_TYPES, sizes[round % 5], groups[round % 7],
                       20 + check_below(t ? 140 : 60));
            s.window = round % 3 == 2 ? 1 + check_below(70) : 0;
            s.softcap = round % 5 == 4 ? 4 : 0;
            check_law(&s, tier[t]);
            scene_free(&s);
        }
}

static void later_keys_do_not_reach_earlier_rows(void **state) {
    (void)state;
    for (int type = 0; type < AG_KV_TYPES; type++)
        for (int t = 0; t < n_tiers; t++) {
            scene s;
            scene_init(&s, type, 64, 4, 45);
            const size_t n = (size_t)s.ctx * s.group * s.d, upto = (size_t)40 * s.group * s.d;
            float *clean = check_new(n), *dirty = check_new(n);
            store(&s, tier[t], 0, s.ctx);
            attend(&s, tier[t], 0, s.ctx, 0, s.group, clean);
            for (int i = 0; i < 64; i++) {
                s.k[40 * 64 + i] = i % 2 ? NAN : INFINITY;
                s.v[40 * 64 + i] = i % 2 ? -INFINITY : NAN;
            }
            store(&s, tier[t], 40, 41);
            attend(&s, tier[t], 0, s.ctx, 0, s.group, dirty);
            check_same("rows before a broken key", tier[t]->isa, clean, dirty, upto);
            for (size_t i = upto; i < n; i++)
                assert_true(isnan(dirty[i])); /* and it stays visible in the rows that see it */
            check_free(clean, n);
            check_free(dirty, n);
            scene_free(&s);
        }
}

static void the_type_of_the_cache_only_rounds(void **state) {
    (void)state;
    for (int type = AG_KV_F16; type < AG_KV_TYPES; type++)
        for (int t = 0; t < n_tiers; t++) {
            scene s, plain;
            scene_init(&s, type, 80, 5, 70);
            scene_init(&plain, AG_KV_F32, 80, 5, 70);
            const size_t n = (size_t)s.ctx * s.group * s.d;
            memcpy(plain.q, s.q, n * sizeof *s.q);
            for (int p = 0; p < s.ctx; p++) {
                memcpy(plain.k + p * 80, s.k + p * 80, 80 * sizeof *s.k);
                memcpy(plain.v + p * 80, s.v + p * 80, 80 * sizeof *s.v);
                as_stored(type, 80, plain.k + p * 80);
                as_stored(type, 80, plain.v + p * 80);
            }
            float *want = check_new(n), *got = check_new(n);
            store(&s, tier[t], 0, s.ctx);
            store(&plain, tier[t], 0, s.ctx);
            attend(&plain, tier[t], 0, s.ctx, 0, s.group, want);
            attend(&s, tier[t], 0, s.ctx, 0, s.group, got);
            check_same("against a float32 cache", tier[t]->kv[type].name, want, got, n);
            check_free(want, n);
            check_free(got, n);
            scene_free(&s);
            scene_free(&plain);
        }
}

/* Values of their own, shorter than keys, and the same ones read from the keys: the same bits. */
static void values_may_be_part_of_keys(void **state) {
    (void)state;
    for (int type = 0; type < AG_KV_TYPES; type++)
        for (int t = 0; t < n_tiers; t++) {
            const ag_kv_ops *ops = &tier[t]->kv[type];
            scene s;
            scene_init(&s, type, 96, 5, 70);
            s.d_v = 64;
            const size_t n = (size_t)s.ctx * s.group * s.d;
            float *want = check_new(n), *got = check_new(n);
            for (int p = 0; p < s.ctx; p++) {
                uint8_t *block = (uint8_t *)s.blocks[p / AG_KV_BLOCK];
                ops->store_k(block + s.k_at, s.d, p % AG_KV_BLOCK, s.k + (size_t)p * s.d);
                ops->store_v(block + s.v_at, s.d_v, p % AG_KV_BLOCK, s.k + (size_t)p * s.d);
            }
            memset(want, 0, n * sizeof *want);
            attend(&s, tier[t], 0, s.ctx, 0, s.group, want);
            s.v_in_k = true;
            memset(got, 0, n * sizeof *got);
            attend(&s, tier[t], 0, s.ctx, 0, s.group, got);
            check_same("values in keys", ops->name, want, got, n);
            for (int r = 0; r < s.ctx * s.group; r++) /* the rest of a head is left alone */
                assert_true(want[r * s.d + 63] != 0 && want[r * s.d + 64] == 0);
            check_free(want, n);
            check_free(got, n);
            scene_free(&s);
        }
}

/* A row's result may take the place of its query. */
static void the_result_may_replace_the_query(void **state) {
    (void)state;
    for (int t = 0; t < n_tiers; t++) {
        scene s;
        scene_init(&s, AG_KV_F16, 64, 20, 70);
        const size_t n = (size_t)s.ctx * s.group * s.d;
        float *want = check_new(n);
        store(&s, tier[t], 0, s.ctx);
        attend(&s, tier[t], 0, s.ctx, 0, s.group, want);
        attend(&s, tier[t], 0, s.ctx, 0, s.group, s.q);
        check_same("in place", tier[t]->isa, want, s.q, n);
        check_free(want, n);
        scene_free(&s);
    }
}

static void a_window_of_one_returns_the_own_value(void **state) {
    (void)state;
    for (int t = 0; t < n_tiers; t++) {
        scene s;
        scene_init(&s, AG_KV_F32, 48, 2, 70);
        s.window = 1;
        const size_t n = (size_t)s.ctx * s.group * s.d;
        float *out = check_new(n);
        store(&s, tier[t], 0, s.ctx);
        attend(&s, tier[t], 0, s.ctx, 0, s.group, out);
        for (int r = 0; r < s.ctx * s.group; r++)
            check_same("own value", tier[t]->isa, s.v + r / s.group * s.d, out + r * s.d, s.d);
        check_free(out, n);
        scene_free(&s);
    }
}

static void a_window_past_the_start_is_no_window(void **state) {
    (void)state;
    scene s;
    scene_init(&s, AG_KV_F16, 64, 3, 90);
    const size_t n = (size_t)s.ctx * s.group * s.d;
    float *want = check_new(n), *got = check_new(n);
    store(&s, tier[0], 0, s.ctx);
    for (int t = 0; t < n_tiers; t++) {
        s.window = 0;
        attend(&s, tier[t], 0, s.ctx, 0, s.group, want);
        s.window = t % 2 ? 90 : INT32_MAX;
        attend(&s, tier[t], 0, s.ctx, 0, s.group, got);
        check_same("wide window", tier[t]->isa, want, got, n);
    }
    check_free(want, n);
    check_free(got, n);
    scene_free(&s);
}

/* A row that sees every key gives what it would give as the last one. */
static void without_order_every_row_is_the_last(void **state) {
    (void)state;
    for (int round = 0; round < check_rounds(40); round++) {
        scene s;
        scene_init(&s, round % AG_KV_TYPES, dims[check_below(N_DIMS)], 1 + check_below(3),
                   1 + check_below(130));
        const size_t row = (size_t)s.group * s.d, n = (size_t)s.ctx * row;
        float *got = check_new(n), *want = check_new(n);
        store(&s, tier[0], 0, s.ctx);
        for (int t = 0; t < n_tiers; t++) {
            s.n_keys = s.ctx;
            attend(&s, tier[t], 0, s.ctx, 0, s.group, got);
            s.n_keys = 0;
            for (int tok = s.ctx - 1; tok >= 0; tok--) {
                float *last = s.q + (size_t)(s.ctx - 1) * row, kept[17 * 256];
                memcpy(kept, last, row * sizeof *kept);
                memcpy(last, s.q + (size_t)tok * row, row * sizeof *kept);
                attend(&s, tier[t], s.ctx - 1, 1, 0, s.group, want);
                memcpy(last, kept, row * sizeof *kept);
                check_same("without order", tier[t]->isa, want + (size_t)(s.ctx - 1) * row,
                           got + (size_t)tok * row, row);
            }
        }
        check_free(want, n);
        check_free(got, n);
        scene_free(&s);
    }
}

static void extremes_give_numbers(void **state) {
    (void)state;
    static const float q_by[] = {0, 1e-40f, 1e30f, 1e4f}, k_by[] = {1e-40f, 3e4f};
    for (int type = 0; type < AG_KV_TYPES; type++)
        for (int round = 0; round < 16; round++)
            for (int t = 0; t < n_tiers; t++) {
                scene s;
                scene_init(&s, type, 64, 4, 40);
                check_fill(s.q, (size_t)s.ctx * s.group * s.d, q_by[round % 4]);
                check_fill(s.k, (size_t)s.ctx * s.d, k_by[round / 4 % 2]);
                s.softcap = round / 8 ? 30 : 0;
                const size_t n = (size_t)s.ctx * s.group * s.d;
                float *out = check_new(n);
                store(&s, tier[t], 0, s.ctx);
                attend(&s, tier[t], 0, s.ctx, 0, s.group, out);
                for (size_t i = 0; i < n; i++)
                    assert_true(fabsf(out[i]) <= 1.0001f); /* a mean of values below 1 */
                check_free(out, n);
                scene_free(&s);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_within_1e6_of_double),
        cmocka_unit_test(every_tier_equals_the_plain_one),
        cmocka_unit_test(every_tier_stores_the_same_bytes),
        cmocka_unit_test(a_row_does_not_depend_on_its_company),
        cmocka_unit_test(later_keys_do_not_reach_earlier_rows),
        cmocka_unit_test(the_type_of_the_cache_only_rounds),
        cmocka_unit_test(values_may_be_part_of_keys),
        cmocka_unit_test(the_result_may_replace_the_query),
        cmocka_unit_test(a_window_of_one_returns_the_own_value),
        cmocka_unit_test(a_window_past_the_start_is_no_window),
        cmocka_unit_test(without_order_every_row_is_the_last),
        cmocka_unit_test(extremes_give_numbers),
    };
    return cmocka_run_group_tests(tests, find_tiers, NULL);
}
