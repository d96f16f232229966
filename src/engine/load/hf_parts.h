/* Private to load/: what the readers of a Hugging Face folder share. */
#ifndef AG_LOAD_HF_PARTS_H
#define AG_LOAD_HF_PARTS_H

#include "load/source_parts.h"

/* hf_tokenizer.c: read the tokenizer of `folder` and add it to s as the keys that GGUF uses:
 * tokenizer.ggml.* and tokenizer.chat_template, and a few of our own (hf_tokenizer.h) for what GGUF
 * has no key for. When the tensor token_embd.weight is there already, the vocabulary gets an entry
 * for each of its rows. Values lie in s->made. AG_E_NOT_FOUND (the folder holds no tokenizer),
 * AG_E_FORMAT (the message names the file and the place), AG_E_UNSUPPORTED (a kind of tokenizer or
 * a pre-tokenizer that is not known; quoted), AG_E_LIMIT, AG_E_IO, AG_E_NOMEM. */
ag_code ag_hf_tokenizer_read(ag_source *s, const char *folder, ag_err *err) AG_MUST_USE;

#endif
