/* Hugging Face folders: config.json, generation_config.json, safetensors files and the tokenizer's
 * files, presented as a source in GGUF's terms. What is read and how: docs/formats.md. */
#ifndef AG_LOAD_HF_H
#define AG_LOAD_HF_H

#include "load/source.h"

/* Does `path` name a folder, or the config.json of one? */
bool ag_hf_is_folder(const char *path);
/* Open a folder (or its config.json). AG_E_NOT_FOUND (a file or shard is missing), AG_E_IO,
 * AG_E_FORMAT, AG_E_UNSUPPORTED (class, dtype, quantisation), AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_hf_open(const char *path, ag_source **out, ag_err *err) AG_MUST_USE;

/* A folder of one safetensors file without a tokenizer, from bytes in memory, of which `weights`
 * must outlive the object: for tests and fuzzers. */
ag_code ag_hf_open_bytes(ag_span config, ag_span weights, ag_source **out, ag_err *err) AG_MUST_USE;

#endif
