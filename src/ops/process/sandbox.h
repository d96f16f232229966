/* The sandbox of the serving process: after it was entered, whoever takes over this process by a
 * mistake in a parser finds little to do with it.
 *
 * - Landlock: files can be opened only below the paths given, and none for execution; TCP ports can
 *   be neither bound nor connected to. Descriptors that are open already stay usable.
 * - seccomp: only system calls that serving needs; no new process and no other program, no tracing,
 *   no new sockets, no memory that is executable. Whoever tries one that never has a good reason
 *   (execve, ptrace, mount, ...) ends at once, by SIGSYS; the supervisor starts a new server.
 *
 * Both last until the process ends. The supervisor stays outside. */
#ifndef AG_PROCESS_SANDBOX_H
#define AG_PROCESS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

typedef enum ag_sandbox_may {
    AG_SANDBOX_READ,   /* a file, or all below a folder */
    AG_SANDBOX_WRITE,  /* write a file, or files below a folder and new ones there; not read them */
    AG_SANDBOX_REMOVE, /* files below a folder */
    AG_SANDBOX_KEEP,   /* all that one does with files below a folder, but run them */
} ag_sandbox_may;

typedef struct ag_sandbox_path {
    const char *path;
    ag_sandbox_may may;
    bool optional; /* nobody misses it when it is not there */
} ag_sandbox_path;

typedef struct ag_sandbox {
    int landlock; /* version of the kernel's Landlock; 0: files and ports are not confined */
    bool seccomp;
    char why[160];       /* what is missing and why; "": nothing */
    const char *missing; /* one of the paths, which is not there: it cannot be read later either */
} ag_sandbox;

/* Enter it, as far as this system can. Call it before any thread is started: Landlock confines the
 * calling thread and those it starts. What a system lacks is said in *out. AG_E_UNSUPPORTED: it
 * lacks something, and `required`; part of it may be in force then. */
ag_code ag_sandbox_enter(const ag_sandbox_path *paths, size_t n, bool required, ag_sandbox *out,
                         ag_err *err) AG_MUST_USE;

#endif
