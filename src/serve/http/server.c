#include "http/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    EVENTS = 64,
    FREE_RUNS = 4, /* of MHD_run() that may come to nothing before we wait in between */
    LEFT_MS = 50,  /* to take what a client has sent before it shut down its side */
};

/* ---- options -----------------------------------------------------------------------------------
 */

static uint64_t limit_us(uint32_t ms) { return (uint64_t)ms * 1000; }

static ag_code take_options(ag_http *h, const ag_http_opts *o, ag_err *err) {
    if (!o->fds || o->n_fds == 0)
        return ag_fail(err, AG_E_ARG, "HTTP server: no listening socket was given");
    if (!o->handler.on_head || !o->handler.on_request || !o->handler.on_refuse)
        return ag_fail(err, AG_E_ARG, "HTTP server: on_head, on_request and on_refuse are needed");
    if (o->tls && (!o->tls->cert_file || !o->tls->key_file))
        return ag_fail(err, AG_E_ARG, "HTTP server: TLS needs a certificate file and a key file");
    h->o = *o;
#define DEFAULT(field, value) h->o.field = o->field ? o->field : (value)
    DEFAULT(head_bytes, 16u << 10);
    DEFAULT(body_bytes, 32u << 20);
    DEFAULT(bodies_bytes, 1u << 30);
    DEFAULT(max_headers, 100);
    DEFAULT(max_connections, 4096);
    DEFAULT(head_timeout_ms, 10000);
    DEFAULT(body_timeout_ms, 30000);
    DEFAULT(idle_timeout_ms, 75000);
    DEFAULT(send_timeout_ms, 60000);
    DEFAULT(stream_low, 16u << 10);
    DEFAULT(stream_high, 64u << 10);
#undef DEFAULT
    if (h->o.stream_low >= h->o.stream_high)
        return ag_fail(err, AG_E_ARG, "HTTP server: stream_low must be below stream_high");
    h->limit_us[AG_PHASE_NEW] = limit_us(h->o.head_timeout_ms);
    h->limit_us[AG_PHASE_IDLE] = limit_us(h->o.idle_timeout_ms);
    h->limit_us[AG_PHASE_HEAD] = limit_us(h->o.head_timeout_ms);
    h->limit_us[AG_PHASE_BODY] = limit_us(h->o.body_timeout_ms);
    h->limit_us[AG_PHASE_SEND] = limit_us(h->o.send_timeout_ms);
    h->limit_us[AG_PHASE_LEFT] = limit_us(LEFT_MS);
    h->limit_us[AG_PHASE_WAIT] = UINT64_MAX;
    return AG_OK;
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

static ag_code watch(ag_http *h, ag_http_watch *w, ag_http_watch_kind kind, int fd, ag_err *err) {
    *w = (ag_http_watch){kind, fd};
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = w};
    if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
        return ag_fail(err, AG_E_IO, "HTTP server: epoll: %s", strerror(errno));
    return AG_OK;
}

static void dispatch(ag_http *h, const struct epoll_event *ev) {
    ag_http_watch *w = ev->data.ptr;
    uint64_t count;
    switch (w->kind) {
    case AG_WATCH_LISTEN:
        if (h->tls)
            ag_http_tls_refresh(h->tls);
        ag_http_conn_accept(h, w->fd);
        break;
    case AG_WATCH_MAIL:
        (void)!read(w->fd, &count, sizeof count);
        break;
    case AG_WATCH_MHD: /* MHD_run() follows in any case */
        h->n_idle_runs = 0;
        break;
    case AG_WATCH_CONN:
        ag_http_conn_event((ag_http_conn *)w, ev->events);
        break;
    }
}

/* libmicrohttpd wants to be run again at once for as long as a TLS handshake is half done, whether
 * bytes come or not. After some runs without any effect we wait for a few milliseconds in between:
 * what does come wakes us. */
static int patience_ms(const ag_http *h) {
    uint32_t n = h->n_idle_runs;
    if (n < FREE_RUNS)
        return 0;
    return n < FREE_RUNS + 5 ? 1 << (n - FREE_RUNS) : 32;
}

