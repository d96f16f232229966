#include "base/near.h"

/* Three rows of the table of distances between all beginnings of both words. */
static size_t distance(ag_span a, ag_span b) {
    size_t rows[3][AG_NEAR_MAX + 1] = {{0}};
    size_t *older = rows[0], *old = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b.n; j++)
        old[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t best = old[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            if (old[j] + 1 < best)
                best = old[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
                older[j - 2] + 1 < best)
                best = older[j - 2] + 1;
            now[j] = best;
        }
        size_t *spare = older;
        older = old;
        old = now;
        now = spare;
    }
    return old[b.n];
}

size_t ag_near(ag_span written, ag_span known) {
    if (written.n > AG_NEAR_MAX || known.n > AG_NEAR_MAX)
        return SIZE_MAX;
    size_t d = distance(written, known);
    if (written.n >= 3 && known.n > written.n && ag_span_starts(known, written) && d > 1)
        d = 1;
    return (d <= 2 || d * 3 <= known.n) && d < known.n ? d : SIZE_MAX;
}
