/* Registries of names: any bytes as a database file give entries that are valid, or a reason;
 * nothing in them can crash, hang or be written through. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "names/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static bool check_entry(void *ctx, const ag_name_entry *e) {
    (void)ctx;
    AG_ASSERT(ag_name_is_valid(e->name) && e->path[0] == '/');
    AG_ASSERT(!e->digest[0] || ag_sha256_is_text(ag_str(e->digest)));
    return true;
}

static void use(const char *path, ag_names_mode mode) {
    ag_names *names = NULL;
    ag_name_entry e;
    ag_err err = {0};
    ag_code code = ag_names_open(path, mode, &names, &err);
    AG_ASSERT(!code == (names != NULL) && (!code || err.msg[0]));
    if (code)
        return;
    code = ag_names_find(names, "glm-4-plus", &e, &err);
    AG_ASSERT(!code || err.msg[0]);
    if (!code)
        check_entry(NULL, &e);
    code = ag_names_list(names, check_entry, NULL, &err);
    AG_ASSERT(!code || err.msg[0]);
    ag_name_entry mine = {.name = "mine", .path = "/mine"};
    code = ag_names_add(names, &mine, true, &err);
    AG_ASSERT(!code || err.msg[0]);
    if (!code && ag_names_find(names, "mine", &e, &err) == AG_OK)
        check_entry(NULL, &e);
    code = ag_names_remove(names, "glm-4-plus", &err);
    AG_ASSERT(!code || err.msg[0]);
    ag_names_close(&names);
}

static void put(const char *path, const uint8_t *p, size_t n) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    AG_ASSERT(fd >= 0 && write(fd, p, n) == (ssize_t)n);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static const char *const tails[] = {"-wal", "-shm", "-journal", ""};
    char path[64], name[80];
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, sizeof path, "%s/ag_names_fuzz.%ld", root, (long)getpid());
    for (int mode = AG_NAMES_READ; mode <= AG_NAMES_WRITE; mode++) {
        put(path, p, n);
        use(path, (ag_names_mode)mode);
        for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
            snprintf(name, sizeof name, "%s%s", path, tails[i]);
            unlink(name);
        }
    }
    return 0;
}
