/* What a GGUF file says about its model, whatever the architecture: for inspect, and for the limits
 * that bench compares with. Everything is read leniently: an absent or odd key leaves zero. */
#ifndef AG_CLI_FACTS_H
#define AG_CLI_FACTS_H

#include "kernels/kernels.h"
#include "load/source.h"

typedef struct ag_cli_type_sum {
    uint32_t tensors;
    uint64_t params, bytes;
} ag_cli_type_sum;

typedef struct ag_cli_facts {
    ag_span arch, name, license, tokenizer, pre, chat_template; /* in the mapping; maybe empty */
    uint32_t layers, embd, ff, heads, kv_heads, ctx, window;
    uint32_t kv_heads_all;       /* summed over the layers that keep keys */
    uint32_t key_len, value_len; /* size of a head */
    uint32_t experts, experts_used;
    uint64_t vocab;
    uint32_t file_type; /* general.file_type; UINT32_MAX when absent */
    uint32_t n_files;   /* splits */
    uint64_t params, tensor_bytes;
    ag_cli_type_sum by_type[AG_T_LIMIT];
    ag_type main_type; /* that holds the most parameters */
    /* What one token costs: weight bytes read when decoding (the embedding counts only where it is
     * the output matrix too; of experts only the used share), and parameters multiplied when
     * processing a prompt (the output matrix is needed for its last position only). */
    uint64_t decode_bytes, prefill_params;
    bool has_output; /* an output matrix of its own */
    bool encodes;    /* an encoder: keys live for one layer, in float32 */
} ag_cli_facts;

void ag_cli_facts_read(const ag_source *g, ag_cli_facts *f);
/* Bytes of a tensor as it is loaded by default: in its `keep`, which for a quantised weight of a
 * folder is not the F32 that its values can be had in. */
uint64_t ag_cli_tensor_bytes(const ag_tensor *t);
/* "Q4_K_M": the mixture that general.file_type names; NULL when absent or unknown. */
const char *ag_cli_mixture(const ag_cli_facts *f);
/* Bytes of KV for n tokens of one sequence, as the kernels lay it out; 0 when unknown. */
uint64_t ag_cli_kv_bytes(const ag_cli_facts *f, ag_kv_type type, uint64_t n_tokens);

#endif
