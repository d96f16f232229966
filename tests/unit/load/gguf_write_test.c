/* Writing sources as GGUF files: what is read back, going on after an interruption, failures. */
#include "unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "load/gguf.h"
#include "load/gguf_write.h"
#include "load/source_parts.h"

#define COLS      64u
#define ROWS      40000u /* several bands */
#define N_TENSORS 6u

static char folder[] = "/tmp/ag_gguf_write_XXXXXX";
static ag_pool *pool;
static float *values; /* [ROWS, COLS] */

static const char *in_folder(const char *name) {
    static char path[4][128];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static bool exists(const char *path) { return access(path, F_OK) == 0; }

/* ---- sources that lie in no file ---------------------------------------------------------------
 */

static void add_key(ag_source *s, const char *name, ag_value v) {
    assert_int_equal(ag_source_add_key(s, ag_str(name), v, NULL), AG_OK);
}

static void add_tensor(ag_source *s, const char *name, uint64_t rows) {
    ag_tensor t = {.name = ag_str(name),
                   .type = AG_T_F32,
                   .keep = AG_T_F32,
                   .n_dims = rows > 1 ? 2 : 1,
                   .dim = {COLS, rows, 1, 1},
                   .data = (const uint8_t *)values,
                   .bytes = rows * COLS * sizeof(float)};
    assert_int_equal(ag_source_add_tensor(s, &t, NULL), AG_OK);
}

static ag_source *make_source(void) {
    static const uint8_t ints[] = {1, 0, 0, 0, 255, 255, 255, 255};
    ag_source *s = NULL;
    assert_int_equal(ag_source_new(NULL, "test", &s, NULL), AG_OK);
    ag_span bytes = ag_span_of(values, (size_t)ROWS * COLS * sizeof *values);
    assert_int_equal(ag_source_add_file(s, NULL, bytes, NULL), AG_OK);
    add_key(s, "general.architecture", (ag_value){.kind = AG_VALUE_STRING, .s = ag_str("llama")});
    add_key(s, "general.alignment", (ag_value){.kind = AG_VALUE_U32, .u = 64});
    add_key(s, "general.file_type", (ag_value){.kind = AG_VALUE_U32, .u = 0});
    add_key(s, "split.count", (ag_value){.kind = AG_VALUE_U16, .u = 3});
    add_key(s, "small", (ag_value){.kind = AG_VALUE_I8, .i = -5});
    add_key(s, "large", (ag_value){.kind = AG_VALUE_U64, .u = UINT64_MAX});
    add_key(s, "float", (ag_value){.kind = AG_VALUE_F32, .f = 0.25});
    add_key(s, "double", (ag_value){.kind = AG_VALUE_F64, .f = 1e-300});
    add_key(s, "yes", (ag_value){.kind = AG_VALUE_BOOL, .u = 1});
    add_key(s, "list",
            (ag_value){.kind = AG_VALUE_ARRAY,
                       .a = {.kind = AG_VALUE_I32, .n = 2, .bytes = ag_span_of(ints, 8)}});
    add_tensor(s, "blk.1.ffn_up.weight", ROWS);
    add_tensor(s, "blk.0.ffn_up.weight", 33);
    add_tensor(s, "blk.10.ffn_up.weight", 7);
    add_tensor(s, "blk.0.ffn_norm.weight", 1);
    add_tensor(s, "token_embd.weight", 100);
    add_tensor(s, "blk.2.ffn_up.weight", ROWS);
    return s;
}

static const ag_type mixed[N_TENSORS] = {AG_T_Q8_0, AG_T_Q4_0, AG_T_F16,
                                         AG_T_F32,  AG_T_F32,  AG_T_Q5_1};

static ag_code write_to(const ag_source *s, const char *path, ag_gguf_write_opts o,
                        ag_gguf_written *done, ag_err *err) {
    return ag_gguf_write(s, path, &o, pool, done, err);
}

static void must_write(const ag_source *s, const char *path, const ag_type *types) {
    ag_err err = {0};
    if (write_to(s, path, (ag_gguf_write_opts){.types = types}, NULL, &err))
        fail_msg("%s", err.msg);
}

static uint8_t *read_whole(const char *path, size_t *n) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    uint8_t *p = malloc((size_t)st.st_size);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, p, (size_t)st.st_size), st.st_size);
    close(fd);
    *n = (size_t)st.st_size;
    return p;
}

