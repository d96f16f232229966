/* A server out of the http room alone, for the tests beside it.
 *
 * usage: http_server [OPTION=VALUE...]     prints "port N" when it listens; ends with its input
 *   unix=PATH cert=FILE key=FILE body=BYTES bodies=BYTES head=BYTES fields=N conns=N address=N
 *   head_ms= body_ms= idle_ms= send_ms= high=BYTES
 *
 * GET /ping       "pong"                      POST /echo      the body, at once
 * POST /later     the body, by another thread GET /hang       no answer at all
 * GET /stream?n=&ms=&bytes=   n pieces, ms apart (0: as fast as they are taken)
 * GET /break?n=   pieces, then cut            GET /big?bytes= one answer
 * POST /refuse    401 before the body         GET /query?a=   the value, decoded
 * GET /stats      counters as JSON            POST /drain     stop accepting
 * GET /drained    is nobody left? */
#include <arpa/inet.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/http.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* An answer that another thread gives. */
typedef struct job {
    struct job *next;
    ag_http_req *req;
    enum { LATER, STREAM, BREAK } kind;
    long left, bytes, every_ms;
    uint64_t due_us;
    bool full, gone, ended; /* freed when it has ended and `req` is NULL */
    ag_buf body;
} job;

static ag_http *server;
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* guards jobs and the counters */
static job *jobs;
static struct {
    long heads, ends, gone, complete, refused, drained;
    uint64_t sent;
} count;

static void reply(ag_http_req *r, int status, ag_buf *body) {
    ag_http_header h[] = {{"Content-Type", "text/plain"}, {"X-Method", ag_http_method(r)}};
    ag_http_reply(r, status, h, 2, body);
}

static void reply_text(ag_http_req *r, int status, const char *text) {
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 1 << 20);
    ag_buf_adds(&b, text);
    reply(r, status, &b);
}

static long number(ag_http_req *r, const char *name, long otherwise) {
    const char *v = ag_http_query(r, name);
    return v ? strtol(v, NULL, 10) : otherwise;
}

/* ---- jobs --------------------------------------------------------------------------------------
 */

static void start_job(ag_http_req *r, int kind) {
    job *j = ag_calloc(AG_ROOM_TEST, 1, sizeof *j);
    j->req = r;
    j->kind = kind;
    j->left = number(r, "n", 1);
    j->bytes = number(r, "bytes", 6);
    j->every_ms = number(r, "ms", 0);
    j->due_us = ag_clock_us();
    j->body = ag_http_take_body(r);
    ag_http_req_ref(r);
    ag_http_set_user(r, j);
    if (kind != LATER) {
        ag_http_header h[] = {{"Content-Type", "text/event-stream"}};
        ag_http_stream_begin(r, 200, h, 1);
    }
    pthread_mutex_lock(&mu);
    j->next = jobs;
    jobs = j;
    pthread_mutex_unlock(&mu);
}

/* With mu held; true when the job is over. */
static bool step(job *j, uint64_t now) {
    char piece[65536];
    if (j->gone)
        return true;
    if (j->kind == LATER) {
        reply(j->req, 200, &j->body);
        return true;
    }
    memset(piece, 'a' + (int)(j->left % 26), sizeof piece);
    while (j->left > 0 && !j->full && now >= j->due_us) {
        ag_http_flow flow = ag_http_stream_push(
            j->req,
            ag_span_of(piece, (size_t)j->bytes < sizeof piece ? (size_t)j->bytes : sizeof piece));
        if (flow == AG_HTTP_GONE)
            return true;
        j->full = flow == AG_HTTP_FULL;
        j->left--;
        j->due_us += (uint64_t)j->every_ms * 1000;
    }
    if (j->left > 0)
        return false;
    if (j->kind == BREAK)
        ag_http_stream_abort(j->req);
    else
        ag_http_stream_end(j->req);
    return true;
}

