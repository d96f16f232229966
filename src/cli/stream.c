/* The engine's callbacks run on its own thread and must be quick, so they only append to a buffer
 * and wake the main thread, which does the writing. SIGINT wakes it the same way: through the
 * event descriptor, which a signal handler may write to. */
#include "cli/stream.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/out.h"

static atomic_int interrupts;   /* since the last take */
static atomic_int wake_fd = -1; /* of the stream that runs */

typedef struct stream {
    pthread_mutex_t lock; /* guards what follows, up to the blank line */
    ag_buf fresh;         /* text not yet taken by the main thread */
    bool done;
    ag_result result;

    int fd; /* eventfd */
} stream;

static void wake(int fd) {
    const uint64_t one = 1;
    (void)!write(fd, &one, sizeof one);
}

static void on_interrupt(int sig) {
    (void)sig;
    int saved = errno;
    atomic_fetch_add(&interrupts, 1);
    int fd = atomic_load(&wake_fd);
    if (fd >= 0)
        wake(fd);
    errno = saved;
}

void ag_cli_catch_interrupt(void) {
    struct sigaction sa = {.sa_handler = on_interrupt}; /* no SA_RESTART: reads wake up too */
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
}

int ag_cli_take_interrupts(void) { return atomic_exchange(&interrupts, 0); }

static bool on_token(void *ctx, const ag_token_event *event) {
    stream *s = ctx;
    pthread_mutex_lock(&s->lock);
    ag_buf_add(&s->fresh, event->text, event->text_len);
    bool more = !s->fresh.failed;
    pthread_mutex_unlock(&s->lock);
    if (event->text_len > 0)
        wake(s->fd);
    return more;
}

static void on_done(void *ctx, const ag_result *result) {
    stream *s = ctx;
    pthread_mutex_lock(&s->lock);
    if (result->tail_len > 0)
        ag_buf_add(&s->fresh, result->tail, result->tail_len);
    s->result = *result;
    s->result.tail = NULL;
    s->result.tail_len = 0;
    s->done = true;
    pthread_mutex_unlock(&s->lock);
    wake(s->fd);
}

/* Move the fresh text into the answer; true when the request has ended. */
static bool take(stream *s, ag_buf *piece) {
    pthread_mutex_lock(&s->lock);
    ag_buf spare = *piece;
    *piece = s->fresh;
    s->fresh = spare;
    s->fresh.n = 0;
    bool done = s->done;
    pthread_mutex_unlock(&s->lock);
    return done;
}

/* The second Ctrl-C: everything shown is already written, so go, even in the middle of a step. */
static _Noreturn void leave(bool show) {
    if (show) {
        ag_cli_out("\n");
        ag_cli_out_flush();
    }
    _exit(AG_CLI_LEFT);
}

static void follow(stream *s, ag_request *request, bool show, ag_cli_answer *answer) {
    ag_buf piece;
    ag_buf_init(&piece, AG_ROOM_CLI, AG_MAX_RENDERED_BYTES);
    for (bool done = false; !done;) {
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        uint64_t count = 0;
        if (poll(&p, 1, -1) > 0)
            (void)!read(s->fd, &count, sizeof count);
        int pressed = atomic_load(&interrupts);
        if (pressed >= 2)
            leave(show);
        if (pressed >= 1 && !answer->stopped) {
            answer->stopped = true;
            ag_request_cancel(request);
        }
        done = take(s, &piece);
        ag_buf_add(&answer->text, piece.p, piece.n);
        if (show) {
            ag_cli_out_text(ag_buf_span(&piece));
            if (!ag_cli_out_flush())
                ag_request_cancel(request);
        }
    }
    ag_buf_deinit(&piece);
}

ag_code ag_cli_stream(ag_engine *engine, ag_request_opts *opts, bool show, ag_cli_answer *answer,
                      ag_err *err) {
    stream s = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    ag_request *request = NULL;
    if (s.fd < 0)
        return ag_fail(err, AG_E_IO, "cannot make an event descriptor: %s", strerror(errno));
    ag_buf_init(&s.fresh, AG_ROOM_CLI, AG_MAX_RENDERED_BYTES);
    answer->stopped = false;
    opts->on_token = on_token;
    opts->on_done = on_done;
    opts->ctx = &s;
    ag_cli_take_interrupts();
    atomic_store(&wake_fd, s.fd);
    ag_code code = ag_engine_submit(engine, opts, &request, err);
    if (!code) {
        follow(&s, request, show, answer);
        ag_request_wait(request);
        ag_request_release(&request);
        answer->result = s.result;
        code = ag_buf_check(&answer->text, "the answer", err);
    }
    atomic_store(&wake_fd, -1);
    close(s.fd);
    ag_buf_deinit(&s.fresh);
    pthread_mutex_destroy(&s.lock);
    return code;
}

/* ---- speed ----------------------------------------------------------------------------------- */

static double rate(double tokens, uint64_t us) {
    return tokens > 0 && us > 0 ? tokens * 1e6 / (double)us : NAN;
}

double ag_cli_prefill_speed(const ag_result *r) {
    return rate((double)r->n_prompt - r->n_cached, r->prefill_us);
}

double ag_cli_decode_speed(const ag_result *r) {
    return rate((double)r->n_generated - 1, r->decode_us);
}

void ag_cli_speed_text(const ag_result *r, char text[AG_CLI_SPEED_TEXT]) {
    double in = ag_cli_prefill_speed(r), out = ag_cli_decode_speed(r);
    int n = snprintf(text, AG_CLI_SPEED_TEXT, "prompt %u tokens", r->n_prompt);
    if (r->n_cached > 0)
        n += snprintf(text + n, AG_CLI_SPEED_TEXT - (size_t)n, " (%u cached)", r->n_cached);
    if (isfinite(in))
        n += snprintf(text + n, AG_CLI_SPEED_TEXT - (size_t)n, ", %.1f tok/s", in);
    n += snprintf(text + n, AG_CLI_SPEED_TEXT - (size_t)n, "; answer %u tokens", r->n_generated);
    if (isfinite(out))
        n += snprintf(text + n, AG_CLI_SPEED_TEXT - (size_t)n, ", %.1f tok/s", out);
    if (r->n_generated > 0)
        snprintf(text + n, AG_CLI_SPEED_TEXT - (size_t)n, "; first token after %.3f s",
                 (double)(r->queue_us + r->prefill_us) / 1e6);
}

void ag_cli_show_speed(const ag_result *r) {
    char text[AG_CLI_SPEED_TEXT], line[AG_CLI_SPEED_TEXT + 16];
    bool colour = ag_cli_may_colour(STDERR_FILENO);
    ag_cli_speed_text(r, text);
    int n = snprintf(line, sizeof line, "%s[%s]%s\n", colour ? "\x1b[2m" : "", text,
                     colour ? "\x1b[0m" : "");
    (void)!write(STDERR_FILENO, line, (size_t)n);
}

const char *ag_cli_finish_name(ag_finish finish) {
    switch (finish) {
    case AG_FINISH_STOP:
        return "stop";
    case AG_FINISH_LENGTH:
        return "length";
    case AG_FINISH_CANCELLED:
        return "cancelled";
    case AG_FINISH_ERROR:
        return "error";
    case AG_FINISH_NONE:
        break;
    }
    return "none";
}
