/* A Hugging Face folder for a test: files in a temporary directory, and safetensors put together
 * tensor by tensor. */
#ifndef AG_TESTS_LOAD_FOLDER_H
#define AG_TESTS_LOAD_FOLDER_H

#include "unit/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "load/hf.h"

typedef struct folder {
    char path[64];
    ag_buf head, data; /* of the safetensors file being written */
} folder;

static inline void folder_begin(folder *f) {
    ag_buf_deinit(&f->head);
    ag_buf_deinit(&f->data);
    ag_buf_init(&f->head, AG_ROOM_TEST, 1 << 20);
    ag_buf_init(&f->data, AG_ROOM_TEST, 1 << 24);
}

static inline void folder_new(folder *f) {
    memset(f, 0, sizeof *f);
    strcpy(f->path, "/tmp/ag-folder-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    folder_begin(f);
}

static inline void folder_put(folder *f, const char *file, ag_span bytes) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", f->path, file);
    ag_err err;
    if (ag_file_write(path, bytes, &err))
        fail_msg("%s", err.msg);
}

/* Add a tensor; shape as it stands in JSON: "4,8". */
static inline void folder_tensor(folder *f, const char *name, const char *dtype, const char *shape,
                                 const void *p, size_t n) {
    ag_buf_addf(&f->head, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                f->head.n ? "," : "", name, dtype, shape, f->data.n, f->data.n + n);
    assert_true(ag_buf_add(&f->data, p, n));
}

/* The bytes of the file with the tensors added so far; the caller gives `out` back. */
static inline void folder_encode(const folder *f, ag_buf *out) {
    ag_buf_init(out, AG_ROOM_TEST, 1 << 25);
    uint64_t n = f->head.n + 2;
    ag_buf_add(out, &n, 8);
    ag_buf_addc(out, '{');
    ag_buf_add(out, f->head.p ? f->head.p : "", f->head.n);
    ag_buf_addc(out, '}');
    assert_true(ag_buf_add(out, f->data.p ? f->data.p : "", f->data.n));
}

static inline void folder_write(folder *f, const char *file) {
    ag_buf all;
    folder_encode(f, &all);
    folder_put(f, file, ag_buf_span(&all));
    ag_buf_deinit(&all);
    folder_begin(f);
}

static inline void folder_free(folder *f) {
    DIR *dir = opendir(f->path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", f->path, e->d_name);
        unlink(path);
    }
    closedir(dir);
    rmdir(f->path);
    ag_buf_deinit(&f->head);
    ag_buf_deinit(&f->data);
}

static inline ag_source *folder_open(const folder *f) {
    ag_source *s = NULL;
    ag_err err = {0};
    if (ag_hf_open(f->path, &s, &err))
        fail_msg("%s", err.msg);
    return s;
}

/* Opening fails so, with `text` in the message. */
static inline void folder_refused(const folder *f, ag_code code, const char *text) {
    ag_source *s = NULL;
    ag_err err = {0};
    ag_code found = ag_hf_open(f->path, &s, &err);
    assert_null(s);
    if (found != code || !strstr(err.msg, text))
        fail_msg("%s: \"%s\", expected %s with \"%s\"", ag_code_name(found), err.msg,
                 ag_code_name(code), text);
}

#endif
