#include "cli/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static ag_code resolve(const char *host, uint32_t port, struct addrinfo **out, ag_err *err) {
    char service[12];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    snprintf(service, sizeof service, "%u", port);
    int failed = getaddrinfo(host, service, &hints, out);
    return failed ? ag_fail(err, AG_E_ARG, "the address of \"%s\" is not known: %s", host,
                            gai_strerror(failed))
                  : AG_OK;
}

static bool is_loopback(const struct sockaddr *a) {
    if (a->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == 127;
    return a->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

ag_code ag_cli_is_loopback(const char *host, bool *loopback, ag_err *err) {
    struct addrinfo *list;
    ag_code code = resolve(host, 0, &list, err);
    if (code)
        return code;
    *loopback = is_loopback(list->ai_addr);
    freeaddrinfo(list);
    return AG_OK;
}

static ag_code describe(ag_cli_listener *l, ag_err *err) {
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    char host[64], port[12];
    if (getsockname(l->fd, (struct sockaddr *)&a, &n) != 0 ||
        getnameinfo((struct sockaddr *)&a, n, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return ag_fail(err, AG_E_IO, "a listening socket has no address: %s", strerror(errno));
    l->loopback = is_loopback((struct sockaddr *)&a);
    snprintf(l->address, sizeof l->address, a.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
             port);
    return AG_OK;
}

ag_code ag_cli_listen(const char *host, uint32_t port, ag_cli_listener *out, ag_err *err) {
    struct addrinfo *a;
    int yes = 1;
    ag_code code = resolve(host, port, &a, err);
    if (code)
        return code;
    out->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (out->fd < 0 || setsockopt(out->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(out->fd, a->ai_addr, a->ai_addrlen) != 0 || listen(out->fd, 1024) != 0)
        code = errno == EADDRINUSE
                   ? ag_fail(err, AG_E_IO, "port %u of %s is in use; choose another with --port",
                             port, host)
                   : ag_fail(err, AG_E_IO, "cannot listen on port %u of %s: %s", port, host,
                             strerror(errno));
    freeaddrinfo(a);
    if (!code)
        code = describe(out, err);
    if (code && out->fd >= 0) {
        close(out->fd);
        out->fd = -1;
    }
    return code;
}
