/* Images: what is found has the bytes that were kept, or is not used; folders stay within bounds;
 * nobody's failure leaves half a file. */
#include "unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "load/image.h"

#define BYTES (9u * 1024 * 1024 + 77) /* several pieces, the last one odd */
#define HEAD  4096u

static char root[] = "/tmp/ag_image_XXXXXX";
static char folder[64];
static ag_pool *pool;
static uint8_t *contents;
static int n_warnings;
static char last[400];

static void on_log(void *ctx, ag_log_level level, const char *component, const char *line) {
    (void)ctx;
    assert_string_equal(component, "image");
    n_warnings += level <= AG_LOG_WARN;
    snprintf(last, sizeof last, "%s", line);
}

static const ag_logger logger = {.write = on_log, .level = AG_LOG_DEBUG};

/* A key of its own for each name. */
static const char *key_of(const char *name) {
    static char key[2][AG_SHA256_TEXT];
    static int turn;
    ag_sha256 s;
    turn = !turn;
    ag_sha256_init(&s);
    ag_sha256_add(&s, ag_str(name));
    ag_sha256_end(&s, key[turn]);
    return key[turn];
}

static const char *path_of(const char *name) {
    static char path[200];
    snprintf(path, sizeof path, "%s/%s.image", folder, key_of(name));
    return path;
}

static bool exists(const char *name) { return access(path_of(name), F_OK) == 0; }

static int n_files(void) {
    char command[100];
    snprintf(command, sizeof command, "test $(ls %s | wc -l) = 0", folder);
    int status = system(command);
    return WEXITSTATUS(status);
}

static void keep(const char *name, uint64_t max_bytes) {
    ag_image_store store = {.folder = folder, .max_bytes = max_bytes};
    ag_image_writer *w = NULL;
    assert_int_equal(
        ag_image_write(&store, key_of(name), ag_span_of(contents, BYTES), &logger, &w, NULL),
        AG_OK);
    ag_image_writer_wait(w);
    ag_image_writer_free(&w);
    assert_null(w);
}

/* Opens it, says how that went, and closes it. */
static ag_code found(const char *name) {
    ag_image image;
    ag_err err = {0};
    size_t before = ag_mem_bytes(AG_ROOM_WEIGHTS);
    ag_code code = ag_image_open(folder, key_of(name), BYTES, pool, &image, &err);
    snprintf(last, sizeof last, "%s", err.msg);
    if (!code) {
        assert_memory_equal(image.contents, contents, BYTES);
        assert_int_equal(ag_mem_bytes(AG_ROOM_WEIGHTS), before + BYTES);
        ag_image_close(&image);
    }
    assert_null(image.contents);
    assert_int_equal(ag_mem_bytes(AG_ROOM_WEIGHTS), before);
    return code;
}

static void spoil(const char *name, off_t at) {
    uint8_t byte;
    int fd = open(path_of(name), O_RDWR);
    assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static int empty_folder(void **state) {
    (void)state;
    char command[100];
    n_warnings = 0;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void what_was_kept_is_found(void **state) {
    (void)state;
    struct stat st;
    assert_int_equal(found("a"), AG_E_NOT_FOUND);
    keep("a", BYTES * 3);
    assert_int_equal(found("a"), AG_OK);
    assert_int_equal(found("b"), AG_E_NOT_FOUND);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(n_files(), 1); /* status of "test": there are some */
    assert_int_equal(n_warnings, 0);
}

/* Every part of the head, the first and the last byte of the contents, one in the middle. */
static void a_changed_byte_is_noticed(void **state) {
    (void)state;
    static const off_t places[] = {
        0, 7, 8, 71, 72, 80, 88, 100, 4095, HEAD, HEAD + 5000001, HEAD + BYTES - 1};
    keep("a", BYTES * 3);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        spoil("a", places[i]);
        assert_int_equal(found("a"), AG_E_FORMAT);
        assert_non_null(strstr(last, folder));
        spoil("a", places[i]);
        assert_int_equal(found("a"), AG_OK);
    }
}

static void a_file_of_another_length_is_refused(void **state) {
    (void)state;
    static const off_t lengths[] = {0, 1, HEAD - 1, HEAD, HEAD + BYTES - 1, HEAD + BYTES + 1};
    keep("a", BYTES * 3);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        assert_int_equal(truncate(path_of("a"), lengths[i]), 0);
        assert_int_equal(found("a"), AG_E_FORMAT);
    }
    keep("a", BYTES * 3); /* written again over the damaged one */
    assert_int_equal(found("a"), AG_OK);
}

static void another_image_under_its_name_is_refused(void **state) {
    (void)state;
    char other[200];
    keep("a", BYTES * 3);
    snprintf(other, sizeof other, "%s", path_of("b"));
    assert_int_equal(rename(path_of("a"), other), 0);
    assert_int_equal(found("b"), AG_E_FORMAT);
}

static void what_others_can_write_is_refused(void **state) {
    (void)state;
    keep("a", BYTES * 3);
    assert_int_equal(chmod(path_of("a"), 0664), 0);
    assert_int_equal(found("a"), AG_E_IO);
    assert_int_equal(chmod(path_of("a"), 0600), 0);
    assert_int_equal(found("a"), AG_OK);
    if (geteuid() == 0) {
        assert_int_equal(chown(path_of("a"), 12345, (gid_t)-1), 0);
        assert_int_equal(found("a"), AG_E_IO);
    }
}