static void *work(void *arg) {
    (void)arg;
    for (;;) {
        usleep(1000);
        pthread_mutex_lock(&mu);
        for (job **at = &jobs; *at;) {
            job *j = *at;
            if (!step(j, ag_clock_us())) {
                at = &j->next;
                continue;
            }
            *at = j->next;
            ag_http_req_unref(j->req);
            ag_buf_deinit(&j->body);
            j->req = NULL;
            if (j->ended)
                ag_free(j);
        }
        pthread_mutex_unlock(&mu);
    }
    return NULL;
}

/* ---- handlers ----------------------------------------------------------------------------------
 */

static void stats(ag_http_req *r) {
    ag_buf b;
    struct rusage u;
    getrusage(RUSAGE_THREAD, &u); /* handlers run on the io thread */
    long rss = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &rss) != 1)
        rss = -1;
    if (f)
        fclose(f);
    ag_buf_init(&b, AG_ROOM_TEST, 4096);
    pthread_mutex_lock(&mu);
    ag_buf_addf(&b,
                "{\"heads\":%ld,\"ends\":%ld,\"gone\":%ld,\"complete\":%ld,\"refused\":%ld,"
                "\"drained\":%ld,\"sent\":%" PRIu64 ",\"active\":%zu,\"connections\":%zu,"
                "\"sanitized\":%d,\"http_bytes\":%zu,\"rss_kib\":%ld,\"cpu_ms\":%ld}",
                count.heads, count.ends, count.gone, count.complete, count.refused, count.drained,
                count.sent, ag_http_n_active(server), ag_http_n_connections(server), SANITIZED,
                ag_mem_bytes(AG_ROOM_HTTP), rss * (sysconf(_SC_PAGESIZE) / 1024),
                (long)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
                    (long)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000);
    pthread_mutex_unlock(&mu);
    reply(r, 200, &b);
}

static bool on_head(void *ctx, ag_http_req *r, size_t *limit) {
    (void)ctx, (void)limit;
    pthread_mutex_lock(&mu);
    count.heads++;
    pthread_mutex_unlock(&mu);
    if (strcmp(ag_http_path(r), "/refuse") != 0)
        return true;
    reply_text(r, 401, "no key");
    return false;
}

static void on_request(void *ctx, ag_http_req *r) {
    (void)ctx;
    const char *path = ag_http_path(r);
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 64 << 20);
    if (strcmp(path, "/ping") == 0) {
        reply_text(r, 200, "pong");
    } else if (strcmp(path, "/echo") == 0) {
        ag_buf_add(&b, ag_http_body(r).p, ag_http_body(r).n);
        reply(r, 200, &b);
    } else if (strcmp(path, "/big") == 0) {
        size_t n = (size_t)number(r, "bytes", 1 << 20);
        if (ag_buf_reserve(&b, n))
            memset(b.p, 'b', n);
        b.n = n;
        reply(r, 200, &b);
    } else if (strcmp(path, "/query") == 0) {
        const char *v = ag_http_query(r, "a");
        reply_text(r, 200, v ? v : "(none)");
    } else if (strcmp(path, "/stats") == 0) {
        stats(r);
    } else if (strcmp(path, "/later") == 0) {
        start_job(r, LATER);
    } else if (strcmp(path, "/stream") == 0) {
        start_job(r, STREAM);
    } else if (strcmp(path, "/break") == 0) {
        start_job(r, BREAK);
    } else if (strcmp(path, "/drain") == 0) {
        ag_http_drain(server);
        reply_text(r, 200, "draining");
    } else if (strcmp(path, "/drained") == 0) {
        reply_text(r, 200, ag_http_is_drained(server) ? "yes" : "no");
    } else if (strcmp(path, "/hang") != 0) {
        reply_text(r, 404, "not here");
    }
}

static void on_gone(void *ctx, ag_http_req *r) {
    (void)ctx;
    job *j = ag_http_user(r);
    pthread_mutex_lock(&mu);
    count.gone++;
    if (j)
        j->gone = true;
    pthread_mutex_unlock(&mu);
}

