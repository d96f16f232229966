/* Mixes of weight types: which tensor gets which type when a model is quantised, into a file or
 * while it is loaded.
 *
 * The names and the choices are those that the field's tools agree on, so "q4_k_m" means here what
 * it means elsewhere: most matrices in the base type, attn_v and ffn_down of some layers and the
 * output in a better one; norms, biases, routers and other small tensors stay float32; rows that no
 * K type fits fall back to the 32-element type of about the same quality. docs/quantize.md has the
 * table. Any thread. */
#ifndef AG_MODEL_MIX_H
#define AG_MODEL_MIX_H

#include "load/source.h"

typedef struct ag_mix {
    const char *name;   /* "q4_k_m" */
    uint32_t file_type; /* GGUF's general.file_type */
    ag_type base;
} ag_mix;

/* By name, any case; short names ("q4_k", "int8") stand for the usual mix. NULL when unknown. */
const ag_mix *ag_mix_find(const char *name);
/* "f32, f16, ...": the mixes that this build can encode, for messages and help. At most n bytes. */
void ag_mix_list(char *text, size_t n);

/* Choose for every tensor of `src`: types[ag_source_n_tensors(src)]. Without a mix (NULL) matrices
 * stay as they are. `pure` gives every matrix the base type. `weighted` says that importances of
 * columns will be used, which some choices depend on. AG_E_UNSUPPORTED (this build has no encoder
 * for a type of the mix), AG_E_NOMEM. */
ag_code ag_mix_choose(const ag_mix *mix, const ag_source *src, bool pure, bool weighted,
                      ag_type *types, ag_err *err) AG_MUST_USE;

#endif