static void the_longest_unused_makes_room(void **state) {
    (void)state;
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    const struct timespec older[2] = {{.tv_sec = 500}, {.tv_sec = 500}};
    uint64_t two = 2 * (BYTES + HEAD);
    keep("a", two);
    keep("b", two);
    assert_int_equal(utimensat(AT_FDCWD, path_of("a"), older, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, path_of("b"), old, 0), 0);
    assert_int_equal(found("a"), AG_OK); /* using it makes it the younger one */
    keep("c", two);
    assert_true(exists("a") && !exists("b") && exists("c"));
    keep("d", BYTES); /* can never fit */
    assert_true(exists("a") && exists("c") && !exists("d"));
    assert_int_equal(n_warnings, 1);
    assert_non_null(strstr(last, "may hold"));
}

static void what_a_killed_writer_left_is_removed(void **state) {
    (void)state;
    char left[200], journal[220];
    keep("a", BYTES * 3);
    snprintf(left, sizeof left, "%s.partial", path_of("b"));
    snprintf(journal, sizeof journal, "%s.journal", left);
    close(open(left, O_CREAT | O_RDWR, 0600));
    close(open(journal, O_CREAT | O_RDWR, 0600));
    keep("c", BYTES * 3);
    assert_true(access(left, F_OK) != 0 && access(journal, F_OK) != 0);
}

static void only_one_process_writes_an_image(void **state) {
    (void)state;
    char left[200];
    keep("a", BYTES * 3);
    snprintf(left, sizeof left, "%s.partial", path_of("b"));
    int fd = open(left, O_CREAT | O_RDWR, 0600); /* as another process would */
    assert_int_equal(flock(fd, LOCK_EX), 0);
    keep("b", BYTES * 3);
    assert_true(!exists("b") && access(left, F_OK) == 0);
    assert_non_null(strstr(last, "another process"));
    assert_int_equal(n_warnings, 0);
    close(fd);
    keep("b", BYTES * 3);
    assert_int_equal(found("b"), AG_OK);
}

static void a_full_disk_leaves_nothing(void **state) {
    (void)state;
    struct rlimit old, small = {.rlim_cur = BYTES / 2};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    keep("a", BYTES * 3);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(n_warnings, 1);
    assert_int_equal(n_files(), 0);
    assert_int_equal(found("a"), AG_E_NOT_FOUND);
}

static void a_folder_that_cannot_be_made_is_told(void **state) {
    (void)state;
    char file[100];
    ag_image_store store = {.folder = file, .max_bytes = BYTES * 3};
    ag_image_writer *w = NULL;
    snprintf(file, sizeof file, "%s/file", root);
    close(open(file, O_CREAT | O_RDWR, 0600));
    assert_int_equal(
        ag_image_write(&store, key_of("a"), ag_span_of(contents, BYTES), &logger, &w, NULL), AG_OK);
    ag_image_writer_wait(w);
    ag_image_writer_free(&w);
    assert_int_equal(n_warnings, 1);
    assert_non_null(strstr(last, file));
}

/* The model may be closed at any moment. */
static void a_writer_can_be_stopped(void **state) {
    (void)state;
    ag_image_store store = {.folder = folder, .max_bytes = BYTES * 3};
    for (useconds_t us = 0; us < 12000; us += 3000) {
        ag_image_writer *w = NULL;
        assert_int_equal(
            ag_image_write(&store, key_of("a"), ag_span_of(contents, BYTES), &logger, &w, NULL),
            AG_OK);
        usleep(us);
        ag_image_writer_free(&w);
        ag_code code = found("a"); /* all of it, or none */
        assert_true(code == AG_OK || code == AG_E_NOT_FOUND);
        assert_int_equal(n_files(), code == AG_OK ? 1 : 0);
        unlink(path_of("a"));
    }
    assert_int_equal(n_warnings, 0);
}

static int set_up(void **state) {
    (void)state;
    uint32_t seed = 5;
    contents = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++) {
        seed = seed * 1664525u + 1013904223u;
        contents[i] = (uint8_t)(seed >> 24);
    }
    if (!mkdtemp(root) || ag_pool_new(3, &pool, NULL) != AG_OK)
        return -1;
    snprintf(folder, sizeof folder, "%s/cache/images", root);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[64];
    ag_pool_free(&pool);
    free(contents);
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_was_kept_is_found, empty_folder),
        cmocka_unit_test_setup(a_changed_byte_is_noticed, empty_folder),
        cmocka_unit_test_setup(a_file_of_another_length_is_refused, empty_folder),
        cmocka_unit_test_setup(another_image_under_its_name_is_refused, empty_folder),
        cmocka_unit_test_setup(what_others_can_write_is_refused, empty_folder),
        cmocka_unit_test_setup(the_longest_unused_makes_room, empty_folder),
        cmocka_unit_test_setup(what_a_killed_writer_left_is_removed, empty_folder),
        cmocka_unit_test_setup(only_one_process_writes_an_image, empty_folder),
        cmocka_unit_test_setup(a_full_disk_leaves_nothing, empty_folder),
        cmocka_unit_test_setup(a_folder_that_cannot_be_made_is_told, empty_folder),
        cmocka_unit_test_setup(a_writer_can_be_stopped, empty_folder),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
