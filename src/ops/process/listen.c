#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/span.h"
#include "process/supervisor.h"

enum { BACKLOG = 4096 /* cut by net.core.somaxconn; while a server restarts, clients wait here */ };

#define UNIX_PREFIX "unix:"

static ag_code failed(const char *address, int error, ag_err *err) {
    if (error == EADDRINUSE)
        return ag_fail(
            err, AG_E_IO,
            "%s: the address is in use: another program listens there; stop it or choose "
            "another port",
            address);
    if (error == EACCES)
        return ag_fail(err, AG_E_IO, "%s: not permitted (ports below 1024 need a privilege)",
                       address);
    return ag_fail(err, AG_E_IO, "%s: cannot listen: %s", address, strerror(error));
}

/* Whose group may connect to a socket file, a proxy for one, is said by the group, not by a umask
 * meant for other files. What bind() made of the umask lets nobody in: the socket does not listen
 * yet. Whoever may write in the folder may have put another file there meanwhile, whose mode must
 * stay: the mode is set of what was seen to be a socket. 0 or an errno. */
static int open_to_group(const char *path) {
    char opened[32];
    struct stat st;
    int error = 0, fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno;
    snprintf(opened, sizeof opened, "/proc/self/fd/%d", fd); /* fchmod() takes none of O_PATH */
    if (fstat(fd, &st) != 0)
        error = errno;
    else if (!S_ISSOCK(st.st_mode))
        error = ENOTSOCK;
    else if (chmod(opened, 0660) != 0)
        error = errno;
    close(fd);
    return error;
}

/* Bind and listen, on a socket file if there is a path; on failure closes fd and leaves no file. */
static ag_code serve(int fd, const struct sockaddr *sa, socklen_t n, const char *path,
                     const char *address, ag_err *err) {
    ag_code code = AG_OK;
    int error = 0;
    if (bind(fd, sa, n) != 0) {
        code = failed(address, errno, err);
        path = NULL; /* a file there is another's */
    } else if (path && (error = open_to_group(path))) {
        code = ag_fail(err, AG_E_IO, "%s: cannot set its mode: %s", address, strerror(error));
    } else if (listen(fd, BACKLOG) != 0) {
        code = failed(address, errno, err);
    }
    if (code == AG_OK)
        return AG_OK;
    if (path)
        unlink(path);
    close(fd);
    return code;
}

/* ---- unix --------------------------------------------------------------------------------------
 */

/* A socket file that refuses connections was left behind by a process that is gone. */
static void remove_stale(const struct sockaddr_un *sa) {
    struct stat st;
    if (lstat(sa->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)sa, sizeof *sa) != 0 && errno == ECONNREFUSED)
        unlink(sa->sun_path);
    close(fd);
}

static ag_code open_unix(ag_listener *l, const char *address, ag_err *err) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const char *path = address + strlen(UNIX_PREFIX);
    size_t n = strlen(path);
    if (n == 0 || path[0] != '/')
        return ag_fail(err, AG_E_ARG, "%s: the path of a unix socket must start with /", address);
    if (n >= sizeof sa.sun_path)
        return ag_fail(err, AG_E_ARG, "%s: the path of a unix socket has at most %zu bytes",
                       address, sizeof sa.sun_path - 1);
    memcpy(sa.sun_path, path, n);
    remove_stale(&sa);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return failed(address, errno, err);
    ag_code code = serve(fd, (const struct sockaddr *)&sa, sizeof sa, sa.sun_path, address, err);
    if (code == AG_OK) {
        l->fd = fd;
        snprintf(l->name, sizeof l->name, "%s", address);
    }
    return code;
}

/* ---- TCP ---------------------------------------------------------------------------------------
 */

/* "HOST:PORT" or "[V6]:PORT" into two strings. */
static ag_code split(const char *address, char host[256], char port[8], ag_err *err) {
    ag_span all = ag_str(address), name;
    const char *colon = strrchr(address, ':');
    if (!colon)
        return ag_fail(err, AG_E_ARG, "%s: an address is HOST:PORT, [IPv6]:PORT or unix:/PATH",
                       address);
    name = ag_span_sub(all, 0, (size_t)(colon - address));
    if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
        name = ag_span_sub(name, 1, name.n - 1);
    else if (ag_span_find(name, ag_str(":"), 0) != SIZE_MAX)
        return ag_fail(err, AG_E_ARG, "%s: an IPv6 address stands in brackets: [::1]:PORT",
                       address);
    char *end;
    unsigned long number = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end || number > 65535)
        return ag_fail(err, AG_E_ARG, "%s: the port must be a number from 0 to 65535", address);
    if (name.n == 0 || name.n > 255)
        return ag_fail(err, AG_E_ARG, "%s: the host is missing (0.0.0.0 is every address)",
                       address);
    memcpy(host, name.p, name.n);
    host[name.n] = '\0';
    snprintf(port, 8, "%lu", number);
    return AG_OK;
}

static void name_of(ag_listener *l) {
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    char host[80], port[8];
    if (getsockname(l->fd, (struct sockaddr *)&sa, &n) == 0 &&
        getnameinfo((struct sockaddr *)&sa, n, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(l->name, sizeof l->name, sa.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
                 port);
}

static ag_code open_tcp(ag_listener *l, const char *address, ag_err *err) {
    char host[256], port[8];
    ag_code code = split(address, host, port, err);
    if (code != AG_OK)
        return code;
    struct addrinfo hint = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *found;
    int rc = getaddrinfo(host, port, &hint, &found);
    if (rc != 0)
        return ag_fail(err, AG_E_ARG, "%s: unknown host: %s", address, gai_strerror(rc));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        code = failed(address, errno, err);
    } else {
        /* A restart must not wait for the old connections' TIME_WAIT. */
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        code = serve(fd, found->ai_addr, found->ai_addrlen, NULL, address, err);
    }
    freeaddrinfo(found);
    if (code == AG_OK) {
        l->fd = fd;
        snprintf(l->name, sizeof l->name, "%s", address);
        name_of(l);
    }
    return code;
}

ag_code ag_listener_open(ag_listener *l, const char *address, ag_err *err) {
    *l = (ag_listener){.fd = -1};
    if (strlen(address) >= AG_LISTENER_NAME_MAX)
        return ag_fail(err, AG_E_ARG, "%.40s...: too long for an address", address);
    return strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0 ? open_unix(l, address, err)
                                                                   : open_tcp(l, address, err);
}

void ag_listener_close(ag_listener *l) {
    if (l->fd < 0)
        return;
    close(l->fd);
    l->fd = -1;
    if (strncmp(l->name, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        unlink(l->name + strlen(UNIX_PREFIX));
}
