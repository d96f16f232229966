#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/out.h"

#define BAR_WIDTH 32
#define BAR_EVERY 100000 /* microseconds between two drawings */

static void draw_bar(const ag_cli_progress *p, uint64_t done, uint64_t total) {
    char line[160], bar[BAR_WIDTH + 1], a[AG_CLI_SIZE_TEXT], b[AG_CLI_SIZE_TEXT];
    int filled = total ? (int)((double)done / (double)total * BAR_WIDTH) : 0;
    if (filled > BAR_WIDTH)
        filled = BAR_WIDTH;
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    int n = snprintf(line, sizeof line, "\r%s [%s] %3d%%  %s of %s\x1b[K", p->verb, bar,
                     total ? (int)((double)done * 100.0 / (double)total) : 0, ag_cli_size(done, a),
                     ag_cli_size(total, b));
    (void)!write(STDERR_FILENO, line, (size_t)n);
}

static void tell_quarter(ag_cli_progress *p, uint64_t done, uint64_t total) {
    char size[AG_CLI_SIZE_TEXT];
    uint64_t quarters = total ? (uint64_t)((double)done / (double)total * 4.0) : 0;
    if (quarters > p->quarters)
        ag_cli_note("%s: %d%% of %s", p->verb, (int)quarters * 25, ag_cli_size(total, size));
    p->quarters = quarters;
}

void ag_cli_progress_begin(ag_cli_progress *p, const char *verb, bool plain) {
    *p = (ag_cli_progress){.verb = verb, .plain = plain, .began_at = ag_clock_us()};
}

bool ag_cli_progress_tell(void *progress, uint64_t done, uint64_t total) {
    ag_cli_progress *p = progress;
    uint64_t now = ag_clock_us();
    if (now - p->began_at < 2 * BAR_EVERY || now - p->drawn_at < BAR_EVERY)
        return true;
    if (p->plain) {
        tell_quarter(p, done, total);
        return true;
    }
    p->drawn_at = now;
    p->drawn = true;
    draw_bar(p, done, total);
    return true;
}

void ag_cli_progress_end(const ag_cli_progress *p) {
    if (p->drawn)
        (void)!write(STDERR_FILENO, "\r\x1b[K", 4);
}
