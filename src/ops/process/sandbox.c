#include "process/sandbox.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "process/confine.h"

#ifdef AG_INSTRUMENTED
static const bool instrumented = true;
#else
static const bool instrumented = false;
#endif

ag_code ag_sandbox_enter(const ag_sandbox_path *paths, size_t n, bool required, ag_sandbox *out,
                         ag_err *err) {
    char no_landlock[64] = "", no_seccomp[64] = "";
    *out = (ag_sandbox){0};
    /* Sanitizers look at /proc, trace themselves and run other programs; coverage writes files. */
    if (instrumented) {
        snprintf(out->why, sizeof out->why, "this build is instrumented");
    } else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        snprintf(out->why, sizeof out->why, "the system does not know no_new_privs");
    } else {
        out->landlock = ag_confine_files(paths, n, &out->missing, no_landlock, sizeof no_landlock);
        out->seccomp = ag_confine_calls(no_seccomp, sizeof no_seccomp);
        snprintf(out->why, sizeof out->why, "%s%s%s%s%s",
                 out->landlock ? "" : "no Landlock: ", no_landlock,
                 !out->landlock && !out->seccomp ? "; " : "",
                 out->seccomp ? "" : "no seccomp: ", no_seccomp);
    }
    if (required && out->why[0])
        return ag_fail(err, AG_E_UNSUPPORTED, "the sandbox is required, but %s", out->why);
    return AG_OK;
}
