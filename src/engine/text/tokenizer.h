/* Tokenizers: text ↔ token ids, byte-exact with the reference implementations.
 *
 * A tokenizer is built from the tokenizer.* keys of a source, be it a GGUF file or a Hugging Face
 * folder. Once built it is constant: any number of threads may use it at once. */
#ifndef AG_TEXT_TOKENIZER_H
#define AG_TEXT_TOKENIZER_H

#include "base/span.h"

typedef enum ag_vocab_kind {
    AG_VOCAB_BPE, /* byte-level BPE (GPT-2, Llama 3, Qwen, GLM-4, SmolLM, tekken, DeepSeek) */
    AG_VOCAB_SPM, /* SentencePiece BPE, by scores or by rules (Llama 2, Mistral, Gemma) */
    AG_VOCAB_WPM, /* WordPiece (BERT) */
} ag_vocab_kind;

typedef enum ag_token_type { /* GGUF's numbers */
                             AG_TOKEN_NORMAL = 1,
                             AG_TOKEN_UNKNOWN = 2,
                             AG_TOKEN_CONTROL = 3,      /* special: matched in text only when asked,
                                                           hidden when decoding */
                             AG_TOKEN_USER_DEFINED = 4, /* always matched in text */
                             AG_TOKEN_UNUSED = 5,
                             AG_TOKEN_BYTE = 6,
} ag_token_type;

typedef struct ag_tokenizer ag_tokenizer;

/* Flags of ag_tokenizer_encode(). */
#define AG_ENCODE_BOS     1u /* put BOS (and EOS) around, where this tokenizer's model wants them */
#define AG_ENCODE_SPECIAL 2u /* recognise control tokens written in the text */
#define AG_ENCODE_GOES_ON 4u /* the text continues another: SentencePiece puts no ▁ before it */

/* A growable list of token ids. */
typedef struct ag_ids {
    int32_t *v; /* owned */
    size_t n, room;
} ag_ids;
void ag_ids_deinit(ag_ids *ids);
ag_code ag_ids_add(ag_ids *ids, int32_t id, ag_err *err) AG_MUST_USE;

struct ag_source;
/* Build from the tokenizer.* keys of a model, which must outlive the tokenizer.
 * AG_E_FORMAT, AG_E_UNSUPPORTED (model or pre-tokenizer; the message lists the supported ones),
 * AG_E_NOT_FOUND (no tokenizer in the file), AG_E_NOMEM. */
ag_code ag_tokenizer_from_source(const struct ag_source *g, ag_tokenizer **out,
                                 ag_err *err) AG_MUST_USE;
void ag_tokenizer_free(ag_tokenizer **t);

/* Append the ids of `text` (invalid UTF-8 counts as U+FFFD, one per maximal ill-formed piece).
 * On error `out` may hold a part. AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_tokenizer_encode(const ag_tokenizer *t, ag_span text, unsigned flags, ag_ids *out,
                            ag_err *err) AG_MUST_USE;

/* The same for text of mixed origin: control tokens are recognised only where none of their bytes
 * is set in `plain` (one byte for each byte of `text`, not 0 where it came from a user), so that
 * text cannot smuggle them; ordinary tokenisation does not change. `flags` should have
 * AG_ENCODE_SPECIAL. AG_E_UTF8 (text must be valid), AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_tokenizer_encode_masked(const ag_tokenizer *t, ag_span text, const uint8_t *plain,
                                   unsigned flags, ag_ids *out, ag_err *err) AG_MUST_USE;

int32_t ag_tokenizer_n(const ag_tokenizer *t); /* tokens in the vocabulary */
/* The token's text as the vocabulary writes it (▁ and byte stand-ins included); empty past the end.
 */
ag_span ag_tokenizer_raw(const ag_tokenizer *t, int32_t id);
ag_token_type ag_tokenizer_type(const ag_tokenizer *t, int32_t id);
/* Id of the token whose raw text is exactly s, or -1. */
int32_t ag_tokenizer_find(const ag_tokenizer *t, ag_span s);
/* Bytes that the token decodes to, not hidden even when special; empty past the end. Points into
 * the tokenizer. (A leading space is kept: see ag_detok.) */
ag_span ag_tokenizer_bytes(const ag_tokenizer *t, int32_t id);
int32_t ag_tokenizer_bos(const ag_tokenizer *t); /* -1 when there is none */
int32_t ag_tokenizer_eos(const ag_tokenizer *t);
bool ag_tokenizer_adds_bos(const ag_tokenizer *t);
/* Generation ends at these: eos, eot, eom and the well-known texts that conversions lose
 * (<|im_end|>, <|eot_id|>, <|observation|>, ...). Sorted; points into the tokenizer. */
const int32_t *ag_tokenizer_stops(const ag_tokenizer *t, size_t *n);
bool ag_tokenizer_is_stop(const ag_tokenizer *t, int32_t id);

/* Does the model fill in text between two others? */
bool ag_tokenizer_infills(const ag_tokenizer *t);
/* Append the ids to generate from, so that the answer goes between two texts. Of the flags
 * AG_ENCODE_BOS puts BOS in front where the model wants it, and AG_ENCODE_SPECIAL counts.
 * AG_E_UNSUPPORTED (it does not), and as ag_tokenizer_encode(). */
ag_code ag_tokenizer_infill(const ag_tokenizer *t, ag_span before, ag_span behind, unsigned flags,
                            ag_ids *out, ag_err *err) AG_MUST_USE;
/* Such an answer ends at these as well; points into the tokenizer. */
const int32_t *ag_tokenizer_infill_ends(const ag_tokenizer *t, size_t *n);

/* ---- streaming decode ------------------------------------------------------------------------ */

/* Turns ids into text piece by piece and never emits half a character. One per sequence; allocates
 * nothing. What it gives together equals decoding all ids at once, however they are split. */
typedef struct ag_detok {
    const ag_tokenizer *t;
    bool show_special;  /* write control tokens out instead of hiding them */
    bool strip_space;   /* drop one leading space (SPM with a space prefix, at the start) */
    uint8_t pending[4]; /* bytes of an unfinished character */
    uint8_t n_pending;
} ag_detok;

/* `at_start`: the sequence begins here, not after a prompt. */
void ag_detok_init(ag_detok *d, const ag_tokenizer *t, bool at_start, bool show_special);
/* Append the text that token `id` completes (maybe none) to out. */
void ag_detok_push(ag_detok *d, int32_t id, ag_buf *out);
/* The sequence has ended: an unfinished character becomes U+FFFD. */
void ag_detok_flush(ag_detok *d, ag_buf *out);

#endif
