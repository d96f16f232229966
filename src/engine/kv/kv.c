#include "kv/kv.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"

static size_t v_bytes(const ag_kv_shape *s) { return s->d_v > 0 ? s->ops->v_bytes(s->d_v) : 0; }

size_t ag_kv_block_bytes(const ag_kv_shape *s) {
    return (s->ops->k_bytes(s->d) + v_bytes(s)) * (size_t)s->n_layers * (size_t)s->n_heads;
}

ag_code ag_kv_open(ag_kv *kv, const ag_kv_shape *shape, int n_blocks, ag_err *err) {
    *kv = (ag_kv){.shape = *shape,
                  .k_bytes = shape->ops->k_bytes(shape->d),
                  .v_bytes = v_bytes(shape),
                  .block_bytes = ag_kv_block_bytes(shape),
                  .n_blocks = n_blocks,
                  .n_buckets = 64,
                  .oldest = -1,
                  .newest = -1,
                  .seed = ag_random_seed()};
    while (kv->n_buckets < n_blocks)
        kv->n_buckets *= 2;
    size_t bytes = (size_t)n_blocks * kv->block_bytes;
    kv->memory = ag_alloc_pages(AG_ROOM_KV, bytes);
    kv->free_list = ag_calloc(AG_ROOM_KV, (size_t)n_blocks, sizeof *kv->free_list);
    kv->blocks = ag_calloc(AG_ROOM_KV, (size_t)n_blocks, sizeof *kv->blocks);
    kv->buckets = ag_calloc(AG_ROOM_KV, (size_t)kv->n_buckets, sizeof *kv->buckets);
    if (!kv->memory || !kv->free_list || !kv->blocks || !kv->buckets) {
        ag_kv_close(kv);
        return ag_fail(err, AG_E_NOMEM, "out of memory for %zu bytes of KV", bytes);
    }
    for (int i = 0; i < n_blocks; i++) /* low numbers first, so that pages are touched in order */
        kv->free_list[i] = n_blocks - 1 - i;
    for (int i = 0; i < kv->n_buckets; i++)
        kv->buckets[i] = -1;
    kv->n_free = n_blocks;
    return AG_OK;
}

void ag_kv_close(ag_kv *kv) {
    if (kv->memory)
        ag_free_pages(AG_ROOM_KV, kv->memory, (size_t)kv->n_blocks * kv->block_bytes);
    ag_free(kv->free_list);
    ag_free(kv->blocks);
    ag_free(kv->buckets);
    *kv = (ag_kv){0};
}

/* ---- cached blocks: a list by last use
 * ------------------------------------------------------------ */

static void cache_push(ag_kv *kv, int b) {
    kv->blocks[b].older = kv->newest;
    kv->blocks[b].newer = -1;
    if (kv->newest >= 0)
        kv->blocks[kv->newest].newer = b;
    else
        kv->oldest = b;
    kv->newest = b;
    kv->n_cached++;
}

static void cache_remove(ag_kv *kv, int b) {
    int older = kv->blocks[b].older, newer = kv->blocks[b].newer;
    *(older >= 0 ? &kv->blocks[older].newer : &kv->oldest) = newer;
    *(newer >= 0 ? &kv->blocks[newer].older : &kv->newest) = older;
    kv->n_cached--;
}

/* ---- the index: hash of all tokens up to a block's end → block
 * ------------------------------------ */

static int *bucket_of(const ag_kv *kv, uint64_t hash) {
    return &kv->buckets[hash & (uint64_t)(kv->n_buckets - 1)];
}

static uint64_t hash_block(const ag_kv *kv, uint64_t parent, const int32_t *ids) {
    return ag_hash64(ids, AG_KV_BLOCK * sizeof *ids, parent ^ kv->seed);
}

/* The chain hash is seeded, and the block's own tokens are compared, so a chance match would need
 * two beginnings that collide in 64 secret bits and then go on alike. */
static int index_find(const ag_kv *kv, uint64_t hash, uint64_t parent, const int32_t *ids) {
    for (int b = *bucket_of(kv, hash); b >= 0; b = kv->blocks[b].next_in_bucket) {
        const ag_kv_block *k = &kv->blocks[b];
        if (k->hash == hash && k->parent == parent && memcmp(k->ids, ids, sizeof k->ids) == 0)
            return b;
    }
    return -1;
}

static void index_remove(ag_kv *kv, int b) {
    int *link = bucket_of(kv, kv->blocks[b].hash);
    while (*link != b)
        link = &kv->blocks[*link].next_in_bucket;
    *link = kv->blocks[b].next_in_bucket;
    kv->blocks[b].indexed = false;
}

/* ---- sequences
 * ------------------------------------------------------------------------------------ */

static int take_block(ag_kv *kv) {
    if (kv->n_free > 0)
        return kv->free_list[--kv->n_free];
    int b = kv->oldest;
    cache_remove(kv, b);
    index_remove(kv, b);
    return b;
}

/* Block b as the sequence's block i. */
static void hold(ag_kv_seq *s, int i, int b) {
    s->kv->blocks[b].refs++;
    s->block[i] = b;
    s->at[i] = s->kv->memory + (size_t)b * s->kv->block_bytes;
}

static void let_go(ag_kv *kv, int b) {
    if (--kv->blocks[b].refs > 0)
        return;
    if (kv->blocks[b].indexed)
        cache_push(kv, b);
    else
        kv->free_list[kv->n_free++] = b;
}

uint64_t ag_kv_salt(const ag_kv *kv, const void *bytes, size_t n) {
    return n > 0 ? ag_hash64(bytes, n, ~kv->seed) : 0;
}

