/* From what a user calls a model to its files. */
#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "autoglm/engine.h"
#include "base/fault.h"
#include "base/file.h"
#include "names/names.h"

static char folder[] = "/tmp/ag_resolve_XXXXXX";
static char registry[64], file[64];

static ag_model_ref *must_resolve(const char *model, const char *where) {
    ag_model_ref *ref = NULL;
    ag_err err = {0};
    if (ag_model_resolve(model, where, &ref, &err))
        fail_msg("%s", err.msg);
    return ref;
}

static void fails(const char *model, const char *where, ag_code code, const char *reason) {
    ag_model_ref *ref = (ag_model_ref *)folder;
    ag_err err = {0};
    assert_int_equal(ag_model_resolve(model, where, &ref, &err), code);
    assert_null(ref);
    assert_int_equal(err.code, code);
    if (!strstr(err.msg, reason))
        fail_msg("\"%s\" is not in: %s", reason, err.msg);
    assert_int_equal(ag_model_resolve(model, where, &ref, NULL), code);
}

static void a_name_means_what_the_registry_says(void **state) {
    (void)state;
    ag_model_ref *ref = must_resolve("glm-4-plus", registry);
    assert_string_equal(ref->path, file);
    assert_string_equal(ref->name, "glm-4-plus");
    assert_string_equal(ref->architecture, "glm4");
    assert_string_equal(ref->digest, "");
    assert_true(ref->added == 1700000000 && !ref->changed);
    ag_model_ref_free(&ref);
    assert_null(ref);
    ag_model_ref_free(&ref);
    ag_model_ref_free(NULL);
}

static void a_path_that_exists_goes_first(void **state) {
    (void)state;
    char here[256];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(mkdir("glm-4-plus", 0755), 0);
    ag_model_ref *ref = must_resolve("glm-4-plus", registry);
    assert_string_equal(ref->path, "glm-4-plus");
    assert_null(ref->name);
    ag_model_ref_free(&ref);
    ref = must_resolve(file, NULL);
    assert_string_equal(ref->path, file);
    ag_model_ref_free(&ref);
    assert_int_equal(rmdir("glm-4-plus"), 0);
    assert_int_equal(chdir(here), 0);
}

static void what_was_tried_is_told(void **state) {
    (void)state;
    char absent[96];
    snprintf(absent, sizeof absent, "%s/absent.db", folder);
    fails("", registry, AG_E_ARG, "neither a path nor a name");
    fails(NULL, registry, AG_E_ARG, "neither a path nor a name");
    fails("/not/there", registry, AG_E_NOT_FOUND, "/not/there: cannot open: No such file");
    fails("glm-4-plus", NULL, AG_E_NOT_FOUND, "glm-4-plus: cannot open: No such file");
    fails("glm-4-plus", absent, AG_E_NOT_FOUND, "there is no registry");
    fails("glm-4-plsu", registry, AG_E_NOT_FOUND, "near: glm-4-plus");
    fails("x", folder, AG_E_IO, "as a name: registry");
    fails("x", file, AG_E_FORMAT, "not a registry");
}

static char warning[256];

static void keep_warning(void *ctx, int level, const char *component, const char *line) {
    (void)ctx;
    if (level == 1 && strcmp(component, "names") == 0)
        snprintf(warning, sizeof warning, "%s", line);
}

/* The file is no model, so opening fails after the look-up; what counts is what was said before. */
static void opening_warns_of_changed_files_and_refuses_missing_ones(void **state) {
    (void)state;
    ag_engine_opts opts = ag_engine_default();
    ag_engine *engine = NULL;
    ag_err err = {0};
    opts.model = "glm-4-plus";
    opts.registry = registry;
    opts.on_log = keep_warning;
    opts.log_level = 1;
    assert_int_equal(ag_engine_open(&opts, &engine, &err), AG_E_FORMAT);
    assert_non_null(strstr(err.msg, file));
    assert_string_equal(warning, "");
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
    assert_int_equal(utimensat(0, file, times, 0), 0);
    ag_model_ref *ref = must_resolve("glm-4-plus", registry);
    assert_true(ref->changed);
    ag_model_ref_free(&ref);
    assert_int_equal(ag_engine_open(&opts, &engine, &err), AG_E_FORMAT);
    assert_non_null(strstr(warning, "glm-4-plus: its files have changed"));
    char away[80];
    snprintf(away, sizeof away, "%s.away", file);
    assert_int_equal(rename(file, away), 0);
    assert_int_equal(ag_engine_open(&opts, &engine, &err), AG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "model \"glm-4-plus\""));
    assert_non_null(strstr(err.msg, registry));
    assert_int_equal(rename(away, file), 0);
}

static void without_memory_nothing_is_kept(void **state) {
    (void)state;
    for (long n = 1;; n++) {
        ag_model_ref *ref = NULL;
        ag_err err = {0};
        ag_fault_arm(AG_FAULT_ALLOC, n, false);
        ag_code code = ag_model_resolve("glm-4-plus", registry, &ref, &err);
        bool fired = ag_fault_fired(AG_FAULT_ALLOC);
        ag_fault_arm(AG_FAULT_ALLOC, 0, false);
        ag_model_ref_free(&ref);
        assert_int_equal(ag_mem_bytes(AG_ROOM_API) + ag_mem_bytes(AG_ROOM_NAMES), 0);
        assert_int_equal(code, fired ? AG_E_NOMEM : AG_OK);
        if (!fired)
            break;
        assert_true(err.msg[0]);
    }
}

static int set_up(void **state) {
    (void)state;
    ag_names *names = NULL;
    ag_name_entry e = {.name = "glm-4-plus", .architecture = "glm4", .added = 1700000000};
    struct stat st;
    if (!mkdtemp(folder))
        return -1;
    snprintf(registry, sizeof registry, "%s/models.db", folder);
    snprintf(file, sizeof file, "%s/a file", folder);
    if (ag_file_write(file, ag_str("no model, and no registry"), NULL) || stat(file, &st))
        return -1;
    snprintf(e.path, sizeof e.path, "%s", file);
    e.bytes = (uint64_t)st.st_size;
    e.modified = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if (ag_names_open(registry, AG_NAMES_WRITE, &names, NULL) ||
        ag_names_add(names, &e, false, NULL))
        return -1;
    ag_names_close(&names);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(file);
    unlink(registry);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_means_what_the_registry_says),
        cmocka_unit_test(a_path_that_exists_goes_first),
        cmocka_unit_test(what_was_tried_is_told),
        cmocka_unit_test(without_memory_nothing_is_kept),
        cmocka_unit_test(opening_warns_of_changed_files_and_refuses_missing_ones),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
