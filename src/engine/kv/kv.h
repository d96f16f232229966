/* Paged KV memory: blocks of AG_KV_BLOCK tokens, each holding K and V of every layer and kv head,
 * and the table of blocks that each sequence owns.
 *
 * Laws (checked by ag_kv_check):
 *   1. a block is either on the free list or in exactly one sequence's table;
 *   2. a sequence of n tokens holds ceil(n / AG_KV_BLOCK) blocks or more.
 *
 * Thread: engine. Nothing here allocates after opening: tables are sized for the longest sequence.
 */
#ifndef AG_KV_KV_H
#define AG_KV_KV_H

#include "base/error.h"
#include "kernels/kernels.h"

typedef struct ag_kv_shape {
    const ag_kv_ops *ops;
    int n_layers, n_heads; /* kv heads */
    int d;                 /* head size */
} ag_kv_shape;

typedef struct ag_kv {
    ag_kv_shape shape;
    size_t k_bytes, v_bytes; /* of one head in one block */
    size_t block_bytes;
    uint8_t *memory; /* owned: n_blocks * block_bytes */
    int n_blocks;
    int *free_list; /* owned stack of block numbers; the top is free_list[n_free - 1] */
    int n_free;
} ag_kv;

typedef struct ag_kv_seq {
    ag_kv *kv;
    uint8_t **blocks; /* owned table [max_blocks]; blocks[i] holds positions i*AG_KV_BLOCK .. */
    int n_blocks, max_blocks;
    int n_tokens; /* positions whose K and V are stored */
} ag_kv_seq;

/* Bytes of one block of this shape. */
size_t ag_kv_block_bytes(const ag_kv_shape *shape);
/* Reserve n_blocks. The pages are touched only as they are used. AG_E_NOMEM. */
ag_code ag_kv_open(ag_kv *kv, const ag_kv_shape *shape, int n_blocks, ag_err *err) AG_MUST_USE;
void ag_kv_close(ag_kv *kv);

/* An empty sequence of at most max_tokens. AG_E_NOMEM. */
ag_code ag_kv_seq_init(ag_kv_seq *s, ag_kv *kv, int max_tokens, ag_err *err) AG_MUST_USE;
void ag_kv_seq_deinit(ag_kv_seq *s);
/* Own enough blocks for n_tokens positions. On failure nothing changes. AG_E_NO_BLOCKS. */
ag_code ag_kv_seq_reserve(ag_kv_seq *s, int n_tokens) AG_MUST_USE;
/* Give all blocks back; the sequence is empty again. */
void ag_kv_seq_clear(ag_kv_seq *s);

/* Where layer's and head's K begins inside a block; V follows k_bytes later. */
static inline size_t ag_kv_at(const ag_kv *kv, int layer, int head) {
    return ((size_t)layer * (size_t)kv->shape.n_heads + (size_t)head) * (kv->k_bytes + kv->v_bytes);
}

static inline int ag_kv_blocks_for(int n_tokens) {
    return (n_tokens + AG_KV_BLOCK - 1) / AG_KV_BLOCK;
}

/* Walk everything and assert the laws; `seqs` are all sequences of this kv. Test builds call it
 * after every step. */
void ag_kv_check(const ag_kv *kv, const ag_kv_seq *const *seqs, int n_seqs);

#endif
