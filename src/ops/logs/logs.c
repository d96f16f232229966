#include "logs/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "logs/levels.h"
#include "logs/line.h"

#define SERVICE       "autoglm"
#define POLL_MS       100
#define CLOSE_WAIT_US 2000000u
#define GATHER_MS     10 /* lines of this time are written together: waking costs more than a line */

/* Two buffers take turns: records are appended to one while the thread writes out the other. */
struct ag_logs {
    ag_log_format format;
    char *service; /* owned */
    char *path;    /* owned; NULL: standard error */
    size_t ring_bytes;
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows, down to closing */
    pthread_cond_t filled, emptied;
    ag_log_levels levels;
    ag_buf filling;  /* whole lines */
    bool urgent;     /* what is filling is to be written now */
    bool writing;    /* the thread has lines in hand */
    int fd, next_fd; /* next_fd < 0: go on with fd */
    bool closing;
    uint64_t closing_at; /* µs */
    uint64_t n_dropped;  /* since the last record that got in */

    _Atomic uint64_t n_dropped_ever;
};

static int open_file(const char *path, ag_err *err) {
    if (!path)
        return STDERR_FILENO;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        ag_fail(err, AG_E_IO, "log file %s: %s", path, strerror(errno));
    return fd;
}

static void close_file(int fd) {
    if (fd > STDERR_FILENO)
        close(fd);
}

/* Has a sink that takes nothing been waited for long enough, now that the log is being closed? */
static bool is_over(ag_logs *l) {
    pthread_mutex_lock(&l->lock);
    bool over = l->closing && ag_clock_us() >= l->closing_at + CLOSE_WAIT_US;
    pthread_mutex_unlock(&l->lock);
    return over;
}

/* As much as a pipe takes at once, after POLLOUT; whole lines of it, since another process may have
 * lines for it too. */
static size_t some_lines(ag_span s) {
    size_t n = s.n < PIPE_BUF ? s.n : PIPE_BUF;
    while (n > 0 && s.p[n - 1] != '\n')
        n--;
    return n ? n : s.n < PIPE_BUF ? s.n : PIPE_BUF;
}

/* A sink that fails loses lines, as a closed pipe must not end the server. One that nobody reads is
 * waited for, but not for ever at the end. */
static void write_all(ag_logs *l, int fd, ag_span s) {
    for (size_t at = 0; at < s.n;) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        if (poll(&ready, 1, POLL_MS) == 0) {
            if (is_over(l))
                return;
            continue;
        }
        ssize_t n = write(fd, s.p + at, some_lines(ag_span_sub(s, at, s.n)));
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return;
        if (n > 0)
            at += (size_t)n;
    }
}

/* Until enough has come for a write, or somebody waits for it; with the lock. */
static void gather(ag_logs *l) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += GATHER_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!l->urgent && !l->closing && pthread_cond_timedwait(&l->filled, &l->lock, &until) == 0)
        ;
    l->urgent = false;
}

static void *log_main(void *arg) {
    ag_logs *l = arg;
    pthread_setname_np(pthread_self(), "ag-log");
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_OPS, l->ring_bytes);
    pthread_mutex_lock(&l->lock);
    while (!l->closing || l->filling.n) {
        if (!l->filling.n) {
            pthread_cond_wait(&l->filled, &l->lock);
            continue;
        }
        gather(l);
        ag_buf full = l->filling;
        l->filling = out;
        l->writing = true;
        int old = l->next_fd >= 0 ? l->fd : -1;
        if (old >= 0) {
            l->fd = l->next_fd;
            l->next_fd = -1;
        }
        int fd = l->fd;
        pthread_mutex_unlock(&l->lock);
        close_file(old);
        write_all(l, fd, ag_buf_span(&full));
        full.n = 0;
        full.failed = full.over = false;
        out = full;
        pthread_mutex_lock(&l->lock);
        l->writing = false;
        pthread_cond_broadcast(&l->emptied);
    }
    pthread_mutex_unlock(&l->lock);
    ag_buf_deinit(&out);
    return NULL;
}

bool ag_logs_wants(const ag_logs *l, ag_log_level level, const char *component) {
    if (!l)
        return false;
    ag_logs *locked = (ag_logs *)l; /* the mutex is no part of what the caller sees */
    pthread_mutex_lock(&locked->lock);
    bool wants = level <= ag_log_levels_of(&l->levels, component);
    pthread_mutex_unlock(&locked->lock);
    return wants;
}

static uint64_t take_dropped(ag_logs *l) {
    pthread_mutex_lock(&l->lock);
    uint64_t n = l->n_dropped;
    l->n_dropped = 0;
    pthread_mutex_unlock(&l->lock);
    return n;
}

/* All of the line or nothing. The thread is woken for the first of some lines, for one that matters
 * and when the ring is half full. */
