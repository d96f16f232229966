#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/server.h"

enum {
    ACCEPT_BATCH = 64,        /* then others get their turn */
    ACCEPT_PAUSE_US = 100000, /* out of descriptors or memory */
    FRESH_US = 200000,        /* a connection this young may be about to ask */
    LAST_CALL_US = 1000000,   /* draining: to ask on a connection that was accepted before */
};

/* ---- phases ------------------------------------------------------------------------------------
 */

static void unlink_conn(ag_http_conn *c) {
    ag_http *h = c->h;
    *(c->prev ? &c->prev->next : &h->lists[c->phase].first) = c->next;
    *(c->next ? &c->next->prev : &h->lists[c->phase].last) = c->prev;
}

static void link_conn(ag_http_conn *c, ag_http_phase phase) {
    ag_http *h = c->h;
    c->phase = phase;
    c->since_us = ag_clock_us();
    c->next = NULL;
    c->prev = h->lists[phase].last;
    *(c->prev ? &c->prev->next : &h->lists[phase].first) = c;
    h->lists[phase].last = c;
}

static void listen_again(ag_http *h) {
    if (!h->accept_at_us && !atomic_load(&h->draining))
        ag_http_conn_listen(h, true);
}

void ag_http_conn_phase(ag_http_conn *c, ag_http_phase phase) {
    bool left = c->hung && phase <= AG_PHASE_BODY;
    unlink_conn(c);
    link_conn(c, left ? AG_PHASE_LEFT : phase);
    if (phase == AG_PHASE_HEAD)
        c->head_us = c->since_us;
    if (phase == AG_PHASE_IDLE) /* it can make room for one that waits in the backlog */
        listen_again(c->h);
}

/* ---- acceptance --------------------------------------------------------------------------------
 */

static void take_address(ag_http_conn *c, const struct sockaddr *sa) {
    if (sa && sa->sa_family == AF_INET6) {
        memcpy(c->address, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
    } else if (sa && sa->sa_family == AF_INET) {
        memset(c->address + 10, 0xff, 2);
        memcpy(c->address + 12, &((const struct sockaddr_in *)sa)->sin_addr, 4);
    } else {
        snprintf(c->peer, sizeof c->peer, "unix");
        return;
    }
    struct in6_addr a;
    memcpy(&a, c->address, sizeof a);
    if (IN6_IS_ADDR_V4MAPPED(&a))
        inet_ntop(AF_INET, c->address + 12, c->peer, sizeof c->peer);
    else
        inet_ntop(AF_INET6, c->address, c->peer, sizeof c->peer);
}

/* One network of IPv6 counts as one address: its owner has 2^64 of them. That of zeros has no
 * owner: IPv4 stands there, and loopback. */
static bool same_client(const uint8_t *a, const uint8_t *b) {
    static const uint8_t zeros[8];
    return memcmp(a, b, memcmp(a, zeros, 8) == 0 ? 16 : 8) == 0;
}

static bool address_is_full(const ag_http *h, const struct sockaddr *sa) {
    if (!h->o.max_per_address || sa->sa_family == AF_UNIX)
        return false;
    ag_http_conn probe = {0};
    take_address(&probe, sa);
    uint32_t n = 0;
    for (int p = 0; p < AG_PHASE_COUNT; p++)
        for (const ag_http_conn *c = h->lists[p].first; c; c = c->next)
            n += same_client(probe.address, c->address);
    return n >= h->o.max_per_address;
}

void ag_http_conn_listen(ag_http *h, bool on) {
    if (h->listening == on)
        return;
    h->listening = on;
    for (size_t i = 0; i < h->o.n_fds; i++) {
        struct epoll_event ev = {.events = on ? EPOLLIN : 0, .data.ptr = &h->listen[i]};
        epoll_ctl(h->epoll, EPOLL_CTL_MOD, h->listen[i].fd, &ev);
    }
}

/* Full: the connection that has been idle longest makes room, and acceptance goes on when it is
 * gone. False: there is none. */
static bool make_room(ag_http *h) {
    ag_http_conn *idle = h->lists[AG_PHASE_IDLE].first;
    if (!idle)
        idle = h->lists[AG_PHASE_NEW].first;
    if (idle && idle->since_us + FRESH_US <= ag_clock_us())
        ag_http_conn_cut(idle);
    else if (idle)
        h->accept_at_us = idle->since_us + FRESH_US;
    ag_http_conn_listen(h, false);
    return idle;
}

/* Out of descriptors or memory before max_connections was reached: who is idle has some. */
static void lack_resources(ag_http *h) {
    if (!make_room(h))
        h->accept_at_us = ag_clock_us() + ACCEPT_PAUSE_US;
}

void ag_http_conn_accept(ag_http *h, int listen_fd) {
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        if (atomic_load(&h->n_connections) >= h->o.max_connections) {
            (void)make_room(h); /* or new clients wait in the backlog */
            return;
        }
        struct sockaddr_storage sa = {0};
        socklen_t n = sizeof sa;
        int fd = accept4(listen_fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                lack_resources(h);
            return;
        }
        if (address_is_full(h, (struct sockaddr *)&sa)) {
            atomic_fetch_add(&h->n_turned_away, 1);
            close(fd);
            continue;
        }
        (void)MHD_add_connection(h->mhd, fd, (struct sockaddr *)&sa, n); /* closes it if not */
    }
}

/* It starts as NEW, not IDLE: libmicrohttpd may take the first bytes before our epoll tells of
 * them. */
