/* Regular expressions, grammars and choices from any bytes: a reason, or something that can be
 * followed to its end, within the bounds of time and memory. The first byte says which of them. */
#include "fuzz/grammar_shared.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static const ag_structure_kind kinds[] = {AG_STRUCTURE_REGEX, AG_STRUCTURE_GRAMMAR,
                                              AG_STRUCTURE_CHOICE};
    if (n == 0 || n > 4096)
        return 0;
    fuzz_structure(kinds[p[0] % 3], (const char *)p + 1, n - 1);
    return 0;
}