static void append(ag_logs *l, const ag_buf *line, ag_log_level level, uint64_t n_dropped) {
    pthread_mutex_lock(&l->lock);
    bool first = l->filling.n == 0;
    bool fits = !line->failed && l->filling.n + line->n <= l->ring_bytes &&
                ag_buf_add(&l->filling, line->p, line->n);
    if (fits) {
        bool urgent = level <= AG_LOG_WARN || l->filling.n > l->ring_bytes / 2;
        l->urgent |= urgent;
        if (first || urgent)
            pthread_cond_signal(&l->filled);
    } else {
        l->filling.failed = l->filling.over = false;
        l->n_dropped += n_dropped + 1;
        atomic_fetch_add_explicit(&l->n_dropped_ever, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&l->lock);
}

void ag_log_note(ag_log_format format, ag_log_level level, const char *component,
                 const char *message) {
    ag_log_record r = {
        .level = level, .component = component, .message = message, .service = SERVICE};
    clock_gettime(CLOCK_REALTIME, &r.at);
    ag_buf line;
    ag_buf_init(&line, AG_ROOM_OPS, 2 * AG_LOG_LINE_BYTES);
    ag_log_line(&line, &r, format);
    if (!line.failed)
        (void)!write(STDERR_FILENO, line.p, line.n);
    ag_buf_deinit(&line);
}

void ag_logs_put(ag_logs *l, ag_log_level level, const char *component, const char *message,
                 const ag_fact *facts, size_t n) {
    if (!ag_logs_wants(l, level, component))
        return;
    ag_log_record r = {.level = level,
                       .component = component,
                       .message = message,
                       .service = l->service,
                       .facts = facts,
                       .n = n,
                       .n_dropped = take_dropped(l)};
    clock_gettime(CLOCK_REALTIME, &r.at);
    ag_buf line;
    ag_buf_init(&line, AG_ROOM_OPS, 2 * AG_LOG_LINE_BYTES);
    ag_buf_reserve(&line, 1024);
    ag_log_line(&line, &r, l->format);
    append(l, &line, level, r.n_dropped);
    ag_buf_deinit(&line);
}

void ag_logs_flush(ag_logs *l) {
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->urgent = true;
    pthread_cond_signal(&l->filled);
    while (l->filling.n || l->writing)
        pthread_cond_wait(&l->emptied, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

uint64_t ag_logs_dropped(const ag_logs *l) {
    return l ? atomic_load_explicit(&l->n_dropped_ever, memory_order_relaxed) : 0;
}

ag_code ag_logs_set_levels(ag_logs *l, const char *levels, ag_err *err) {
    ag_log_levels parsed;
    ag_code code = ag_log_levels_parse(levels, &parsed, err);
    if (code)
        return code;
    pthread_mutex_lock(&l->lock);
    l->levels = parsed;
    pthread_mutex_unlock(&l->lock);
    return AG_OK;
}

ag_code ag_logs_reopen(ag_logs *l, ag_err *err) {
    if (!l->path)
        return AG_OK;
    int fd = open_file(l->path, err);
    if (fd < 0)
        return AG_E_IO;
    pthread_mutex_lock(&l->lock);
    int unused = l->next_fd;
    l->next_fd = fd; /* the thread changes over when it writes next: nobody waits for a sink */
    pthread_mutex_unlock(&l->lock);
    close_file(unused);
    return AG_OK;
}

static void free_logs(ag_logs *l) {
    close_file(l->fd);
    close_file(l->next_fd);
    ag_buf_deinit(&l->filling);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->filled);
    pthread_cond_destroy(&l->emptied);
    ag_free(l->service);
    ag_free(l->path);
    ag_free(l);
}

ag_code ag_logs_open(const ag_logs_opts *o, ag_logs **out, ag_err *err) {
    *out = NULL;
    ag_log_levels levels;
    ag_code code = ag_log_levels_parse(o->levels, &levels, err);
    if (code)
        return code;
    ag_logs *l = ag_calloc(AG_ROOM_OPS, 1, sizeof *l);
    if (!l)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the log");
    l->format = o->format;
    l->levels = levels;
    l->ring_bytes = o->ring_bytes ? o->ring_bytes : (size_t)1 << 20;
    ag_buf_init(&l->filling, AG_ROOM_OPS, l->ring_bytes);
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_t by_steady_clock;
    pthread_condattr_init(&by_steady_clock);
    pthread_condattr_setclock(&by_steady_clock, CLOCK_MONOTONIC);
    pthread_cond_init(&l->filled, &by_steady_clock);
    pthread_condattr_destroy(&by_steady_clock);
    pthread_cond_init(&l->emptied, NULL);
    ag_span service = ag_str(o->service ? o->service : SERVICE);
    l->service = ag_strndup(AG_ROOM_OPS, service.p, service.n);
    l->path = o->path ? ag_strndup(AG_ROOM_OPS, o->path, strlen(o->path)) : NULL;
    l->fd = l->next_fd = -1;
    if (!l->service || (o->path && !l->path))
        code = ag_fail(err, AG_E_NOMEM, "out of memory for the log");
    else if ((l->fd = open_file(l->path, err)) < 0)
        code = AG_E_IO;
    else if (pthread_create(&l->thread, NULL, log_main, l) != 0)
        code = ag_fail(err, AG_E_NOMEM, "cannot start the log's thread");
    if (code) {
        free_logs(l);
        return code;
    }
    *out = l;
    return AG_OK;
}

void ag_logs_close(ag_logs **lp) {
    ag_logs *l = *lp;
    if (!l)
        return;
    *lp = NULL;
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    l->closing_at = ag_clock_us();
    pthread_cond_signal(&l->filled);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    free_logs(l);
}

static void write_line(void *ctx, ag_log_level level, const char *component, const char *line) {
    ag_logs_put(ctx, level, component, line, NULL, 0);
}

ag_logger ag_logs_logger(ag_logs *l, ag_log_level level) {
    return (ag_logger){.write = write_line, .ctx = l, .level = level};
}
