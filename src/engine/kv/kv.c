#include "kv/kv.h"

#include "base/mem.h"

size_t ag_kv_block_bytes(const ag_kv_shape *s) {
    return (s->ops->k_bytes(s->d) + s->ops->v_bytes(s->d)) * (size_t)s->n_layers *
           (size_t)s->n_heads;
}

ag_code ag_kv_open(ag_kv *kv, const ag_kv_shape *shape, int n_blocks, ag_err *err) {
    *kv = (ag_kv){.shape = *shape,
                  .k_bytes = shape->ops->k_bytes(shape->d),
                  .v_bytes = shape->ops->v_bytes(shape->d),
                  .block_bytes = ag_kv_block_bytes(shape),
                  .n_blocks = n_blocks};
    size_t bytes = (size_t)n_blocks * kv->block_bytes;
    kv->memory = ag_alloc_pages(AG_ROOM_KV, bytes);
    kv->free_list = ag_calloc(AG_ROOM_KV, (size_t)n_blocks, sizeof *kv->free_list);
    if (!kv->memory || !kv->free_list) {
        ag_kv_close(kv);
        return ag_fail(err, AG_E_NOMEM, "out of memory for %zu bytes of KV", bytes);
    }
    for (int i = 0; i < n_blocks; i++) /* low numbers first, so that pages are touched in order */
        kv->free_list[i] = n_blocks - 1 - i;
    kv->n_free = n_blocks;
    return AG_OK;
}

void ag_kv_close(ag_kv *kv) {
    if (kv->memory)
        ag_free_pages(AG_ROOM_KV, kv->memory, (size_t)kv->n_blocks * kv->block_bytes);
    ag_free(kv->free_list);
    *kv = (ag_kv){0};
}

ag_code ag_kv_seq_init(ag_kv_seq *s, ag_kv *kv, int max_tokens, ag_err *err) {
    *s = (ag_kv_seq){.kv = kv, .max_blocks = ag_kv_blocks_for(max_tokens)};
    s->blocks = ag_calloc(AG_ROOM_KV, (size_t)s->max_blocks, sizeof *s->blocks);
    if (!s->blocks)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the block table of a sequence");
    return AG_OK;
}

void ag_kv_seq_deinit(ag_kv_seq *s) {
    ag_kv_seq_clear(s);
    ag_free(s->blocks);
    *s = (ag_kv_seq){0};
}

ag_code ag_kv_seq_reserve(ag_kv_seq *s, int n_tokens) {
    ag_kv *kv = s->kv;
    int want = ag_kv_blocks_for(n_tokens);
    AG_ASSERT(want <= s->max_blocks);
    if (want - s->n_blocks > kv->n_free)
        return AG_E_NO_BLOCKS;
    while (s->n_blocks < want) {
        int block = kv->free_list[--kv->n_free];
        s->blocks[s->n_blocks++] = kv->memory + (size_t)block * kv->block_bytes;
    }
    return AG_OK;
}

void ag_kv_seq_clear(ag_kv_seq *s) {
    while (s->n_blocks > 0) {
        uint8_t *p = s->blocks[--s->n_blocks];
        s->kv->free_list[s->kv->n_free++] = (int)((size_t)(p - s->kv->memory) / s->kv->block_bytes);
    }
    s->n_tokens = 0;
}

void ag_kv_check(const ag_kv *kv, const ag_kv_seq *const *seqs, int n_seqs) {
    uint64_t owned = (uint64_t)kv->n_free, sum = 0, all = 0;
    for (int i = 0; i < kv->n_free; i++)
        sum += (uint64_t)kv->free_list[i] * kv->free_list[i] + 1;
    for (int i = 0; i < n_seqs; i++) {
        const ag_kv_seq *s = seqs[i];
        AG_ASSERT(s->n_blocks >= ag_kv_blocks_for(s->n_tokens) && s->n_blocks <= s->max_blocks);
        for (int b = 0; b < s->n_blocks; b++) {
            size_t at = (size_t)(s->blocks[b] - kv->memory), no = at / kv->block_bytes;
            AG_ASSERT(at % kv->block_bytes == 0 && no < (size_t)kv->n_blocks);
            sum += (uint64_t)no * no + 1;
        }
        owned += (uint64_t)s->n_blocks;
    }
    /* Equal counts and equal sums of squares: each block once (a duplicate would need a twin). */
    for (int i = 0; i < kv->n_blocks; i++)
        all += (uint64_t)i * (uint64_t)i + 1;
    AG_ASSERT(owned == (uint64_t)kv->n_blocks && sum == all);
}
