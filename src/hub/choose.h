/* Which files of a repository are the model that is meant. Pure; any thread. */
#ifndef AG_HUB_CHOOSE_H
#define AG_HUB_CHOOSE_H

#include "hub/listing.h"

typedef struct ag_hub_choice {
    const ag_hub_file **files; /* [n] in the listing's arena, by path */
    size_t n;
    bool is_folder; /* a Hugging Face folder; else files[0] is what is opened */
} ag_hub_choice;

/* `want` is
 * - a file of the repository: that file; of a split GGUF set, all of its parts;
 * - else a quantisation as file names have it ("Q4_K_M", any case): the GGUF file or set of it;
 * - "": config.json, the tokenizer's files and the safetensors files; where there are none, the
 *   only GGUF file or set, or that in Q4_K_M.
 * AG_E_NOT_FOUND and AG_E_ARG (several are meant) list what there is; AG_E_UNSUPPORTED (nothing
 * that runs here), AG_E_FORMAT (parts are missing), AG_E_NOMEM. */
ag_code ag_hub_choose(ag_hub_listing *l, const char *want, ag_hub_choice *out,
                      ag_err *err) AG_MUST_USE;

#endif