static void must_equal(const char *a, const char *b) {
    size_t na, nb;
    uint8_t *pa = read_whole(a, &na), *pb = read_whole(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(pa, pb, na);
    free(pa);
    free(pb);
}

/* ---- what is written ---------------------------------------------------------------------------
 */

static void keys_come_back_as_they_were(void **state) {
    (void)state;
    ag_source *s = make_source(), *g = NULL;
    ag_source_key set[] = {{ag_str("general.file_type"), {.kind = AG_VALUE_U32, .u = 7}},
                           {ag_str("new"), {.kind = AG_VALUE_STRING, .s = ag_str("text")}}};
    const char *path = in_folder("keys.gguf");
    assert_int_equal(write_to(s, path, (ag_gguf_write_opts){.set = set, .n_set = 2}, NULL, NULL),
                     AG_OK);
    assert_int_equal(ag_gguf_open(path, &g, NULL), AG_OK);
    assert_int_equal(ag_source_n_keys(g), 9);
    assert_null(ag_source_find(g, "general.alignment"));
    assert_null(ag_source_find(g, "split.count"));
    assert_int_equal(ag_source_find(g, "general.file_type")->u, 7);
    assert_true(ag_span_is(ag_source_find(g, "new")->s, "text"));
    assert_int_equal(ag_source_find(g, "small")->i, -5);
    assert_true(ag_source_find(g, "large")->u == UINT64_MAX);
    assert_true(ag_source_find(g, "float")->f == 0.25);
    assert_true(ag_source_find(g, "double")->f == 1e-300);
    assert_int_equal(ag_value_int(ag_source_find(g, "list"), 1), -1);
    ag_source_close(&g);
    ag_source_close(&s);
}

static void tensors_are_encoded_and_in_the_order_of_layers(void **state) {
    (void)state;
    static const char *const order[N_TENSORS] = {"token_embd.weight",     "blk.0.ffn_up.weight",
                                                 "blk.0.ffn_norm.weight", "blk.1.ffn_up.weight",
                                                 "blk.2.ffn_up.weight",   "blk.10.ffn_up.weight"};
    ag_source *s = make_source(), *g = NULL;
    const char *path = in_folder("tensors.gguf");
    must_write(s, path, mixed);
    assert_int_equal(ag_gguf_open(path, &g, NULL), AG_OK);
    uint8_t *want = malloc((size_t)ROWS * COLS * sizeof(float));
    for (size_t i = 0; i < N_TENSORS; i++) {
        const ag_tensor *from = ag_source_tensor_at(s, i);
        const ag_tensor *t = ag_source_tensor_at(g, i);
        assert_true(ag_span_is(t->name, order[i]));
        t = ag_source_find_tensor(g, from->name.p);
        assert_int_equal(t->type, mixed[i]);
        assert_int_equal(t->n_dims, from->n_dims);
        ag_type_encode(mixed[i], values, want, (size_t)from->dim[1] * COLS);
        assert_memory_equal(t->data, want, t->bytes);
    }
    free(want);
    ag_source_close(&g);
    ag_source_close(&s);
    assert_false(exists(in_folder("tensors.gguf.partial")));
    assert_false(exists(in_folder("tensors.gguf.partial.journal")));
}

static void types_that_cannot_be_written_are_refused(void **state) {
    (void)state;
    ag_source *s = make_source();
    ag_type types[N_TENSORS] = {0};
    ag_err err = {0};
    const char *path = in_folder("refused.gguf");
    types[2] = AG_T_Q6_K; /* blocks of 256 in rows of 64 */
    assert_int_equal(write_to(s, path, (ag_gguf_write_opts){.types = types}, NULL, &err),
                     AG_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "blk.10.ffn_up.weight"));
    assert_false(exists(path));
    ag_source_close(&s);
}

static void the_model_itself_is_not_overwritten(void **state) {
    (void)state;
    ag_source *s = make_source(), *g = NULL;
    const char *path = in_folder("self.gguf");
    must_write(s, path, NULL);
    assert_int_equal(ag_gguf_open(path, &g, NULL), AG_OK);
    assert_int_equal(write_to(g, path, (ag_gguf_write_opts){.types = mixed}, NULL, NULL), AG_E_ARG);
    ag_source_close(&g);
    ag_source_close(&s);
}

/* ---- interruptions -----------------------------------------------------------------------------
 */

typedef struct stopper {
    int calls;
} stopper;

static bool stop_after(void *ctx, uint64_t done, uint64_t total) {
    (void)done;
    (void)total;
    return --((stopper *)ctx)->calls > 0;
}

/* Every place where a run may be stopped: what is left is gone on with, and the result is the same.
 */
static void an_interrupted_run_is_gone_on_with(void **state) {
    (void)state;
    ag_source *s = make_source();
    const char *whole = in_folder("whole.gguf"), *path = in_folder("again.gguf");
    bool resumed = false;
    must_write(s, whole, mixed);
    for (int at = 1;; at++) {
        stopper stop = {at};
        ag_gguf_written done = {0};
        ag_gguf_write_opts o = {.types = mixed, .on_progress = stop_after, .progress_ctx = &stop};
        if (write_to(s, path, o, NULL, NULL) == AG_OK)
            break;
        assert_false(exists(path));
        assert_int_equal(write_to(s, path, (ag_gguf_write_opts){.types = mixed}, &done, NULL),
                         AG_OK);
        resumed |= done.n_resumed > 0;
        must_equal(path, whole);
        unlink(path);
    }
    assert_true(resumed);
    must_equal(path, whole);
    ag_source_close(&s);
}

