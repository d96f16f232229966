/* systemd's readiness protocol: a datagram of NAME=VALUE lines to a unix socket. */
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "process/process.h"

void ag_notify(const ag_supervise_opts *o, const char *state) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t n = o->notify_socket ? strlen(o->notify_socket) : 0;
    if (n == 0 || n >= sizeof sa.sun_path ||
        (o->notify_socket[0] != '/' && o->notify_socket[0] != '@'))
        return;
    memcpy(sa.sun_path, o->notify_socket, n);
    if (sa.sun_path[0] == '@') /* the abstract namespace */
        sa.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&sa,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(fd);
}