static void on_drained(void *ctx, ag_http_req *r) {
    (void)ctx;
    job *j = ag_http_user(r);
    pthread_mutex_lock(&mu);
    count.drained++;
    if (j)
        j->full = false;
    pthread_mutex_unlock(&mu);
}

static void on_end(void *ctx, ag_http_req *r, const ag_http_outcome *how) {
    (void)ctx;
    job *j = ag_http_user(r);
    pthread_mutex_lock(&mu);
    count.ends++;
    count.complete += how->complete;
    count.sent += how->sent_bytes;
    if (j) {
        j->gone = j->ended = true;
        if (!j->req)
            ag_free(j);
    }
    pthread_mutex_unlock(&mu);
}

static size_t on_refuse(void *ctx, const ag_http_refusal *what,
                        ag_http_header headers[AG_HTTP_REFUSAL_HEADERS], ag_buf *body) {
    (void)ctx;
    pthread_mutex_lock(&mu);
    count.refused++;
    pthread_mutex_unlock(&mu);
    ag_buf_addf(body, "{\"error\":{\"code\":%d,\"message\":\"%s\"}}", what->status, what->reason);
    headers[0] = (ag_http_header){"Content-Type", "application/json"};
    return 1;
}

static void on_warn(void *ctx, const char *line) {
    (void)ctx;
    fprintf(stderr, "warn: %s\n", line);
}

/* ---- start -------------------------------------------------------------------------------------
 */

static int listen_tcp(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1024) ||
        getsockname(fd, (struct sockaddr *)&a, &n)) {
        perror("listen");
        exit(1);
    }
    printf("port %d\n", ntohs(a.sin_port));
    return fd;
}

static int listen_unix(const char *path) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 64)) {
        perror(path);
        exit(1);
    }
    return fd;
}

static const char *option(int argc, char **argv, const char *name) {
    size_t n = strlen(name);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=')
            return argv[i] + n + 1;
    return NULL;
}

int main(int argc, char **argv) {
#define NUMBER(name)                                                                               \
    (option(argc, argv, name) ? (uint32_t)strtoul(option(argc, argv, name), NULL, 10) : 0)
    const char *path = option(argc, argv, "unix");
    ag_http_tls tls = {option(argc, argv, "cert"), option(argc, argv, "key")};
    int fds[2] = {listen_tcp(), path ? listen_unix(path) : -1};
    ag_http_opts o = {
        .fds = fds,
        .n_fds = path ? 2 : 1,
        .tls = tls.cert_file ? &tls : NULL,
        .handler = {NULL, on_head, on_request, on_gone, on_drained, on_end, on_refuse, on_warn},
        .head_bytes = NUMBER("head"),
        .body_bytes = NUMBER("body"),
        .bodies_bytes = NUMBER("bodies"),
        .max_headers = NUMBER("fields"),
        .max_connections = NUMBER("conns"),
        .max_per_address = NUMBER("address"),
        .head_timeout_ms = NUMBER("head_ms"),
        .body_timeout_ms = NUMBER("body_ms"),
        .idle_timeout_ms = NUMBER("idle_ms"),
        .send_timeout_ms = NUMBER("send_ms"),
        .stream_high = NUMBER("high"),
    };
    ag_err err;
    pthread_mutex_lock(&mu); /* no job before there is a worker */
    if (ag_http_open(&o, &server, &err) != AG_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    pthread_mutex_unlock(&mu);
    pthread_t worker;
    pthread_create(&worker, NULL, work, NULL);
    fflush(stdout);
    char line[16];
    while (read(0, line, sizeof line) > 0)
        ;
    ag_http_close(&server);
    pthread_mutex_lock(&mu);
    printf("heads %ld ends %ld gone %ld\n", count.heads, count.ends, count.gone);
    fflush(stdout);
    _exit(count.heads == count.ends ? 0 : 1);
}