static int wait_ms(ag_http *h) {
    MHD_UNSIGNED_LONG_LONG mhd_ms;
    int ms = ag_http_conn_next_ms(h);
    if (ag_http_mail_any(h->mail))
        return 0;
    if (MHD_get_timeout(h->mhd, &mhd_ms) != MHD_YES)
        return ms;
    int wish = mhd_ms == 0 ? patience_ms(h) : mhd_ms < 60000 ? (int)mhd_ms : 60000;
    return ms < 0 || wish < ms ? wish : ms;
}

static void run_mhd(ag_http *h) {
    uint64_t before = h->n_calls;
    h->closing = false;
    (void)MHD_run(h->mhd);
    if (h->closing)
        (void)MHD_run(h->mhd);
    h->n_idle_runs = h->n_calls == before ? h->n_idle_runs + (h->n_idle_runs < UINT32_MAX) : 0;
}

/* Cut every request; what is suspended must be resumed before libmicrohttpd may stop. */
static void end_all(ag_http *h) {
    for (int p = 0; p < AG_PHASE_COUNT; p++)
        for (ag_http_conn *c = h->lists[p].first; c; c = c->next)
            if (c->req)
                ag_http_req_gone(c->req);
    ag_http_mail_deliver(h->mail);
}

static void *run(void *ctx) {
    ag_http *h = ctx;
    struct epoll_event events[EVENTS];
    pthread_setname_np(pthread_self(), "ag-http");
    ag_http_tls_use(h->tls);
    while (!atomic_load(&h->stopping)) {
        int n = epoll_wait(h->epoll, events, EVENTS, wait_ms(h));
        atomic_fetch_add_explicit(&h->n_turns, 1, memory_order_relaxed);
        for (int i = 0; i < n; i++)
            dispatch(h, &events[i]);
        bool draining = atomic_load(&h->draining);
        if (draining)
            ag_http_conn_drain(h);
        else if (atomic_load(&h->winding_down))
            ag_http_conn_close_idle(h);
        ag_http_conn_expire(h);
        ag_http_mail_deliver(h->mail);
        run_mhd(h);
        if (draining && atomic_load(&h->n_connections) == 0)
            atomic_store(&h->drained, true);
    }
    end_all(h);
    MHD_stop_daemon(h->mhd);
    ag_http_mail_deliver(h->mail);
    return NULL;
}

/* ---- life --------------------------------------------------------------------------------------
 */

/* libmicrohttpd's own memory of a connection holds the head, its parsed fields and what is being
 * written, and is all touched once a request was answered: a thousand idle clients cost a thousand
 * of them. It is asked not to be strict where check.c is, whose refusals have our body. */
static ag_code start_mhd(ag_http *h, ag_err *err) {
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)ag_http_tls_pick},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)AG_HTTP_TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    if (h->tls)
        flags |= MHD_USE_TLS;
    h->mhd = MHD_start_daemon(
        flags, 0, NULL, NULL, ag_http_req_access, h, MHD_OPTION_NOTIFY_COMPLETED,
        ag_http_req_completed, h, MHD_OPTION_NOTIFY_CONNECTION, ag_http_conn_notify, h,
        MHD_OPTION_URI_LOG_CALLBACK, ag_http_req_begin, h, MHD_OPTION_CONNECTION_LIMIT,
        h->o.max_connections + 1u, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        h->o.head_bytes + (16u << 10), MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)8192,
        MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
        h->tls ? tls : &tls[2], MHD_OPTION_END);
    if (!h->mhd)
        return ag_fail(err, AG_E_IO, "HTTP server: libmicrohttpd does not start");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    return watch(h, &h->mhd_watch, AG_WATCH_MHD, info->epoll_fd, err);
}

static ag_code open_sockets(ag_http *h, ag_err *err) {
    h->listen = ag_calloc(AG_ROOM_HTTP, h->o.n_fds, sizeof *h->listen);
    if (!h->listen)
        return ag_fail(err, AG_E_NOMEM, "HTTP server: out of memory");
    for (size_t i = 0; i < h->o.n_fds; i++) {
        int fd = h->o.fds[i], flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
            return ag_fail(err, AG_E_ARG, "HTTP server: descriptor %d: %s", fd, strerror(errno));
        ag_code code = watch(h, &h->listen[i], AG_WATCH_LISTEN, fd, err);
        if (code != AG_OK)
            return code;
    }
    h->listening = true;
    return AG_OK;
}

