/* A configuration from bytes: it loads and prints to a file that loads to the same, or every
 * mistake has a line. */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static ag_config *load(const void *p, size_t n, ag_buf *mistakes, ag_err *err) {
    char path[40];
    int fd = memfd_create("config", 0);
    ag_config *c = NULL;
    AG_ASSERT(fd >= 0 && write(fd, p, n) == (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ag_code code = ag_config_load(&(ag_config_sources){.file = path}, &c, mistakes, err);
    AG_ASSERT((code == AG_OK) == (c != NULL) && code == err->code);
    close(fd);
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    ag_buf text, again;
    ag_err err = {0};
    ag_buf_init(&text, AG_ROOM_TEST, 64 << 20);
    ag_buf_init(&again, AG_ROOM_TEST, 64 << 20);
    ag_config *c = load(p, n, &text, &err);
    if (!c) {
        AG_ASSERT(text.n && text.p[text.n - 1] == '\n' && err.msg[0]);
    } else {
        ag_config_print(c, &text);
        ag_config *same = load(text.p, text.n, NULL, &err);
        AG_ASSERT(same);
        ag_config_print(same, &again);
        AG_ASSERT(ag_span_eq(ag_buf_span(&text), ag_buf_span(&again)));
        ag_config_free(&same);
    }
    ag_config_free(&c);
    ag_buf_deinit(&text);
    ag_buf_deinit(&again);
    return 0;
}
