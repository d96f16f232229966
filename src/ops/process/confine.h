/* The two walls of the sandbox. Private to the room. */
#ifndef AG_PROCESS_CONFINE_H
#define AG_PROCESS_CONFINE_H

#include "process/sandbox.h"

/* landlock.c: returns the version in force, or 0 and why. */
int ag_confine_files(const ag_sandbox_path *paths, size_t n, const char **missing, char *why,
                     size_t room);
/* seccomp.c: false, and why. */
bool ag_confine_calls(char *why, size_t room);

#endif
