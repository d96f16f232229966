#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/out.h"

#define BAR_WIDTH  32
#define RATE_WIDTH 16     /* of a bar beside a rate: the line has 80 columns */
#define BAR_EVERY  100000 /* microseconds between two drawings */

static const char *amount(const ag_cli_progress *p, uint64_t n, char text[AG_CLI_SIZE_TEXT]) {
    if (!p->counts)
        return ag_cli_size(n, text);
    snprintf(text, AG_CLI_SIZE_TEXT, "%llu", (unsigned long long)n);
    return text;
}

/* "  1.23 MiB/s  0:45 left", or "" while too little is known. */
static void rate_text(const ag_cli_progress *p, uint64_t done, uint64_t total, char text[64]) {
    char size[AG_CLI_SIZE_TEXT];
    double seconds = (double)(p->drawn_at - p->began_at) / 1e6;
    double rate = seconds >= 1 ? (double)(done - p->first_bytes) / seconds : 0;
    double left = rate > 0 && total > done ? (double)(total - done) / rate : 0;
    int n = 0;
    text[0] = '\0';
    if (rate > 0)
        n = snprintf(text, 64, "  %s/s", amount(p, (uint64_t)rate, size));
    if (left >= 1 && left < 100 * 3600) {
        unsigned s = (unsigned)left;
        if (s >= 3600)
            n += snprintf(text + n, 64 - (size_t)n, "  %u:%02u", s / 3600, s / 60 % 60);
        else
            n += snprintf(text + n, 64 - (size_t)n, "  %u", s / 60);
        snprintf(text + n, 64 - (size_t)n, ":%02u left", s % 60);
    }
}

static void draw_bar(const ag_cli_progress *p, uint64_t done, uint64_t total) {
    char line[240], bar[BAR_WIDTH + 1], a[AG_CLI_SIZE_TEXT], b[AG_CLI_SIZE_TEXT], rate[64] = "";
    int width = p->with_rate ? RATE_WIDTH : BAR_WIDTH;
    int filled = total ? (int)((double)done / (double)total * width) : 0;
    if (filled > width)
        filled = width;
    memset(bar, '.', (size_t)width);
    memset(bar, '#', (size_t)filled);
    bar[width] = '\0';
    if (p->with_rate)
        rate_text(p, done, total, rate);
    int n = snprintf(line, sizeof line, "\r%s [%s] %3d%%  %s of %s%s\x1b[K", p->verb, bar,
                     total ? (int)((double)done * 100.0 / (double)total) : 0, amount(p, done, a),
                     amount(p, total, b), rate);
    (void)!write(STDERR_FILENO, line, (size_t)n);
}

static void tell_quarter(ag_cli_progress *p, uint64_t done, uint64_t total) {
    char size[AG_CLI_SIZE_TEXT];
    uint64_t quarters = total ? (uint64_t)((double)done / (double)total * 4.0) : 0;
    if (quarters > p->quarters)
        ag_cli_note("%s: %d%% of %s", p->verb, (int)quarters * 25, amount(p, total, size));
    p->quarters = quarters;
}

void ag_cli_progress_begin(ag_cli_progress *p, const char *verb, bool plain) {
    *p = (ag_cli_progress){.verb = verb, .plain = plain, .began_at = ag_clock_us()};
}

bool ag_cli_progress_tell(void *progress, uint64_t done, uint64_t total) {
    ag_cli_progress *p = progress;
    uint64_t now = ag_clock_us();
    if (!p->told || done < p->first_bytes) { /* less than before: it began anew */
        p->told = true;
        p->first_bytes = done;
    }
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
