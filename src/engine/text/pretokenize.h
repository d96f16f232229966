/* Pre-tokenizers: how a byte-level BPE cuts text into words before merging.
 *
 * The published tokenizers describe this by regular expressions. Here each expression is a scanner
 * written by hand, equal to it including its backtracking: a few nanoseconds a character, and
 * linear time on any input, which no backtracking matcher gives. A pre-tokenizer is a row of up to
 * six steps; each step cuts the pieces of the step before, and what no match covers stays a piece.
 * Reentrant. */
#ifndef AG_TEXT_PRETOKENIZE_H
#define AG_TEXT_PRETOKENIZE_H

#include "base/span.h"

/* Find the first match of an expression in the piece p[0, n) at or after `at`: sets [*from, *to),
 * never empty. */
typedef bool ag_find_fn(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to);

typedef struct ag_pre {
    const char *names;    /* values of tokenizer.ggml.pre, separated by spaces */
    ag_find_fn *steps[7]; /* ends with NULL */
    bool nfc;             /* text is brought to NFC first */
    bool ignore_merges;   /* a word that is a token is taken whole before any merging */
    bool adds_bos;        /* where the file does not say */
} ag_pre;

/* The row for a value of tokenizer.ggml.pre, or NULL. */
const ag_pre *ag_pre_find(ag_span name);
/* Append all names, for messages. */
void ag_pre_list(ag_buf *out);

/* Called for each word in order; anything but AG_OK stops the walk. */
typedef ag_code ag_word_fn(void *ctx, const uint8_t *word, size_t n, ag_err *err);
/* Cut valid UTF-8 into words; together they are the text. Returns what `fn` returned last. */
ag_code ag_pre_split(const ag_pre *pre, ag_span text, ag_word_fn *fn, void *ctx, ag_err *err);

/* deepseek.c: steps that only DeepSeek's first tokenizers use. */
ag_find_fn ag_find_deepseek_word, ag_find_deepseek_punct, ag_find_cjk_or_kana, ag_find_cjk;

#endif
