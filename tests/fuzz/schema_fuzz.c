/* JSON Schemas. Input that begins with "{" is the schema's text; any other is a recipe for one, so
 * that mutations change its structure: each byte picks a keyword or a value of the right kind. */
#include "fuzz/grammar_shared.h"
#include "fuzz/schema_recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    if (n == 0 || n > 4096)
        return 0;
    if (p[0] == '{') {
        fuzz_structure(AG_STRUCTURE_JSON_SCHEMA, (const char *)p, n);
        return 0;
    }
    recipe r = {.p = p, .n = n};
    ag_buf_init(&r.out, AG_ROOM_TEST, 1 << 18);
    add_schema(&r, 6);
    if (!r.out.failed)
        fuzz_structure(AG_STRUCTURE_JSON_SCHEMA, r.out.p, r.out.n);
    ag_buf_deinit(&r.out);
    return 0;
}
