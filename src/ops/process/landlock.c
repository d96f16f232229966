/* Landlock: which files and ports. Its system calls have no wrappers in the C library, and the
 * headers of our floor know only its first versions, hence the numbers. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "process/confine.h"

#define LATEST 6 /* version that these numbers are of */

enum {
    FILES_V1 = (1 << 13) - 1, /* execute, write, read, read folder, remove and make of every kind */
    REFER_V2 = 1 << 13,
    TRUNCATE_V3 = 1 << 14,
    IOCTL_DEVICE_V5 = 1 << 15,
    TCP_V4 = 3,    /* bind, connect */
    SCOPES_V6 = 3, /* abstract unix sockets and signals of processes outside */
};

/* struct landlock_ruleset_attr of version 6; older kernels accept it where their unknown is 0. */
typedef struct ruleset {
    uint64_t files, ports, scopes;
} ruleset;

static ruleset all_of(int version) {
    uint64_t files = FILES_V1;
    files |= version >= 2 ? REFER_V2 : 0;
    files |= version >= 3 ? TRUNCATE_V3 : 0;
    files |= version >= 5 ? IOCTL_DEVICE_V5 : 0;
    return (ruleset){files, version >= 4 ? TCP_V4 : 0, version >= 6 ? SCOPES_V6 : 0};
}

static uint64_t rights_of(ag_sandbox_may may, bool is_folder, int version) {
    if (may == AG_SANDBOX_KEEP)
        return !is_folder ? 0
                          : LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                                LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                                LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                (version >= 3 ? (uint64_t)TRUNCATE_V3 : 0);
    if (may == AG_SANDBOX_READ)
        return LANDLOCK_ACCESS_FS_READ_FILE | (is_folder ? LANDLOCK_ACCESS_FS_READ_DIR : 0);
    if (may == AG_SANDBOX_WRITE)
        return LANDLOCK_ACCESS_FS_WRITE_FILE | (is_folder ? LANDLOCK_ACCESS_FS_MAKE_REG : 0);
    return is_folder ? LANDLOCK_ACCESS_FS_REMOVE_FILE : 0;
}

/* procfs makes a new inode for a folder that nobody holds, and a rule is about an inode: the
 * descriptor stays open as long as the process. */
static bool must_stay_open(int fd) {
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* False: errno says why. */
static bool allow(int rules, int version, const ag_sandbox_path *p, const char **missing) {
    struct stat st;
    int fd = open(p->path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        if (!p->optional && !*missing)
            *missing = p->path;
        return true;
    }
    bool is_folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    struct landlock_path_beneath_attr rule = {
        .allowed_access = rights_of(p->may, is_folder, version), .parent_fd = fd};
    bool ok = !rule.allowed_access ||
              syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    int error = errno;
    if (!must_stay_open(fd))
        close(fd);
    errno = error;
    return ok;
}

int ag_confine_files(const ag_sandbox_path *paths, size_t n, const char **missing, char *why,
                     size_t room) {
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    version = version > LATEST ? LATEST : version;
    ruleset all = all_of((int)version);
    long rules = version > 0 ? syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0) : -1;
    bool ok = rules >= 0;
    for (size_t i = 0; i < n && ok; i++)
        ok = allow((int)rules, (int)version, &paths[i], missing);
    ok = ok && syscall(SYS_landlock_restrict_self, (int)rules, 0) == 0;
    if (!ok)
        snprintf(why, room, "%s",
                 errno == ENOSYS || errno == EOPNOTSUPP ? "not in this kernel" : strerror(errno));
    if (rules >= 0)
        close((int)rules);
    return ok ? (int)version : 0;
}
