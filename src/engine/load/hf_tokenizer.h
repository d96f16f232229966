/* Tokenizer files of a Hugging Face folder → the tokenizer keys of a GGUF file.
 *
 * Which files count: tokenizer.json, else tokenizer.model (SentencePiece), else vocab.json with
 * merges.txt (byte-level BPE), else vocab.txt (WordPiece); the others only add to it. What GGUF
 * cannot say goes into keys of our own, which text/ reads and other programs ignore
 * (docs/formats.md): autoglm.tokenizer.ignore_merges  bool    a word that is a token is taken whole
 *   autoglm.tokenizer.nfc            bool    text is brought to NFC first
 *   autoglm.tokenizer.by_rules       bool    SentencePiece-like: merges count, not scores
 *   autoglm.tokenizer.metaspace      string  "first" or "always": ▁ is put before the text, or each
 *                                            piece of it, that does not begin with a space
 *   autoglm.tokenizer.lstrip, rstrip u32[]   added tokens that swallow white space beside them
 *   autoglm.tokenizer.stop_token_ids u32[]   ends of generation past eos, eot and eom
 *   autoglm.tokenizer.strip_accents  bool    WordPiece, where it differs from lower-casing
 *   autoglm.tokenizer.cjk_spaces     bool    WordPiece: ideographs are words (default true)
 *
 * Private to load/, its tests and fuzzers. */
#ifndef AG_LOAD_HF_TOKENIZER_H
#define AG_LOAD_HF_TOKENIZER_H

#include "load/source.h"

/* Contents of the files; an empty span: the folder has no such file. */
typedef struct ag_hf_tokenizer_files {
    ag_span tokenizer_json;
    ag_span tokenizer_model;
    ag_span vocab_json;
    ag_span merges_txt;
    ag_span vocab_txt;
    ag_span tokenizer_config;   /* .json */
    ag_span special_tokens_map; /* .json */
    ag_span added_tokens;       /* .json */
    ag_span generation_config;  /* .json */
    ag_span template_jinja;     /* chat_template.jinja */
    ag_span template_json;      /* chat_template.json */
} ag_hf_tokenizer_files;

/* ag_hf_tokenizer_read() on bytes, which need not outlive the call. */
ag_code ag_hf_tokenizer_parse(ag_source *s, const ag_hf_tokenizer_files *files,
                              ag_err *err) AG_MUST_USE;

#endif
