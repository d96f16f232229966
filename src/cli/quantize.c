/* autoglm quantize: a model as a GGUF file in another type. */
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/system.h"
#include "cli/args.h"
#include "cli/input.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "load/gguf_write.h"
#include "model/mix.h"

/* GGUF's general.quantization_version: of the block formats. */
#define QUANTIZATION_VERSION 2

typedef struct work {
    const ag_cli_args *a;
    const ag_mix *mix; /* NULL: copy */
    ag_source *src;
    ag_pool *pool;
    ag_type *types; /* owned */
    ag_imatrix *im; /* owned; NULL: none */
    ag_gguf_written done;
    uint64_t took_us;
} work;

static int read_mix(work *w) {
    const char *name = w->a->mix;
    char list[256];
    if (!name)
        return ag_cli_usage("quantize: into what? --type TYPE is missing");
    if (!w->a->out)
        return ag_cli_usage("quantize: where to? --out FILE is missing");
    if (strcasecmp(name, "copy") == 0)
        return AG_CLI_DONE;
    w->mix = ag_mix_find(name);
    ag_mix_list(list, sizeof list);
    return w->mix ? AG_CLI_DONE
                  : ag_cli_usage("--type: expected copy or one of %s, found \"%s\"", list, name);
}

/* Bytes of the tensors that are quantised in the source already and would be re-encoded. */
static bool loses_twice(const work *w) {
    uint64_t again = 0, all = 0;
    for (size_t i = 0; w->types && i < ag_source_n_tensors(w->src); i++) {
        const ag_tensor *t = ag_source_tensor_at(w->src, i);
        all += t->bytes;
        if (ag_type_find((uint32_t)t->keep)->block > 1 && w->types[i] != t->keep &&
            ag_type_find((uint32_t)w->types[i])->block > 1)
            again += t->bytes;
    }
    return again > all / 2;
}

static ag_code choose_types(work *w, ag_err *err) {
    size_t n = ag_source_n_tensors(w->src);
    w->types = ag_calloc(AG_ROOM_CLI, n, sizeof *w->types);
    if (!w->types)
        return ag_fail(err, AG_E_NOMEM, "out of memory for %zu tensors", n);
    return ag_mix_choose(w->mix, w->src, w->a->pure, w->im != NULL, w->types, err);
}

static ag_source_key number_key(const char *name, uint32_t v) {
    return (ag_source_key){ag_str(name), {.kind = AG_VALUE_U32, .u = v}};
}

static ag_code write_out(work *w, ag_err *err) {
    const ag_source_key set[] = {number_key("general.quantization_version", QUANTIZATION_VERSION),
                                 number_key("general.file_type", w->mix ? w->mix->file_type : 0)};
    ag_cli_progress bar;
    bool is_shown = !w->a->quiet && ag_cli_may_colour(STDERR_FILENO);
    ag_gguf_write_opts opts = {.types = w->types,
                               .imatrix = w->im,
                               .set = set,
                               .n_set = w->mix ? 2 : 1,
                               .restart = w->a->no_resume,
                               .on_progress = is_shown ? ag_cli_progress_tell : NULL,
                               .progress_ctx = &bar};
    ag_cli_progress_begin(&bar, "writing", false);
    ag_code code = ag_gguf_write(w->src, w->a->out, &opts, w->pool, &w->done, err);
    ag_cli_progress_end(&bar);
    w->took_us = ag_clock_us() - bar.began_at;
    return code;
}

static void report(const work *w) {
    char from[AG_CLI_SIZE_TEXT], to[AG_CLI_SIZE_TEXT];
    uint64_t params = 0, before = ag_source_file_bytes(w->src);
    for (size_t i = 0; i < ag_source_n_tensors(w->src); i++) {
        const uint64_t *d = ag_source_tensor_at(w->src, i)->dim;
        params += d[0] * d[1] * d[2] * d[3];
    }
    double bits = params ? (double)w->done.bytes * 8 / (double)params : 0;
    const char *type = w->mix ? w->mix->name : "copy";
    if (loses_twice(w))
        ag_cli_note("%s was quantised already; from F16, BF16 or F32 the result would be better",
                    ag_source_path(w->src));
    if (w->a->json) {
        ag_cli_out_json(json_pack(
            "{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "out",
            ag_cli_json_text(ag_str(w->a->out)), "type", type, "bytes_before", (json_int_t)before,
            "bytes", (json_int_t)w->done.bytes, "tensors", (json_int_t)w->done.n_tensors,
            "resumed_tensors", (json_int_t)w->done.n_resumed, "weighted_tensors",
            (json_int_t)w->done.n_weighted, "bits_per_weight", ag_cli_json_num(bits), "seconds",
            ag_cli_json_num((double)w->took_us / 1e6)));
        return;
    }
    ag_cli_out_name(ag_str(w->a->out));
    ag_cli_out(": %s, %zu tensors, %s (was %s), %.2f bits per weight, %.1f s", type,
               w->done.n_tensors, ag_cli_size(w->done.bytes, to), ag_cli_size(before, from), bits,
               (double)w->took_us / 1e6);
    if (w->im)
        ag_cli_out("; %zu tensors by importances", w->done.n_weighted);
    if (w->done.n_resumed)
        ag_cli_out("; %zu tensors were there from an earlier run", w->done.n_resumed);
    ag_cli_out("\n");
}

int ag_cli_quantize(const ag_cli_args *a) {
    work w = {.a = a};
    ag_err err = {0};
    char path[PATH_MAX];
    int status = ag_cli_model(a) ? read_mix(&w) : AG_CLI_USAGE;
    if (!status)
        status = ag_cli_model_path(a, path);
    if (status)
        return status;
    int threads = (int)a->threads;
    if (threads == 0) {
        cpu_set_t cpus;
        ag_system_cpus(&cpus);
        threads = ag_system_cores(&cpus);
    }
    ag_code code = ag_source_open(path, &w.src, &err);
    if (!code)
        code = ag_pool_new(threads < AG_POOL_MAX_THREADS ? threads : AG_POOL_MAX_THREADS, &w.pool,
                           &err);
    if (!code && a->imatrix)
        code = ag_imatrix_read(a->imatrix, &w.im, &err);
    if (!code)
        code = choose_types(&w, &err);
    if (!code)
        code = write_out(&w, &err);
    if (!code)
        report(&w);
    ag_free(w.types);
    ag_imatrix_free(&w.im);
    ag_pool_free(&w.pool);
    ag_source_close(&w.src);
    return code ? ag_cli_fail(&err) : AG_CLI_DONE;
}
