/* Private to hf_tokenizer*.c: the vocabulary as it is put together. */
#ifndef AG_LOAD_HF_TOKENIZER_PARTS_H
#define AG_LOAD_HF_TOKENIZER_PARTS_H

#include <jansson.h>

#include "load/hf_tokenizer.h"
#include "load/source_parts.h"

typedef enum ag_hf_kind { AG_HF_BPE, AG_HF_SPM, AG_HF_WPM } ag_hf_kind;

/* GGUF's numbers. */
enum {
    AG_HF_HOLE = 0, /* no token has this id */
    AG_HF_NORMAL = 1,
    AG_HF_UNKNOWN = 2,
    AG_HF_CONTROL = 3,
    AG_HF_USER_DEFINED = 4,
    AG_HF_UNUSED = 5,
    AG_HF_BYTE = 6,
};

typedef struct ag_hf_token {
    ag_span text; /* borrowed from a file or its JSON */
    float score;
    uint8_t type;
    bool lstrip, rstrip; /* added tokens: they swallow the white space beside them */
} ag_hf_token;

typedef struct ag_hf_vocab {
    ag_hf_kind kind;
    ag_hf_token *tokens; /* owned [n], by id */
    size_t n, room;
    size_t n_listed;      /* not holes */
    ag_map ids;           /* text → id */
    ag_arena *made;       /* the source's, for texts that lie in no file */
    const json_t *merges; /* borrowed from the JSON of tokenizer.json, or NULL */
    const char *pre;      /* value of tokenizer.ggml.pre */
    bool ignore_merges, nfc;
    bool space_prefix;                         /* SPM */
    const char *metaspace;                     /* NULL, "first", "always" */
    bool lowercase, strip_accents, cjk_spaces; /* WPM */
    bool bare; /* vocab.json: which of its tokens are added ones only the files beside it say */
    bool adds_bos, adds_eos;
    int64_t bos, eos, unk, pad, sep, cls, mask; /* -1: none */
} ag_hf_vocab;

/* ---- hf_tokenizer.c -------------------------------------------------------------------------- */

/* Add a token. AG_E_FORMAT when its id or its text is taken by another, AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_hf_add_token(ag_hf_vocab *v, ag_span text, int64_t id, uint8_t type,
                        ag_err *err) AG_MUST_USE;
/* The id of a text, or -1. */
int64_t ag_hf_find(const ag_hf_vocab *v, ag_span text);
/* A member of an object as text; false when it is absent or no string. */
bool ag_hf_str(const json_t *object, const char *key, ag_span *out);
bool ag_hf_is(const json_t *object, const char *key, const char *value);
/* A member that is a boolean, or `missing`. */
bool ag_hf_flag(const json_t *object, const char *key, bool missing);
/* An added token as tokenizer.json and tokenizer_config.json describe it. */
ag_code ag_hf_add_added(ag_hf_vocab *v, const json_t *token, int64_t id, ag_err *err) AG_MUST_USE;

/* ---- the others: each fills v, whose fields have their defaults ------------------------------ */

/* hf_tokenizer_json.c: the root of tokenizer.json, which must outlive v. */
ag_code ag_hf_read_json(ag_hf_vocab *v, const json_t *root, ag_err *err) AG_MUST_USE;
/* The same for the model alone, {"vocab": {...}, "merges": [...]}, which must outlive v too. */
ag_code ag_hf_read_bpe(ag_hf_vocab *v, const json_t *model, ag_err *err) AG_MUST_USE;
/* hf_tokenizer_vocab.c: vocab.json and merges.txt as such a model, for json_decref(). AG_E_FORMAT,
 * AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_hf_vocab_model(ag_span vocab, ag_span merges, json_t **model, ag_err *err) AG_MUST_USE;
/* Read it; tokenizer_config.json (may be NULL) names the class, which says how text is cut.
 * AG_E_UNSUPPORTED lists the classes. */
ag_code ag_hf_read_vocab_model(ag_hf_vocab *v, const json_t *model, const json_t *config,
                               ag_err *err) AG_MUST_USE;
/* And afterwards: the special tokens that tokenizer_config.json and special_tokens_map.json (each
 * may be NULL) name are control tokens. */
void ag_hf_mark_specials(ag_hf_vocab *v, const json_t *config, const json_t *map);
/* hf_tokenizer_pre.c: kind, pre and normalisation from the same. */
ag_code ag_hf_read_pre(ag_hf_vocab *v, const json_t *root, ag_err *err) AG_MUST_USE;
/* hf_tokenizer_model.c: the bytes of tokenizer.model, which must outlive v. */
ag_code ag_hf_read_model(ag_hf_vocab *v, ag_span bytes, ag_err *err) AG_MUST_USE;
/* hf_generation.c, from the root of generation_config.json (NULL: there is none). Where answers
 * end: eos is the tokenizer's own, GGUF has two more places, what is left goes to a list of ours.
 */
ag_code ag_hf_write_stops(ag_hf_vocab *v, const json_t *generation, ag_source *s,
                          ag_err *err) AG_MUST_USE;
/* How tokens are to be chosen, as GGUF says it: general.sampling.*. */
ag_code ag_hf_write_sampling(const json_t *generation, ag_source *s, ag_err *err) AG_MUST_USE;
/* hf_tokenizer_keys.c: add all but the chat template to s. */
ag_code ag_hf_write_keys(const ag_hf_vocab *v, ag_source *s, ag_err *err) AG_MUST_USE;
ag_code ag_hf_put_str(ag_source *s, const char *name, ag_span value, ag_err *err) AG_MUST_USE;
ag_code ag_hf_put_u32s(ag_source *s, const char *name, const uint32_t *v, size_t n,
                       ag_err *err) AG_MUST_USE;
ag_code ag_hf_put_u32(ag_source *s, const char *name, int64_t value, ag_err *err) AG_MUST_USE;
/* Rounded as in a file, which holds 32 bits. */
ag_code ag_hf_put_f32(ag_source *s, const char *name, double value, ag_err *err) AG_MUST_USE;
ag_code ag_hf_put_i64(ag_source *s, const char *name, int64_t value, ag_err *err) AG_MUST_USE;
ag_code ag_hf_put_strs(ag_source *s, const char *name, const ag_span *v, size_t n,
                       ag_err *err) AG_MUST_USE;

#endif