/* Signals are the main thread's, except those that tell of a crash or ask for this thread's stack.
 */
static ag_code start_thread(ag_http *h, ag_err *err) {
    sigset_t all, before;
    const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT};
    sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&all, own[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&h->mail->mu); /* until the thread's name is known */
    int rc = pthread_create(&h->thread, NULL, run, h);
    h->mail->io = h->thread;
    pthread_mutex_unlock(&h->mail->mu);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc ? ag_fail(err, AG_E_NOMEM, "HTTP server: no thread: %s", strerror(rc)) : AG_OK;
}

static void free_server(ag_http *h) {
    ag_http_tls_close(&h->tls);
    if (h->epoll >= 0)
        close(h->epoll);
    ag_http_mail_unref(h->mail);
    ag_free(h->listen);
    ag_free(h);
}

static ag_code open_parts(ag_http *h, const ag_http_opts *opts, ag_err *err) {
    ag_code code = take_options(h, opts, err);
    if (code != AG_OK)
        return code;
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (h->epoll < 0)
        return ag_fail(err, AG_E_IO, "HTTP server: epoll: %s", strerror(errno));
    code = ag_http_mail_new(&h->mail, err);
    if (code == AG_OK && h->o.tls)
        code = ag_http_tls_open(h->o.tls->cert_file, h->o.tls->key_file, h->o.handler.on_warn,
                                h->o.handler.ctx, &h->tls, err);
    if (code == AG_OK)
        code = watch(h, &h->mail_watch, AG_WATCH_MAIL, h->mail->wake, err);
    if (code == AG_OK)
        code = open_sockets(h, err);
    return code == AG_OK ? start_mhd(h, err) : code;
}

ag_code ag_http_open(const ag_http_opts *opts, ag_http **out, ag_err *err) {
    *out = NULL;
    ag_http *h = ag_calloc(AG_ROOM_HTTP, 1, sizeof *h);
    if (!h)
        return ag_fail(err, AG_E_NOMEM, "HTTP server: out of memory");
    h->epoll = -1;
    ag_code code = open_parts(h, opts, err);
    if (code == AG_OK)
        code = start_thread(h, err);
    if (code == AG_OK) {
        *out = h;
        return AG_OK;
    }
    if (h->mhd)
        MHD_stop_daemon(h->mhd);
    free_server(h);
    return code;
}

static void wake(ag_http *h) { (void)!write(h->mail->wake, &(uint64_t){1}, sizeof(uint64_t)); }

void ag_http_wind_down(ag_http *h) {
    atomic_store(&h->winding_down, true);
    wake(h);
}

void ag_http_drain(ag_http *h) {
    atomic_store(&h->draining, true);
    wake(h);
}

/* The thread is woken at each question, so that at the next one it has turned, if it can. */
bool ag_http_moves(ag_http *h, uint64_t stall_ms) {
    uint64_t turns = atomic_load_explicit(&h->n_turns, memory_order_relaxed), now = ag_clock_us();
    if (turns == h->asked_turns && h->asked_at_us)
        return now - h->asked_at_us <= stall_ms * 1000;
    h->asked_turns = turns;
    h->asked_at_us = now;
    wake(h);
    return true;
}

bool ag_http_is_drained(const ag_http *h) { return atomic_load(&h->drained); }
size_t ag_http_n_active(const ag_http *h) { return atomic_load(&h->n_active); }
uint64_t ag_http_n_turned_away(const ag_http *h) { return atomic_load(&h->n_turned_away); }
size_t ag_http_n_connections(const ag_http *h) { return atomic_load(&h->n_connections); }

void ag_http_close(ag_http **h) {
    if (!*h)
        return;
    atomic_store(&(*h)->stopping, true);
    wake(*h);
    pthread_join((*h)->thread, NULL);
    free_server(*h);
    *h = NULL;
}