ag_code ag_kv_seq_init(ag_kv_seq *s, ag_kv *kv, int max_tokens, ag_err *err) {
    *s = (ag_kv_seq){.kv = kv, .max_blocks = ag_kv_blocks_for(max_tokens)};
    s->at = ag_calloc(AG_ROOM_KV, (size_t)s->max_blocks, sizeof *s->at);
    s->block = ag_calloc(AG_ROOM_KV, (size_t)s->max_blocks, sizeof *s->block);
    if (!s->at || !s->block) {
        ag_kv_seq_deinit(s);
        return ag_fail(err, AG_E_NOMEM, "out of memory for the block table of a sequence");
    }
    return AG_OK;
}

void ag_kv_seq_deinit(ag_kv_seq *s) {
    ag_kv_seq_clear(s);
    ag_free(s->at);
    ag_free(s->block);
    *s = (ag_kv_seq){0};
}

/* What block i chains to. */
static uint64_t parent_of(const ag_kv_seq *s, int i) {
    return i > 0 ? s->kv->blocks[s->block[i - 1]].hash : s->salt;
}

/* Block b, which is indexed, as the sequence's block i, where one may be reserved. */
static void share(ag_kv_seq *s, int i, int b) {
    ag_kv *kv = s->kv;
    if (kv->blocks[b].refs == 0)
        cache_remove(kv, b);
    if (i < s->n_blocks)
        let_go(kv, s->block[i]);
    else
        s->n_blocks++;
    hold(s, i, b);
}

int ag_kv_seq_adopt(ag_kv_seq *s, const int32_t *ids, int n) {
    int before = s->n_tokens, i = before / AG_KV_BLOCK;
    if (before % AG_KV_BLOCK != 0)
        return 0;
    AG_ASSERT(s->n_committed == i);
    for (; (i + 1) * AG_KV_BLOCK < n; i++) {
        const int32_t *own = ids + i * AG_KV_BLOCK;
        uint64_t parent = parent_of(s, i);
        int b = index_find(s->kv, hash_block(s->kv, parent, own), parent, own);
        if (b < 0)
            break;
        share(s, i, b);
    }
    s->n_committed = i;
    s->n_tokens = i * AG_KV_BLOCK;
    return s->n_tokens - before;
}

uint64_t ag_kv_seq_ahead(const ag_kv_seq *s, const int32_t *ids, int n) {
    int i = s->n_tokens / AG_KV_BLOCK;
    return (i + 1) * AG_KV_BLOCK <= n ? hash_block(s->kv, parent_of(s, i), ids + i * AG_KV_BLOCK)
                                      : 0;
}

ag_code ag_kv_seq_reserve(ag_kv_seq *s, int n_tokens) {
    int want = ag_kv_blocks_for(n_tokens);
    AG_ASSERT(want <= s->max_blocks);
    if (want - s->n_blocks > ag_kv_available(s->kv))
        return AG_E_NO_BLOCKS;
    while (s->n_blocks < want)
        hold(s, s->n_blocks++, take_block(s->kv));
    return AG_OK;
}

void ag_kv_seq_commit(ag_kv_seq *s, const int32_t *ids) {
    ag_kv *kv = s->kv;
    while ((s->n_committed + 1) * AG_KV_BLOCK <= s->n_tokens) {
        int i = s->n_committed++;
        ag_kv_block *k = &kv->blocks[s->block[i]];
        const int32_t *own = ids + i * AG_KV_BLOCK;
        k->parent = parent_of(s, i);
        k->hash = hash_block(kv, k->parent, own);
        memcpy(k->ids, own, sizeof k->ids);
        if (index_find(kv, k->hash, k->parent, own) >= 0)
            continue; /* another sequence was first; this copy goes with its owner */
        int *bucket = bucket_of(kv, k->hash);
        k->next_in_bucket = *bucket;
        *bucket = s->block[i];
        k->indexed = true;
    }
}

/* From the end, so that of one sequence the beginnings, which more can share, are evicted last. */
void ag_kv_seq_clear(ag_kv_seq *s) {
    while (s->n_blocks > 0)
        let_go(s->kv, s->block[--s->n_blocks]);
    s->n_tokens = s->n_committed = 0;
}

void ag_kv_check(const ag_kv *kv, const ag_kv_seq *const *seqs, int n_seqs) {
    int held = 0, refs = 0, cached = 0;
    for (int i = 0; i < n_seqs; i++) {
        const ag_kv_seq *s = seqs[i];
        AG_ASSERT(s->n_blocks >= ag_kv_blocks_for(s->n_tokens) && s->n_blocks <= s->max_blocks);
        refs += s->n_blocks;
        for (int b = 0; b < s->n_blocks; b++)
            AG_ASSERT(s->at[b] == kv->memory + (size_t)s->block[b] * kv->block_bytes &&
                      kv->blocks[s->block[b]].refs > 0);
    }
    for (int b = 0; b < kv->n_blocks; b++) {
        held += kv->blocks[b].refs > 0;
        refs -= kv->blocks[b].refs;
    }
    for (int b = kv->oldest; b >= 0; b = kv->blocks[b].newer) {
        AG_ASSERT(kv->blocks[b].refs == 0 && kv->blocks[b].indexed);
        AG_ASSERT(++cached <= kv->n_blocks);
    }
    for (int i = 0; i < kv->n_free; i++)
        AG_ASSERT(kv->blocks[kv->free_list[i]].refs == 0 && !kv->blocks[kv->free_list[i]].indexed);
    AG_ASSERT(refs == 0 && cached == kv->n_cached);
    AG_ASSERT(held + kv->n_free + kv->n_cached == kv->n_blocks);
}
