/* seccomp: which system calls.
 *
 * A list of what is allowed, since what a kernel has in five years cannot be listed. What is not on
 * it fails as if the kernel did not have it (ENOSYS): the C library asks for newer calls first and
 * falls back to older ones on that answer alone. Calls for which a server never has a reason end
 * the process: then it is no longer ours.
 *
 * Names that an architecture does not have are passed over, so one list serves all. */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "process/confine.h"

static const char *const allowed[] = {
    /* memory */
    "brk",
    "madvise",
    "mbind",
    "membarrier",
    "mincore",
    "mlock",
    "mremap",
    "msync",
    "munlock",
    "munmap",
    "get_mempolicy",
    "set_mempolicy",
    /* files; Landlock says which */
    "access",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fcntl",
    "fdatasync",
    "flock",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "getcwd",
    "getdents64",
    "lseek",
    "lstat",
    "newfstatat",
    "open",
    "openat",
    "pipe2",
    "pread64",
    "preadv",
    "pwrite64",
    "pwritev",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "rename",
    "renameat",
    "renameat2",
    "stat",
    "statfs",
    "statx",
    "unlink",
    "unlinkat",
    "utimensat",
    "write",
    "writev",
    /* sockets that the supervisor has opened */
    "accept",
    "accept4",
    "getpeername",
    "getsockname",
    "getsockopt",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendfile",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    /* waiting */
    "clock_nanosleep",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd2",
    "nanosleep",
    "poll",
    "ppoll",
    "pselect6",
    "restart_syscall",
    "select",
    "setitimer",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
    /* threads */
    "exit",
    "exit_group",
    "futex",
    "futex_waitv",
    "get_robust_list",
    "getcpu",
    "gettid",
    "rseq",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_setaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "setpriority",
    /* signals */
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "sigaltstack",
    /* facts */
    "clock_getres",
    "clock_gettime",
    "getegid",
    "geteuid",
    "getgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getrandom",
    "getrlimit",
    "getrusage",
    "gettimeofday",
    "getuid",
    "sysinfo",
    "time",
    "times",
    "uname",
};

static const char *const never[] = {
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "capset",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "execve",
    "execveat",
    "finit_module",
    "fork",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "mount",
    "mount_setattr",
    "move_mount",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "personality",
    "pidfd_getfd",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "request_key",
    "setdomainname",
    "setgid",
    "setgroups",
    "sethostname",
    "setns",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "settimeofday",
    "setuid",
    "swapoff",
    "swapon",
    "umount2",
    "unshare",
    "vfork",
};

/* A system call whose argument decides: (argument & mask) == value. */
typedef struct condition {
    uint32_t action;
    const char *name;
    unsigned argument;
    uint64_t mask, value;
} condition;

#define WHOLE UINT64_MAX
#define ONE(name, argument, value)                                                                 \
    { SCMP_ACT_ALLOW, name, argument, WHOLE, value }

static const condition conditions[] = {
    /* Threads, no processes. clone3 keeps its flags where a filter cannot see them: it is not on
     * the list, and the C library then takes clone. */
    {SCMP_ACT_ALLOW, "clone", 0, CLONE_THREAD, CLONE_THREAD},
    {SCMP_ACT_KILL_PROCESS, "clone", 0, CLONE_THREAD, 0},
    /* No code comes in: libraries have been loaded by now. */
    {SCMP_ACT_ALLOW, "mmap", 2, PROT_EXEC, 0},
    {SCMP_ACT_ERRNO(EPERM), "mmap", 2, PROT_EXEC, PROT_EXEC},
    {SCMP_ACT_ALLOW, "mprotect", 2, PROT_EXEC, 0},
    {SCMP_ACT_ERRNO(EPERM), "mprotect", 2, PROT_EXEC, PROT_EXEC},
    ONE("ioctl", 1, TCGETS), /* is it a terminal? */
    ONE("ioctl", 1, FIONBIO),
    ONE("ioctl", 1, FIONREAD),
    ONE("prctl", 0, PR_SET_NAME),
    ONE("prctl", 0, PR_GET_NAME),
    ONE("prctl", 0, 0x53564d41), /* PR_SET_VMA: the C library names its memory */
    ONE("prlimit64", 2, 0),      /* limits are read, not set */
#ifdef __x86_64__
    ONE("arch_prctl", 0, 0x1022), /* ARCH_GET_XCOMP_PERM */
    ONE("arch_prctl", 0, 0x1023), /* ARCH_REQ_XCOMP_PERM: the CPU's matrix registers */
#endif
};

static int add(scmp_filter_ctx f, uint32_t action, const char *name,
               const struct scmp_arg_cmp *only) {
    int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR) /* newer than the library */
        return 0;
    int rc = only ? seccomp_rule_add_array(f, action, call, 1, only)
                  : seccomp_rule_add(f, action, call, 0);
    return rc == -EDOM || rc == -EOPNOTSUPP ? 0 : rc; /* not of this architecture */
}

static int fill(scmp_filter_ctx f) {
    int rc = 0;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed && !rc; i++)
        rc = add(f, SCMP_ACT_ALLOW, allowed[i], NULL);
    for (size_t i = 0; i < sizeof never / sizeof *never && !rc; i++)
        rc = add(f, SCMP_ACT_KILL_PROCESS, never[i], NULL);
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions && !rc; i++) {
        const condition *c = &conditions[i];
        struct scmp_arg_cmp only = SCMP_CMP64(c->argument, SCMP_CMP_MASKED_EQ, c->mask, c->value);
        rc = add(f, c->action, c->name, &only);
    }
    /* A thread may signal its like, as abort() and pthread_kill() do. */
    struct scmp_arg_cmp ours = SCMP_CMP64(0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0);
    return rc ? rc : add(f, SCMP_ACT_ALLOW, "tgkill", &ours);
}

/* What a kernel does not know of these is no reason to go without the filter. */
static void set_attributes(scmp_filter_ctx f) {
    (void)seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_LOG, 1);      /* refusals go to the audit log */
    (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
    /* Kernels before 5.16 slow down a process with a filter, as if it ran a stranger's code. */
    (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_SSB, 1);
}

bool ag_confine_calls(char *why, size_t room) {
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!f) {
        snprintf(why, room, "out of memory");
        return false;
    }
    set_attributes(f);
    int rc = fill(f);
    if (!rc)
        rc = seccomp_load(f);
    seccomp_release(f);
    if (rc)
        snprintf(why, room, "%s", rc == -EINVAL ? "not in this kernel" : strerror(-rc));
    return rc == 0;
}
