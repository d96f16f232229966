/* Paged KV memory: blocks of AG_KV_BLOCK tokens, each holding K and V of every layer and kv head;
 * the table of blocks that each sequence uses; and an index that lets a sequence start from blocks
 * that others, running or ended, have computed for the same beginning.
 *
 * A block goes through:
 *
 *   FREE ──take──▶ OWNED (1 reference) ──commit, full──▶ INDEXED (n references)
 *    ▲                │ last unref                            │ last unref     ▲
 *    ├────────────────┘                                       ▼                │ adopt
 *    └──────────────────── evict, least recently used ──── CACHED (0 references)
 *
 * An indexed block is full and never written again, so sharing needs no copy; and since a row's K
 * and V depend on its own sequence alone, a shared block holds the very bits that would be
 * computed.
 *
 * Laws (checked by ag_kv_check):
 *   1. a block's references are the tables it stands in; with none it is free or cached;
 *   2. a sequence of n tokens holds ceil(n / AG_KV_BLOCK) blocks or more;
 *   3. only full blocks are indexed.
 *
 * Thread: engine. Nothing here allocates after opening: tables are sized for the longest sequence.
 */
#ifndef AG_KV_KV_H
#define AG_KV_KV_H

#include <string.h>

#include "base/error.h"
#include "kernels/kernels.h"

typedef struct ag_kv_shape {
    const ag_kv_ops *ops;
    int n_layers, n_heads; /* kv heads */
    int d;                 /* numbers of a head's key */
    int d_v;               /* of its value; 0: it is part of the key, no V is stored */
} ag_kv_shape;

/* What is known of a block. Links are block numbers, -1 for none. */
typedef struct ag_kv_block {
    int refs; /* tables it stands in */
    bool indexed;
    uint64_t hash;            /* of all tokens up to its end; chains through its parent's */
    uint64_t parent;          /* the parent's hash */
    int32_t ids[AG_KV_BLOCK]; /* its tokens, when indexed */
    int next_in_bucket;
    int older, newer; /* neighbours among cached blocks */
} ag_kv_block;

typedef struct ag_kv {
    ag_kv_shape shape;
    size_t k_bytes, v_bytes; /* of one head in one block */
    size_t block_bytes;
    uint8_t *memory; /* owned: n_blocks * block_bytes */
    int n_blocks;
    ag_kv_block *blocks; /* owned [n_blocks] */
    int *free_list;      /* owned stack of block numbers; the top is free_list[n_free - 1] */
    int n_free;
    int *buckets; /* owned [n_buckets]: first block of each */
    int n_buckets;
    int oldest, newest; /* cached blocks, by last use */
    int n_cached;
    uint64_t seed; /* of the hashes */
} ag_kv;

typedef struct ag_kv_seq {
    ag_kv *kv;
    uint8_t **at; /* owned [max_blocks]; at[i] holds positions i*AG_KV_BLOCK and on */
    int *block;   /* owned [max_blocks]: their numbers */
    int n_blocks, max_blocks;
    int n_tokens;    /* positions whose K and V are stored */
    int n_committed; /* leading blocks that were offered to the index */
    uint64_t salt;   /* blocks are shared only among sequences of equal salt */
} ag_kv_seq;

/* Bytes of one block of this shape. */
size_t ag_kv_block_bytes(const ag_kv_shape *shape);
/* Reserve n_blocks. The pages are touched only as they are used. AG_E_NOMEM. */
ag_code ag_kv_open(ag_kv *kv, const ag_kv_shape *shape, int n_blocks, ag_err *err) AG_MUST_USE;
void ag_kv_close(ag_kv *kv);
/* Blocks that a sequence could get now: free and cached ones. */
static inline int ag_kv_available(const ag_kv *kv) { return kv->n_free + kv->n_cached; }

/* The salt of n bytes; 0 of none. Any thread. */
uint64_t ag_kv_salt(const ag_kv *kv, const void *bytes, size_t n);
/* An empty sequence of at most max_tokens, its salt 0. AG_E_NOMEM. */
ag_code ag_kv_seq_init(ag_kv_seq *s, ag_kv *kv, int max_tokens, ag_err *err) AG_MUST_USE;
void ag_kv_seq_deinit(ag_kv_seq *s);
/* Share the indexed blocks in which ids[n] goes on from where the sequence is, leaving at least the
 * last token to compute; reserved ones that they take the place of are free. Returns the tokens
 * found, by which n_tokens has grown; 0 also where it does not stand at the end of a block. */
int ag_kv_seq_adopt(ag_kv_seq *s, const int32_t *ids, int n);
/* The block that the sequence computes next, as a hash of ids[n] up to its end: equal for sequences
 * that compute the same (and by chance for others, once in 2^64). 0: ids end before it does. */
uint64_t ag_kv_seq_ahead(const ag_kv_seq *s, const int32_t *ids, int n);
/* Hold enough blocks for n_tokens positions. On failure nothing changes. AG_E_NO_BLOCKS. */
ag_code ag_kv_seq_reserve(ag_kv_seq *s, int n_tokens) AG_MUST_USE;
/* Forget what is stored beyond n_tokens, of which nothing was offered to the index yet. */
static inline void ag_kv_seq_cut(ag_kv_seq *s, int n_tokens) {
    if (s->n_tokens > n_tokens)
        s->n_tokens = n_tokens;
}
/* Offer the blocks that are full by now to the index; ids are the sequence's tokens so far. */
void ag_kv_seq_commit(ag_kv_seq *s, const int32_t *ids);
/* Let go of all blocks; the sequence is empty again. Indexed ones stay cached. */
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
