/* A server of canned answers on 127.0.0.1: each connection gets one answer and is closed. What was
 * asked is kept. */
#ifndef AG_TESTS_NET_SERVER_H
#define AG_TESTS_NET_SERVER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER_MOST 8

typedef struct server {
    int fd, port;
    pthread_t thread;
    const char *(*answer_for)(const char *asked); /* as often as asked; NULL: these, in order: */
    const char *answer[SERVER_MOST];              /* NULL: keep the connection and say nothing */
    size_t answer_n[SERVER_MOST];                 /* bytes of it; 0: it is a string */
    char asked[SERVER_MOST][4096];                /* heads of the requests */
    int n_answers, n_asked;
    char url[64];
} server;

static void server_hear(int fd, char *to, size_t room) {
    size_t n = 0;
    while (n + 1 < room) {
        ssize_t got = read(fd, to + n, room - n - 1);
        if (got <= 0)
            break;
        n += (size_t)got;
        to[n] = '\0';
        if (strstr(to, "\r\n\r\n"))
            break;
    }
}

static void *server_run(void *arg) {
    server *s = arg;
    while (s->answer_for || s->n_asked < s->n_answers) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            break;
        server_hear(fd, s->asked[s->n_asked], sizeof s->asked[0]);
        const char *answer = s->answer_for ? s->answer_for(s->asked[0]) : s->answer[s->n_asked];
        char end;
        if (answer) {
            size_t n = s->answer_n[s->n_asked] ? s->answer_n[s->n_asked] : strlen(answer);
            for (size_t at = 0; at < n;) {
                ssize_t put = send(fd, answer + at, n - at, MSG_NOSIGNAL);
                if (put <= 0)
                    break;
                at += (size_t)put;
            }
            shutdown(fd, SHUT_WR);
        }
        while (read(fd, &end, 1) > 0) /* until the client has gone */
            ;
        close(fd);
        s->n_asked += s->answer_for ? 0 : 1;
    }
    return NULL;
}

/* Answers are set before. */
static void server_open(server *s) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    getsockname(s->fd, (struct sockaddr *)&at, &n);
    s->port = ntohs(at.sin_port);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d/a", s->port);
    assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
}

static void server_close(server *s) {
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

#endif
