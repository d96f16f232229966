#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ag_code_name(ag_code code) {
    switch (code) {
#define AG_ERR_NAME(code_, name, status, type, retry)                                              \
    case code_:                                                                                    \
        return name;
        AG_ERR_MAP(AG_ERR_NAME)
#undef AG_ERR_NAME
    }
    return "unknown";
}

/* vsnprintf may cut a UTF-8 character in half; drop the torn bytes. */
static void trim_torn_utf8(char *s) {
    size_t n = strlen(s), lead = n;
    while (lead > 0 && n - lead < 4) {
        unsigned char c = (unsigned char)s[--lead];
        if (c < 0x80)
            return;
        if (c >= 0xC0) {
            size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
            if (n - lead < need)
                s[lead] = '\0';
            return;
        }
    }
}

ag_code ag_fail(ag_err *err, ag_code code, const char *fmt, ...) {
    if (!err)
        return code;
    err->code = code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    trim_torn_utf8(err->msg);
    return code;
}

ag_code ag_err_wrap(ag_err *err, ag_code code, const char *fmt, ...) {
    if (!err)
        return code;
    char old[sizeof err->msg];
    memcpy(old, err->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->msg)
        snprintf(err->msg + n, sizeof err->msg - (size_t)n, ": %s", old);
    trim_torn_utf8(err->msg);
    err->code = code;
    return code;
}

void ag_assert_failed(const char *expr, const char *file, int line) {
    fprintf(stderr, "autoglm: broken invariant: %s (%s:%d)\n", expr, file, line);
    abort();
}
