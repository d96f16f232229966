/* The command line as data: one table of commands and options, from which parsing, --help, man
 * pages, completions and docs/cli.md are made, and the struct that parsing fills. */
#ifndef AG_CLI_ARGS_H
#define AG_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ag_cli_kind {
    AG_CLI_FLAG,   /* bool */
    AG_CLI_U32,    /* uint32_t, within [min, max] */
    AG_CLI_I32,    /* int32_t, within [min, max] */
    AG_CLI_U64,    /* uint64_t */
    AG_CLI_F32,    /* float, within [min, max] */
    AG_CLI_F64,    /* double, within [min, max] */
    AG_CLI_TEXT,   /* const char * */
    AG_CLI_PATH,   /* const char *, completed as a file name */
    AG_CLI_CHOICE, /* const char *, one of `choices` */
    AG_CLI_LIST,   /* ag_cli_list: may be given several times */
} ag_cli_kind;

typedef struct ag_cli_opt {
    char letter;         /* 't' for -t, or 0 */
    const char *name;    /* "threads" for --threads; NULL ends a list */
    ag_cli_kind kind;    /* what it takes and what `at` points to */
    const char *arg;     /* placeholder in help: "N"; NULL for flags */
    const char *initial; /* default in words; NULL: nothing to say */
    const char *help;
    size_t at;           /* offset in ag_cli_args */
    double min, max;     /* of numbers */
    const char *choices; /* "f32 f16 bf16": for CHOICE */
} ag_cli_opt;

typedef struct ag_cli_group {
    const char *title;      /* "Sampling options" */
    const ag_cli_opt *opts; /* ended by a row without a name */
} ag_cli_group;

#define AG_CLI_MAX_GROUPS 5
#define AG_CLI_MAX_LIST   64 /* repetitions of one option */
#define AG_CLI_MAX_SEEN   256

typedef struct ag_cli_args ag_cli_args;

typedef struct ag_cli_command {
    const char *name;
    const char *summary;  /* one line */
    const char *usage;    /* what follows "autoglm NAME" */
    const char *about;    /* paragraphs, separated by empty lines */
    const char *examples; /* lines; "# ..." are comments */
    int min_pos, max_pos; /* positional arguments */
    bool completes_files; /* positional arguments are file names */
    const char *words;    /* "add list rm": the first one is one of these; NULL: anything */
    bool hidden;          /* not listed, not in docs */
    ag_cli_group groups[AG_CLI_MAX_GROUPS];
    int (*run)(const ag_cli_args *args);
} ag_cli_command;

typedef struct ag_cli_list {
    const char *v[AG_CLI_MAX_LIST];
    size_t n;
} ag_cli_list;

/* Everything that options can say. All strings are borrowed from argv or the environment. */
struct ag_cli_args {
    const ag_cli_command *command;
    const char *pos[AG_CLI_MAX_LIST];
    int n_pos;
    const ag_cli_opt *seen[AG_CLI_MAX_SEEN];
    size_t n_seen;
    bool help;
    char *const *argv; /* [argc] what followed the command's name, as given */
    int argc;

    /* model */
    const char *model, *device_map, *numa, *kv_type, *dtype, *quantize, *isa, *chat_template;
    uint32_t threads, ctx, batch_tokens;
    double memory_fraction;
    bool verbose;

    /* names */
    const char *registry;
    const char *image_cache;
    bool force;

    /* sampling and limits */
    const char *generation_config;
    float temp, top_p, min_p, typical, repeat_penalty, frequency_penalty, presence_penalty;
    int32_t top_k, repeat_last_n;
    uint64_t seed;
    const char *mirostat;
    float mirostat_tau, mirostat_eta;
    float dry_multiplier, dry_base;
    int32_t dry_allowed_length, dry_last_n;
    ag_cli_list dry_breakers;
    float xtc_probability, xtc_threshold;
    ag_cli_list logit_bias, stop;
    uint32_t max_tokens;
    bool ignore_eos;

    /* form of the answer */
    bool json_object;
    const char *json_schema, *regex, *grammar;
    ag_cli_list choice;

    /* text */
    const char *file, *system;
    bool raw, special, no_bos, ids_only;
    const char *decode, *ids, *text, *out;

    /* output */
    bool json, quiet, list_tensors, list_keys, show_template;

    /* bench */
    uint32_t pp, tg, depth, batch, npp, ntg, reps;
    const char *peers;

    /* quantize */
    const char *mix, *imatrix;
    bool pure, no_resume;

    /* eval */
    const char *against;
    uint32_t windows;

    /* loadtest */
    const char *served_model, *load_api, *plot;
    bool whole, stop_early;
    uint32_t clients, requests, warmup, prompt_words, shared_words;
    double rate, duration, timeout, slo_ttft, slo_itl;

    /* pull */
    const char *to, *name, *revision, *endpoint, *token_file, *ca_file;
    uint32_t retries;

    /* serve; api_key_file loadtest too */
    const char *config;
    ag_cli_list listening;
    const char *host, *api_key_file, *cors_origin, *reasoning;
    uint32_t port, max_sequences, drain_seconds;
    ag_cli_list model_names;

    /* embed */
    const char *pooling;
    uint32_t dimensions;
    bool no_normalize, truncate;

    /* check and serve */
    ag_cli_list set;
    bool print;
};

/* The table; ended by a row without a name. */
extern const ag_cli_command ag_cli_commands[];
/* A command by name, hidden ones too; NULL when there is none. */
const ag_cli_command *ag_cli_find(const char *name);
/* An option of a command by long name or (name NULL) by letter; NULL when it has none such. */
const ag_cli_opt *ag_cli_find_opt(const ag_cli_command *c, const char *name, size_t n, char letter);
/* Was this option given? `name` is the long one. */
bool ag_cli_given(const ag_cli_args *a, const char *name);

/* Fill *a from what follows the command's name: GNU style (-t4, -t 4, --threads=4, --threads 4,
 * clusters of flags, options after positional arguments, "--"). AG_CLI_DONE, or AG_CLI_USAGE when
 * the mistake has been told on standard error. */
int ag_cli_parse(const ag_cli_command *c, int argc, char **argv, ag_cli_args *a);
/* The nearest word of a space-separated list, or NULL when none is near enough to suggest. Writes
 * it into `near`. */
const char *ag_cli_nearest(const char *word, const char *list, char near[64]);

/* Help for one command, or (NULL) the overview, on standard output. */
void ag_cli_help(const ag_cli_command *c);

/* ---- commands: one file each ----------------------------------------------------------------- */

int ag_cli_chat(const ag_cli_args *a);
int ag_cli_run(const ag_cli_args *a);
int ag_cli_serve(const ag_cli_args *a);
int ag_cli_serve_child(const ag_cli_args *a);
int ag_cli_inspect(const ag_cli_args *a);
int ag_cli_pull(const ag_cli_args *a);
int ag_cli_bench(const ag_cli_args *a);
int ag_cli_quantize(const ag_cli_args *a);
int ag_cli_eval(const ag_cli_args *a);
int ag_cli_imatrix(const ag_cli_args *a);
int ag_cli_embed(const ag_cli_args *a);
int ag_cli_models(const ag_cli_args *a);
int ag_cli_tokenize(const ag_cli_args *a);
int ag_cli_logits(const ag_cli_args *a);
int ag_cli_check(const ag_cli_args *a);
int ag_cli_loadtest(const ag_cli_args *a);
int ag_cli_version(const ag_cli_args *a);
int ag_cli_help_command(const ag_cli_args *a);
int ag_cli_gen(const ag_cli_args *a);

#endif
