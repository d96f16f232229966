/* Reads the files of tests/golden/quant. */
#ifndef AG_TESTS_QUANT_GOLDEN_H
#define AG_TESTS_QUANT_GOLDEN_H

#include <ctype.h>
#include <stdio.h>

#include "base/file.h"
#include "unit/test.h"

/* tests/golden/quant/TYPE.SUFFIX, the type in small letters. The caller frees it. */
static inline ag_buf quant_golden(const char *type, const char *suffix) {
    char path[128];
    int n = snprintf(path, sizeof path, "tests/golden/quant/%s.%s", type, suffix);
    assert_in_range(n, 1, sizeof path - 1);
    for (char *p = path; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    ag_buf b;
    ag_err err;
    ag_buf_init(&b, AG_ROOM_TEST, 1 << 20);
    if (ag_file_read(path, &b, &err) != AG_OK)
        fail_msg("%s", err.msg);
    return b;
}

#endif
