/* GGUF files, version 2 and 3, split files too: mapped, parsed once through the cursor, validated.
 * Everything read is hostile: names, counts, sizes and offsets are checked before use.
 * Format: docs/formats.md. */
#ifndef AG_LOAD_GGUF_H
#define AG_LOAD_GGUF_H

#include "load/source.h"

/* Open a file and, if it is a part of a split set (NAME-00001-of-0000N.gguf), all its siblings.
 * AG_E_NOT_FOUND, AG_E_IO, AG_E_FORMAT (message gives file and byte offset), AG_E_UNSUPPORTED
 * (version, tensor type), AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_gguf_open(const char *path, ag_source **out, ag_err *err) AG_MUST_USE;

/* Does `path` name a part of a split set? Sets how long the part of the name is that its siblings
 * share, the part's number, from 1, and how many there are. */
bool ag_gguf_split_name(const char *path, size_t *prefix, uint32_t *no, uint32_t *count);

/* Parse bytes already in memory (they must outlive the object): for tests and fuzzers. */
ag_code ag_gguf_open_bytes(const void *p, size_t n, ag_source **out, ag_err *err) AG_MUST_USE;

#endif
