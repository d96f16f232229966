/* API keys: who may ask. A key is kept as its SHA-256 only, and compared in constant time. */
#ifndef AG_ROUTES_KEYS_H
#define AG_ROUTES_KEYS_H

#include "base/span.h"

#define AG_MAX_KEYS       4096
#define AG_MAX_KEYS_BYTES ((size_t)1 << 20) /* of a file of keys */

typedef struct ag_keys ag_keys;

/* Who asks. Lives as long as the keys. */
typedef struct ag_tenant {
    const char *name;
    float weight; /* its share of the engine beside others; 1 unless the file says otherwise */
} ag_tenant;

/* Read a file of keys: one a line, as "KEY", "NAME KEY" or "NAME KEY WEIGHT"; blank lines and those
 * that begin with # say nothing. The name is the tenant whose account the key's requests use;
 * without one it is "key-N", N being the line. AG_E_ARG (a line that is wrong, no key at all, a key
 * twice), and whatever reading a file gives. */
ag_code ag_keys_read(const char *path, ag_keys **out, ag_err *err) AG_MUST_USE;
/* The same from bytes; `path` is for messages. */
ag_code ag_keys_parse(ag_span text, const char *path, ag_keys **out, ag_err *err) AG_MUST_USE;
void ag_keys_free(ag_keys **k);
/* The tenant of a key, or NULL when nobody has it. Takes the same time for every key. Any thread.
 */
const ag_tenant *ag_keys_find(const ag_keys *k, ag_span key);
size_t ag_keys_n(const ag_keys *k);

#endif