static void opened(ag_http *h, struct MHD_Connection *mhd, void **out) {
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *sa =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    ag_http_conn *c = ag_calloc(AG_ROOM_HTTP, 1, sizeof *c);
    if (!c) {
        shutdown(fd->connect_fd, SHUT_RDWR);
        return;
    }
    c->watch = (ag_http_watch){AG_WATCH_CONN, fd->connect_fd};
    c->h = h;
    c->mhd = mhd;
    c->late = atomic_load(&h->winding_down);
    take_address(c, sa ? sa->client_addr : NULL);
    link_conn(c, AG_PHASE_NEW);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, c->watch.fd, &ev) != 0)
        shutdown(c->watch.fd, SHUT_RDWR);
    atomic_fetch_add(&h->n_connections, 1);
    *out = c;
}

static void closed(ag_http *h, ag_http_conn *c) {
    epoll_ctl(h->epoll, EPOLL_CTL_DEL, c->watch.fd, NULL);
    unlink_conn(c);
    ag_free(c);
    atomic_fetch_sub(&h->n_connections, 1);
    listen_again(h);
}

void ag_http_conn_notify(void *h, struct MHD_Connection *mhd, void **conn,
                         enum MHD_ConnectionNotificationCode what) {
    ((ag_http *)h)->n_calls++;
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        opened(h, mhd, conn);
    else if (*conn)
        closed(h, *conn);
}

/* ---- leaving -----------------------------------------------------------------------------------
 */

void ag_http_conn_cut(ag_http_conn *c) {
    ag_http_conn_phase(c, AG_PHASE_WAIT); /* whose limit never strikes again */
    shutdown(c->watch.fd, SHUT_RDWR);
}

void ag_http_conn_event(ag_http_conn *c, uint32_t events) {
    if (c->phase <= AG_PHASE_IDLE && (events & EPOLLIN))
        ag_http_conn_phase(c, AG_PHASE_HEAD);
    if (!(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        return;
    c->hung = true;
    if (c->phase <= AG_PHASE_BODY)
        ag_http_conn_phase(c, c->phase);
    else if (c->req && c->req->handed)
        ag_http_req_hung(c->req);
}

/* A last word to a client that is too slow to ask. libmicrohttpd cannot answer before a request is
 * whole, so it goes to the socket directly; nothing else is being written then. */
static void say_timeout(ag_http_conn *c) {
    ag_http *h = c->h;
    ag_buf body, out;
    ag_buf_init(&body, AG_ROOM_HTTP, 4096);
    ag_buf_init(&out, AG_ROOM_HTTP, 8192);
    ag_http_header headers[AG_HTTP_REFUSAL_HEADERS];
    ag_http_refusal what = {.req = c->req && c->req->seen ? c->req : NULL,
                            .method = c->req ? c->req->method : NULL,
                            .peer = c->peer,
                            .status = 408,
                            .reason = "The request did not arrive in time."};
    size_t n = h->o.handler.on_refuse(h->o.handler.ctx, &what, headers, &body);
    ag_buf_addf(&out,
                "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: %zu\r\n",
                body.n);
    for (size_t i = 0; i < n; i++)
        ag_buf_addf(&out, "%s: %s\r\n", headers[i].name, headers[i].value);
    ag_buf_adds(&out, "\r\n");
    ag_buf_add(&out, body.p, body.n);
    if (!out.failed && h->tls)
        ag_http_tls_send(c->mhd, ag_buf_span(&out));
    else if (!out.failed)
        (void)!send(c->watch.fd, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    ag_buf_deinit(&out);
    ag_buf_deinit(&body);
}

static void expire(ag_http_conn *c) {
    if (c->phase == AG_PHASE_HEAD || c->phase == AG_PHASE_BODY) {
        if (c->req && c->req->started)
            c->req->sent_status = 408;
        say_timeout(c);
    }
    if (c->req && c->req->handed)
        ag_http_req_gone(c->req);
    ag_http_conn_cut(c);
}

void ag_http_conn_expire(ag_http *h) {
    uint64_t now = ag_clock_us();
    for (int p = 0; p < AG_PHASE_WAIT; p++)
        for (ag_http_conn *c; (c = h->lists[p].first) && c->since_us + h->limit_us[p] <= now;)
            expire(c);
    if (h->accept_at_us && now >= h->accept_at_us) {
        h->accept_at_us = 0;
        listen_again(h);
    }
}

int ag_http_conn_next_ms(const ag_http *h) {
    uint64_t now = ag_clock_us(), next = h->accept_at_us ? h->accept_at_us : UINT64_MAX;
    for (int p = 0; p < AG_PHASE_WAIT; p++) {
        const ag_http_conn *c = h->lists[p].first;
        if (c && c->since_us + h->limit_us[p] < next)
            next = c->since_us + h->limit_us[p];
    }
    if (next == UINT64_MAX)
        return -1;
    return next <= now ? 0 : (int)((next - now) / 1000 + 1);
}

/* Waiting between requests; one whose next request lies in the socket already is answered still. */
static void close_idle(ag_http_conn *c) {
    char byte;
    if (recv(c->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
        ag_http_conn_phase(c, AG_PHASE_HEAD);
    else
        ag_http_conn_cut(c);
}

void ag_http_conn_close_idle(ag_http *h) {
    while (h->lists[AG_PHASE_IDLE].first)
        close_idle(h->lists[AG_PHASE_IDLE].first);
}

void ag_http_conn_drain(ag_http *h) {
    ag_http_conn_listen(h, false);
    if (h->limit_us[AG_PHASE_NEW] > LAST_CALL_US)
        h->limit_us[AG_PHASE_NEW] = LAST_CALL_US;
    ag_http_conn_close_idle(h);
}