/* Stop late, spoil what `spoil` says, go on; the result is right. */
static void check_spoiled(const char *file, off_t at, off_t length, bool other_types) {
    ag_source *s = make_source();
    ag_type types[N_TENSORS];
    stopper stop = {6};
    char spoiled[160];
    memcpy(types, mixed, sizeof types);
    const char *whole = in_folder("whole.gguf"), *path = in_folder("spoiled.gguf");
    ag_gguf_write_opts o = {.types = mixed, .on_progress = stop_after, .progress_ctx = &stop};
    assert_int_equal(write_to(s, path, o, NULL, NULL), AG_E_CANCELLED);
    snprintf(spoiled, sizeof spoiled, "%s/%s", folder, file);
    int fd = open(spoiled, O_RDWR);
    assert_true(fd >= 0);
    if (length >= 0)
        assert_int_equal(ftruncate(fd, length), 0);
    else if (at >= 0)
        assert_int_equal(pwrite(fd, "spoiled!", 8, at), 8);
    close(fd);
    if (other_types)
        types[5] = AG_T_Q8_0;
    must_write(s, whole, types);
    must_write(s, path, types);
    must_equal(path, whole);
    unlink(path);
    unlink(whole);
    ag_source_close(&s);
}

static void what_was_spoiled_meanwhile_is_written_again(void **state) {
    (void)state;
    check_spoiled("spoiled.gguf.partial", 1000, -1, false);
    check_spoiled("spoiled.gguf.partial", 40000, -1, false);
    check_spoiled("spoiled.gguf.partial", -1, 5000, false);
    check_spoiled("spoiled.gguf.partial", -1, 0, false);
    check_spoiled("spoiled.gguf.partial.journal", 3, -1, false);
    check_spoiled("spoiled.gguf.partial.journal", 40, -1, false);
    check_spoiled("spoiled.gguf.partial.journal", -1, 21, false);
    check_spoiled("spoiled.gguf.partial.journal", -1, 0, false);
    check_spoiled("spoiled.gguf.partial.journal", -1, -1, true);
}

static void two_writers_do_not_meet(void **state) {
    (void)state;
    ag_source *s = make_source();
    const char *path = in_folder("taken.gguf"), *partial = in_folder("taken.gguf.partial");
    int fd = open(partial, O_RDWR | O_CREAT, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(write_to(s, path, (ag_gguf_write_opts){.types = mixed}, NULL, NULL),
                     AG_E_AGAIN);
    assert_true(exists(partial));
    close(fd);
    must_write(s, path, mixed);
    ag_source_close(&s);
}

/* Each allocation, read and write failing in turn: a reason, no half-written file, no leak. */
static void every_failure_leaves_nothing_half_written(void **state) {
    (void)state;
    static const ag_fault kinds[] = {AG_FAULT_ALLOC, AG_FAULT_READ, AG_FAULT_WRITE};
    ag_source *s = make_source();
    const char *whole = in_folder("whole.gguf"), *path = in_folder("fault.gguf");
    must_write(s, whole, mixed);
    for (int k = 0; k < 3; k++)
        for (long n = 1; n < 200; n++) {
            size_t held = ag_mem_bytes(AG_ROOM_LOAD);
            ag_err err = {0};
            stopper stop = {5};
            if (kinds[k] == AG_FAULT_READ) /* something to go on with, so that it is read */
                (void)!write_to(s, path,
                                (ag_gguf_write_opts){.types = mixed,
                                                     .on_progress = stop_after,
                                                     .progress_ctx = &stop},
                                NULL, NULL);
            ag_fault_arm(kinds[k], n, false);
            ag_code code = write_to(s, path, (ag_gguf_write_opts){.types = mixed}, NULL, &err);
            bool fired = ag_fault_fired(kinds[k]);
            ag_fault_arm(kinds[k], 0, false);
            assert_int_equal(ag_mem_bytes(AG_ROOM_LOAD), held);
            if (code) {
                assert_true(err.msg[0] && !exists(path));
                assert_true(kinds[k] != AG_FAULT_WRITE || strstr(err.msg, "disk is full"));
                must_write(s, path, mixed);
            }
            must_equal(path, whole);
            unlink(path);
            if (!fired)
                break;
        }
    ag_source_close(&s);
}

/* ---- set-up ------------------------------------------------------------------------------------
 */

static int set_up(void **state) {
    (void)state;
    uint32_t seed = 1;
    values = malloc((size_t)ROWS * COLS * sizeof *values);
    for (size_t i = 0; i < (size_t)ROWS * COLS; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(int32_t)seed / 2147483648.0f;
    }
    return mkdtemp(folder) && ag_pool_new(3, &pool, NULL) == AG_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char command[64];
    ag_pool_free(&pool);
    free(values);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_back_as_they_were),
        cmocka_unit_test(tensors_are_encoded_and_in_the_order_of_layers),
        cmocka_unit_test(types_that_cannot_be_written_are_refused),
        cmocka_unit_test(the_model_itself_is_not_overwritten),
        cmocka_unit_test(an_interrupted_run_is_gone_on_with),
        cmocka_unit_test(what_was_spoiled_meanwhile_is_written_again),
        cmocka_unit_test(two_writers_do_not_meet),
        cmocka_unit_test(every_failure_leaves_nothing_half_written),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
