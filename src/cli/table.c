/* The table of commands and options. Everything a user reads about the command line is made from
 * here: parsing, --help, man pages, completions and docs/cli.md. */
#include "cli/args.h"

#include <string.h>

#include "kernels/cpu.h"

#define AT(field) .at = offsetof(ag_cli_args, field)

/* ---- options that several commands share ----------------------------------------------------- */

#define OPT_MODEL                                                                                  \
    {                                                                                              \
        'm', "model", AG_CLI_PATH, "MODEL", "$AUTOGLM_MODEL",                                      \
            "a GGUF file (of a split set, any part), a Hugging Face folder, or a name that "       \
            "'autoglm models' knows",                                                              \
            AT(model)                                                                              \
    }
#define OPT_REGISTRY                                                                               \
    {                                                                                              \
        0, "registry", AG_CLI_PATH, "FILE",                                                        \
            "$AUTOGLM_REGISTRY, else models.db in the data folder",                                \
            "where the names of models are kept", AT(registry)                                     \
    }
#define OPT_ISA                                                                                    \
    {                                                                                              \
        0, "isa", AG_CLI_CHOICE, "TIER", "$AUTOGLM_ISA, else auto",                                \
            "use at most these instructions of the CPU", AT(isa), .choices = AG_TIER_WORDS         \
    }
#define OPT_JSON                                                                                   \
    { 0, "json", AG_CLI_FLAG, NULL, NULL, "print JSON, one object on a line", AT(json) }

static const ag_cli_opt model_opts[] = {
    OPT_MODEL,
    OPT_REGISTRY,
    {'t', "threads", AG_CLI_U32, "N", "one per physical core", "compute threads", AT(threads),
     .min = 1, .max = 1024},
    {0, "numa", AG_CLI_TEXT, "HOW", "auto",
     "on machines with several memory nodes: auto off interleave or a node's number", AT(numa)},
    {0, "device-map", AG_CLI_TEXT, "MAP", "auto",
     "what runs where: a device, 0-11=cpu,12-23=cpu or JSON as of Hugging Face", AT(device_map)},
    {0, "image-cache", AG_CLI_PATH, "DIR", "autoglm/images in the cache folder",
     "where packed weights are kept for the next start; off: nowhere", AT(image_cache)},
    {'c', "ctx", AG_CLI_U32, "N", "the model's own, cut to what fits",
     "tokens that one conversation may use", AT(ctx), .min = 1, .max = 134217728},
    {0, "kv-type", AG_CLI_CHOICE, "TYPE", "f16", "precision of the KV cache", AT(kv_type),
     .choices = "f32 f16 bf16 q8_0"},
    {0, "dtype", AG_CLI_CHOICE, "TYPE", "auto", "re-encode the weights; auto: as in the file",
     AT(dtype), .choices = "auto f32 f16 bf16"},
    {0, "quantize", AG_CLI_TEXT, "TYPE", "none",
     "re-encode the weights while loading, as 'autoglm quantize' would: int8 q4_k_m ...",
     AT(quantize)},
    {0, "memory-fraction", AG_CLI_F64, "X", "0.7",
     "share of the machine's or container's memory to use", AT(memory_fraction), .min = 0.01,
     .max = 1},
    {0, "batch-tokens", AG_CLI_U32, "N", "512", "most tokens computed in one step",
     AT(batch_tokens), .min = 1, .max = 65536},
    OPT_ISA,
    {'v', "verbose", AG_CLI_FLAG, NULL, NULL,
     "show the engine's log and the memory arithmetic on standard error", AT(verbose)},
    {0},
};

#define OPT_TEMPLATE                                                                               \
    {                                                                                              \
        0, "chat-template", AG_CLI_PATH, "FILE", "the model's own",                                \
            "Jinja template that turns a conversation into a prompt", AT(chat_template)            \
    }

static const ag_cli_opt template_opts[] = {
    OPT_TEMPLATE,
    {0, "system", AG_CLI_TEXT, "TEXT", NULL, "system message at the conversation's start",
     AT(system)},
    {0},
};

#define OPT_GENERATION_CONFIG                                                                      \
    {                                                                                              \
        0, "generation-config", AG_CLI_CHOICE, "WHAT", "auto",                                     \
            "sampling that is not asked for: as the model's file advises, or not",                 \
            AT(generation_config), .choices = "auto none"                                          \
    }

static const ag_cli_opt serve_template_opts[] = {OPT_TEMPLATE, OPT_GENERATION_CONFIG, {0}};

static const ag_cli_opt sampling_opts[] = {
    {'n', "max-tokens", AG_CLI_U32, "N", "until the model stops", "most tokens of an answer",
     AT(max_tokens), .min = 1, .max = 134217728},
    OPT_GENERATION_CONFIG,
    {0, "temp", AG_CLI_F32, "X", "0.7", "temperature; 0 always takes the most likely token",
     AT(temp), .min = 0, .max = 100},
    {0, "top-k", AG_CLI_I32, "N", "40", "keep the N most likely tokens; 0: all", AT(top_k),
     .min = 0, .max = 16777216},
    {0, "top-p", AG_CLI_F32, "X", "0.95", "keep the smallest set with this probability; 1: off",
     AT(top_p), .min = 0.000001, .max = 1},
    {0, "min-p", AG_CLI_F32, "X", "0.05", "drop tokens below X times the best; 0: off", AT(min_p),
     .min = 0, .max = 1},
    {0, "typical", AG_CLI_F32, "X", "1", "locally typical sampling; 1: off", AT(typical),
     .min = 0.000001, .max = 1},
    {0, "repeat-penalty", AG_CLI_F32, "X", "1", "weaken tokens seen before; 1: off",
     AT(repeat_penalty), .min = 0.01, .max = 100},
    {0, "repeat-last-n", AG_CLI_I32, "N", "64", "tokens --repeat-penalty looks back; -1: all",
     AT(repeat_last_n), .min = -1, .max = 134217728},
    {0, "frequency-penalty", AG_CLI_F32, "X", "0", "subtract per occurrence in the answer",
     AT(frequency_penalty), .min = -2, .max = 2},
    {0, "presence-penalty", AG_CLI_F32, "X", "0", "subtract once for tokens in the answer",
     AT(presence_penalty), .min = -2, .max = 2},
    {'s', "seed", AG_CLI_U64, "N", "a new one each time", "the same seed gives the same answer",
     AT(seed)},
    {0, "mirostat", AG_CLI_CHOICE, "0|2", "0", "2: Mirostat 2.0 in place of the filters",
     AT(mirostat), .choices = "0 2"},
    {0, "mirostat-tau", AG_CLI_F32, "X", "5", "Mirostat's target surprise in bits",
     AT(mirostat_tau), .min = 0, .max = 100},
    {0, "mirostat-eta", AG_CLI_F32, "X", "0.1", "Mirostat's learning rate", AT(mirostat_eta),
     .min = 0, .max = 1},
    {0, "dry-multiplier", AG_CLI_F32, "X", "0", "DRY: penalty for repeated passages; 0: off",
     AT(dry_multiplier), .min = 0, .max = 100},
    {0, "dry-base", AG_CLI_F32, "X", "1.75", "DRY: growth of the penalty with the length",
     AT(dry_base), .min = 1, .max = 100},
    {0, "dry-allowed-length", AG_CLI_I32, "N", "2", "DRY: repetitions up to this length are free",
     AT(dry_allowed_length), .min = 1, .max = 134217728},
    {0, "dry-last-n", AG_CLI_I32, "N", "-1", "DRY: tokens to look back; -1: all", AT(dry_last_n),
     .min = -1, .max = 134217728},
    {0, "dry-breaker", AG_CLI_LIST, "TEXT", "\\n : \" *",
     "DRY: text that ends a passage; may be repeated", AT(dry_breakers)},
    {0, "xtc-probability", AG_CLI_F32, "X", "0", "XTC: chance of leaving out the top choices",
     AT(xtc_probability), .min = 0, .max = 1},
    {0, "xtc-threshold", AG_CLI_F32, "X", "0.1", "XTC: what counts as a top choice",
     AT(xtc_threshold), .min = 0, .max = 1},
    {0, "logit-bias", AG_CLI_LIST, "ID=X", NULL,
     "add X to a token's logit; -inf forbids it; may be repeated", AT(logit_bias)},
    {0, "stop", AG_CLI_LIST, "TEXT", NULL, "end the answer before this text; may be repeated",
     AT(stop)},
    {0, "ignore-eos", AG_CLI_FLAG, NULL, NULL, "go on where the model would stop", AT(ignore_eos)},
    {0},
};

/* ---- options of one command ------------------------------------------------------------------ */

static const ag_cli_opt structure_opts[] = {
    {0, "json-object", AG_CLI_FLAG, NULL, NULL, "the answer is a JSON object", AT(json_object)},
    {0, "json-schema", AG_CLI_TEXT, "FILE|JSON", NULL,
     "the answer is JSON that this JSON Schema allows", AT(json_schema)},
    {0, "regex", AG_CLI_TEXT, "RE", NULL, "the whole answer matches this regular expression",
     AT(regex)},
    {0, "choice", AG_CLI_LIST, "TEXT", NULL, "the answer is one of these; to be repeated",
     AT(choice)},
    {0, "grammar", AG_CLI_PATH, "FILE", NULL, "the answer is a text of this grammar, in GBNF",
     AT(grammar)},
    {0},
};

static const ag_cli_opt run_opts[] = {
    {'f', "file", AG_CLI_PATH, "FILE", NULL, "read the prompt from FILE; -: standard input",
     AT(file)},
    {0, "raw", AG_CLI_FLAG, NULL, NULL,
     "continue the prompt as plain text, without the chat template", AT(raw)},
    {0, "special", AG_CLI_FLAG, NULL, NULL,
     "with --raw: recognise control tokens written in the prompt", AT(special)},
    {'q', "quiet", AG_CLI_FLAG, NULL, NULL, "no speed line and no progress bar", AT(quiet)},
    OPT_JSON,
    {0},
};

static const ag_cli_opt chat_opts[] = {
    {'q', "quiet", AG_CLI_FLAG, NULL, NULL, "no greeting, speed line or progress bar", AT(quiet)},
    {0},
};

static const ag_cli_opt inspect_opts[] = {
    {0, "tensors", AG_CLI_FLAG, NULL, NULL, "list every tensor", AT(list_tensors)},
    {0, "keys", AG_CLI_FLAG, NULL, NULL, "list every key with its value", AT(list_keys)},
    {0, "template", AG_CLI_FLAG, NULL, NULL, "print the chat template and nothing else",
     AT(show_template)},
    OPT_REGISTRY,
    OPT_JSON,
    {0},
};

static const ag_cli_opt models_opts[] = {
    OPT_REGISTRY,
    {0, "force", AG_CLI_FLAG, NULL, NULL, "add: a name that is taken gets the new meaning",
     AT(force)},
    {'q', "quiet", AG_CLI_FLAG, NULL, NULL, "no progress bar", AT(quiet)},
    OPT_JSON,
    {0},
};

static const ag_cli_opt bench_opts[] = {
    {0, "pp", AG_CLI_U32, "N", NULL, "measure processing a prompt of N tokens", AT(pp), .min = 1,
     .max = 134217728},
    {0, "tg", AG_CLI_U32, "N", NULL, "measure generating N tokens one by one", AT(tg), .min = 1,
     .max = 134217728},
    {0, "depth", AG_CLI_U32, "N", "0", "with --tg: tokens already in the context", AT(depth),
     .min = 0, .max = 134217728},
    {0, "batch", AG_CLI_U32, "N", NULL, "measure N sequences generating together", AT(batch),
     .min = 1, .max = 4096},
    {0, "npp", AG_CLI_U32, "N", "128", "with --batch: prompt tokens of each sequence", AT(npp),
     .min = 1, .max = 134217728},
    {0, "ntg", AG_CLI_U32, "N", "32", "with --batch: tokens generated by each sequence", AT(ntg),
     .min = 1, .max = 134217728},
    {'r', "reps", AG_CLI_U32, "N", "3", "repetitions; the median is shown", AT(reps), .min = 1,
     .max = 1000},
    {0, "peers", AG_CLI_PATH, "DIR", NULL,
     "measure llama.cpp in turns with us; DIR holds its llama-bench and llama-batched-bench",
     AT(peers)},
    OPT_JSON,
    {0},
};

static const ag_cli_opt tokenize_opts[] = {
    OPT_MODEL,
    OPT_REGISTRY,
    {'f', "file", AG_CLI_PATH, "FILE", NULL, "read the text from FILE; -: standard input",
     AT(file)},
    {0, "ids", AG_CLI_FLAG, NULL, NULL, "print the ids only, on one line", AT(ids_only)},
    {0, "no-bos", AG_CLI_FLAG, NULL, NULL, "do not add the tokens that the model wants around",
     AT(no_bos)},
    {0, "special", AG_CLI_FLAG, NULL, NULL,
     "recognise control tokens in the text; with --decode: show them", AT(special)},
    {'d', "decode", AG_CLI_TEXT, "IDS", NULL, "turn ids (\"1 2 3\") back into text", AT(decode)},
    OPT_JSON,
    {0},
};

static const ag_cli_opt pull_opts[] = {
    {0, "to", AG_CLI_PATH, "DIR", "OWNER/NAME where models are kept", "the folder to fill", AT(to)},
    {0, "name", AG_CLI_TEXT, "NAME", NULL, "give the model this name, as 'autoglm models add' does",
     AT(name)},
    OPT_REGISTRY,
    {0, "force", AG_CLI_FLAG, NULL, NULL, "a name that is taken gets the new meaning", AT(force)},
    {0, "revision", AG_CLI_TEXT, "REV", "main", "a branch, tag or commit", AT(revision)},
    {0, "endpoint", AG_CLI_TEXT, "URL", "$HF_ENDPOINT, else https://huggingface.co",
     "the hub, or a mirror of it", AT(endpoint)},
    {0, "token-file", AG_CLI_PATH, "FILE", "$HF_TOKEN, else ~/.cache/huggingface/token",
     "read the access token from FILE", AT(token_file)},
    {0, "ca-file", AG_CLI_PATH, "FILE", "the system's", "PEM certificates to trust", AT(ca_file)},
    {0, "retries", AG_CLI_U32, "N", "5", "tries after failures in a row that may pass", AT(retries),
     .min = 0, .max = 1000},
    {'q', "quiet", AG_CLI_FLAG, NULL, NULL, "no progress", AT(quiet)},
    OPT_JSON,
    {0},
};

static const ag_cli_opt quantize_opts[] = {
    OPT_MODEL,
    OPT_REGISTRY,
    {'o', "out", AG_CLI_PATH, "FILE", NULL, "the GGUF file to write; whole or not at all", AT(out)},
    {0, "type", AG_CLI_TEXT, "TYPE", NULL,
     "a type or mix: f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k_s q3_k_m q3_k_l q4_k_s q4_k_m "
     "q5_k_s q5_k_m q6_k iq4_nl iq4_xs mxfp4; copy: matrices as they are",
     AT(mix)},
    {0, "imatrix", AG_CLI_PATH, "FILE", NULL,
     "importances of columns from 'autoglm imatrix', which errors are weighed with", AT(imatrix)},
    {0, "pure", AG_CLI_FLAG, NULL, NULL, "every matrix in the same type, no better ones", AT(pure)},
    {0, "no-resume", AG_CLI_FLAG, NULL, NULL,
     "start over instead of going on with an interrupted run", AT(no_resume)},
    {'t', "threads", AG_CLI_U32, "N", "one per physical core", "compute threads", AT(threads),
     .min = 1, .max = 256},
    {'q', "quiet", AG_CLI_FLAG, NULL, NULL, "no progress", AT(quiet)},
    OPT_JSON,
    {0},
};

static const ag_cli_opt imatrix_opts[] = {
    {'o', "out", AG_CLI_PATH, "FILE", NULL, "where the importances go; whole or not at all",
     AT(out)},
    {'f', "file", AG_CLI_PATH, "FILE", NULL, "read the text from FILE; -: standard input",
     AT(file)},
    {0, "windows", AG_CLI_U32, "N", "all", "use at most the first N windows of the text",
     AT(windows), .min = 1, .max = 16777216},
    {'q', "quiet", AG_CLI_FLAG, NULL, NULL, "no progress", AT(quiet)},
    OPT_JSON,
    {0},
};

static const ag_cli_opt eval_opts[] = {
    {'f', "file", AG_CLI_PATH, "FILE", NULL, "read the text from FILE; -: standard input",
     AT(file)},
    {0, "against", AG_CLI_PATH, "MODEL", NULL,
     "compare with this model's predictions: KL divergence and agreement", AT(against)},
    {0, "windows", AG_CLI_U32, "N", "all", "use at most the first N windows of the text",
     AT(windows), .min = 1, .max = 16777216},
    {'q', "quiet", AG_CLI_FLAG, NULL, NULL, "no progress", AT(quiet)},
    OPT_JSON,
    {0},
};

static const ag_cli_opt embed_opts[] = {
    {'f', "file", AG_CLI_PATH, "FILE", NULL,
     "read the texts from FILE, one a line; -: standard input", AT(file)},
    {0, "pooling", AG_CLI_CHOICE, "KIND", "model",
     "how the tokens' vectors become one; model: as its file says", AT(pooling),
     .choices = "model mean cls last"},
    {0, "dimensions", AG_CLI_U32, "N", "all", "keep the first N numbers of each vector",
     AT(dimensions), .min = 1, .max = 1048576},
    {0, "no-normalize", AG_CLI_FLAG, NULL, NULL, "leave the vectors' lengths as they are",
     AT(no_normalize)},
    {0, "truncate", AG_CLI_FLAG, NULL, NULL,
     "cut texts beyond the context instead of refusing them", AT(truncate)},
    {0, "raw", AG_CLI_FLAG, NULL, NULL, "write little-endian float32 values and nothing else",
     AT(raw)},
    {'q', "quiet", AG_CLI_FLAG, NULL, NULL, "no speed line and no progress bar", AT(quiet)},
    OPT_JSON,
    {0},
};

static const ag_cli_opt serve_child_opts[] = {
    {0, "listening", AG_CLI_LIST, "NAME", NULL, "a socket's address; all of them, in order",
     AT(listening)},
    {0},
};

static const ag_cli_opt serve_opts[] = {
    {0, "config", AG_CLI_PATH, "FILE", NULL,
     "configuration (YAML, docs/config.md) with any number of models, in place of -m", AT(config)},
    {0, "set", AG_CLI_LIST, "KEY=VALUE", NULL,
     "set a key of the configuration; may be given several times", AT(set)},
    {0, "host", AG_CLI_TEXT, "HOST", "127.0.0.1",
     "address to listen on; others than this machine's own need --api-key-file", AT(host)},
    {'p', "port", AG_CLI_U32, "N", "8000", "port to listen on; 0: a free one", AT(port), .min = 0,
     .max = 65535},
    {0, "model-name", AG_CLI_LIST, "NAME", "the file's name",
     "what clients call the model; may be repeated: all names work", AT(model_names)},
    {0, "api-key-file", AG_CLI_PATH, "FILE", NULL,
     "keys that clients must send, one a line: KEY, NAME KEY or NAME KEY WEIGHT", AT(api_key_file)},
    {0, "max-sequences", AG_CLI_U32, "N", "16", "requests that are computed at the same time",
     AT(max_sequences), .min = 1, .max = 1024},
    {0, "cors-origin", AG_CLI_TEXT, "ORIGIN", "none",
     "web pages of this origin may call the server from a browser; *: all", AT(cors_origin)},
    {0, "reasoning", AG_CLI_CHOICE, "MODE", "inline",
     "where a model's thoughts go if a request does not say: into the content, into "
     "reasoning_content, nowhere",
     AT(reasoning), .choices = "inline split hidden"},
    {0, "drain-seconds", AG_CLI_U32, "N", "30",
     "time that running requests get to end when the server is asked to", AT(drain_seconds),
     .min = 0, .max = 86400},
    {0},
};

static const ag_cli_opt logits_opts[] = {
    {0, "ids", AG_CLI_TEXT, "IDS", NULL, "token ids, as \"1 2 3\" or \"1,2,3\"", AT(ids)},
    {0, "text", AG_CLI_TEXT, "TEXT", NULL, "text to tokenise, with BOS where the model wants it",
     AT(text)},
    {'o', "out", AG_CLI_PATH, "FILE", NULL, "where the logits go; written whole or not at all",
     AT(out)},
    OPT_JSON,
    {0},
};

static const ag_cli_opt check_opts[] = {
    {0, "set", AG_CLI_LIST, "KEY=VALUE", NULL, "set a key; may be given several times", AT(set)},
    {0, "print", AG_CLI_FLAG, NULL, NULL, "print the whole configuration as YAML", AT(print)},
    {'q', "quiet", AG_CLI_FLAG, NULL, NULL, "say nothing when all is well", AT(quiet)},
    {0},
};

static const ag_cli_opt loadtest_opts[] = {
    {0, "model", AG_CLI_TEXT, "NAME", "the first listed", "model to ask", AT(served_model)},
    {0, "api-key-file", AG_CLI_PATH, "FILE", NULL, "key to send, the first line of a file",
     AT(api_key_file)},
    {0, "api", AG_CLI_CHOICE, "WHICH", "chat", "what to ask for", AT(load_api),
     .choices = "chat completions embeddings"},
    {'c', "clients", AG_CLI_U32, "N", "8", "requests at once, at most", AT(clients), 1, 10000},
    {0, "rate", AG_CLI_F64, "R", NULL,
     "requests a second at random times, whether or not the server keeps up (open loop)", AT(rate),
     0, 1e6},
    {'n', "requests", AG_CLI_U32, "N", "64", "requests to send", AT(requests), 1, 1e9},
    {0, "duration", AG_CLI_F64, "S", NULL, "stop sending after S seconds", AT(duration), 0, 1e6},
    {0, "warmup", AG_CLI_U32, "N", "0", "first requests that do not count", AT(warmup), 0, 1e6},
    {0, "prompt-words", AG_CLI_U32, "N", "128", "words of a prompt, about a token each",
     AT(prompt_words), 1, 1e6},
    {0, "shared-words", AG_CLI_U32, "N", "0", "of these, the same in every prompt",
     AT(shared_words), 0, 1e6},
    {'f', "file", AG_CLI_PATH, "FILE", NULL, "prompts, one a line, in place of made ones",
     AT(file)},
    {0, "max-tokens", AG_CLI_U32, "N", "64", "tokens of an answer", AT(max_tokens), 1, 1e6},
    {0, "stop-early", AG_CLI_FLAG, NULL, NULL,
     "let the model end its answer; otherwise ignore_eos is sent", AT(stop_early)},
    {0, "no-stream", AG_CLI_FLAG, NULL, NULL, "answers in one piece", AT(whole)},
    {0, "temp", AG_CLI_F32, "X", "0", "temperature", AT(temp), 0, 100},
    {'s', "seed", AG_CLI_U64, "N", "0", "of words and arrival times", AT(seed)},
    {0, "timeout", AG_CLI_F64, "S", "600", "of a request", AT(timeout), 0, 1e6},
    {0, "slo-ttft", AG_CLI_F64, "MS", NULL,
     "objective for goodput: time to first token (streams only)", AT(slo_ttft), 0, 1e9},
    {0, "slo-itl", AG_CLI_F64, "MS", NULL,
     "objective for goodput: every gap between tokens (streams only)", AT(slo_itl), 0, 1e9},
    {0, "plot", AG_CLI_PATH, "FILE", NULL, "write a drawing of the times (SVG)", AT(plot)},
    OPT_JSON,
    {0},
};

static const ag_cli_opt version_opts[] = {OPT_ISA, OPT_JSON, {0}};

#define GROUP_MODEL                                                                                \
    { "Model options", model_opts }
#define GROUP_TEMPLATE                                                                             \
    { "Conversation options", template_opts }
#define GROUP_SAMPLING                                                                             \
    { "Sampling options", sampling_opts }
#define GROUP_STRUCTURE                                                                            \
    { "Form of the answer", structure_opts }

/* ---- commands -------------------------------------------------------------------------------- */

const ag_cli_command ag_cli_commands[] = {
    {
        .name = "chat",
        .summary = "talk to a model",
        .usage = "-m MODEL [OPTION]...",
        .about =
            "Keeps the conversation until it is cleared. On a terminal lines can be edited and "
            "recalled with the arrow keys; otherwise each line of standard input is a message.\n"
            "\n"
            "A message goes over several lines when a line ends in a backslash, when it stands "
            "between two lines of \"\"\", when lines are pasted, or with Alt-Enter. Lines that "
            "begin with a slash are commands: /read FILE adds a file to the next message, "
            "/system TEXT sets the system message, /regen answers again, /clear starts anew, "
            "/stats shows speed and memory, /help lists them, /exit leaves.\n"
            "\n"
            "Ctrl-C stops the answer and a second one leaves, as does Ctrl-D.",
        .examples = "autoglm chat -m model.gguf\n"
                    "autoglm chat -m model.gguf --system \"Answer in one sentence.\" --temp 0\n",
        .groups = {{"Options", chat_opts}, GROUP_MODEL, GROUP_TEMPLATE, GROUP_SAMPLING},
        .run = ag_cli_chat,
    },
    {
        .name = "run",
        .summary = "answer one prompt",
        .usage = "-m MODEL [OPTION]... [PROMPT | -f FILE]",
        .about =
            "The prompt is the argument, a file, or standard input. It becomes the user's message "
            "in the model's chat template; with --raw, or when the model has no template, the "
            "model continues the prompt itself. The answer streams to standard output, the speed "
            "goes to standard error.\n"
            "\n"
            "Ctrl-C stops the answer and keeps what there is; a second one leaves at once with "
            "exit status 130.",
        .examples = "autoglm run -m model.gguf \"What is the capital of France?\"\n"
                    "autoglm run -m model.gguf --raw -n 32 --temp 0 \"Once upon a time\"\n"
                    "git diff | autoglm run -m model.gguf --system \"Write a commit message.\"\n"
                    "autoglm run -m model.gguf --json \"Hello\" | jq -r .text\n"
                    "autoglm run -m model.gguf --choice yes --choice no \"Is fire cold?\"\n",
        .max_pos = 1,
        .groups =
            {{"Options", run_opts}, GROUP_STRUCTURE, GROUP_MODEL, GROUP_TEMPLATE, GROUP_SAMPLING},
        .run = ag_cli_run,
    },
    {
        .name = "serve",
        .summary = "serve a model over an OpenAI-compatible API",
        .usage = "(-m MODEL | --config FILE) [OPTION]...",
        .about =
            "Answers chats, completions and embeddings over HTTP in the way of OpenAI's API, so "
            "that existing clients need another base URL and nothing else; docs/api.md lists what "
            "there is. It listens at once and says so, loads the model meanwhile, and prints a "
            "line to try when it is ready.\n"
            "\n"
            "Without --api-key-file everybody who reaches the port may ask, so it listens on this "
            "machine's own address only.\n"
            "\n"
            "Ctrl-C or SIGTERM ends it: nothing new begins, running answers get --drain-seconds "
            "to end, what is left is told so. A second signal ends it at once. SIGHUP reads the "
            "configuration and the keys again, SIGUSR2 puts a new program in the place of the "
            "running one. A server that crashes or hangs is started again.",
        .examples = "autoglm serve -m model.gguf\n"
                    "autoglm serve --config autoglm.yml\n"
                    "autoglm serve -m model.gguf --model-name glm-4 --port 8080 -t 8\n"
                    "autoglm serve -m model.gguf --host 0.0.0.0 --api-key-file keys.txt\n",
        .groups = {{"Server options", serve_opts},
                   GROUP_MODEL,
                   {"Conversation options", serve_template_opts}},
        .run = ag_cli_serve,
    },
    {
        .name = "serve-child",
        .summary = "serve on sockets that a supervisor opened",
        .usage = "--listening NAME... [OPTION]...",
        .about = "What 'autoglm serve' starts and watches.",
        .examples = "autoglm serve -m model.gguf\n",
        .hidden = true,
        .groups = {{"Own options", serve_child_opts},
                   {"Server options", serve_opts},
                   GROUP_MODEL,
                   {"Conversation options", serve_template_opts}},
        .run = ag_cli_serve_child,
    },
    {
        .name = "inspect",
        .summary = "show what a model file holds",
        .usage = "[OPTION]... MODEL",
        .about =
            "Shows architecture, parameters, quantisation, tensors by type, context, tokenizer, "
            "chat template and the memory needed by context length. Nothing is loaded, so it is "
            "quick, and it works for models that this build cannot run.",
        .examples = "autoglm inspect model.gguf\n"
                    "autoglm inspect --tensors model.gguf\n"
                    "autoglm inspect --json model.gguf | jq .architecture\n",
        .min_pos = 1,
        .max_pos = 1,
        .completes_files = true,
        .groups = {{"Options", inspect_opts}},
        .run = ag_cli_inspect,
    },
    {
        .name = "pull",
        .summary = "fetch a model from a hub",
        .usage = "hf:OWNER/NAME[@REVISION][:FILE] [OPTION]...",
        .about =
            "FILE is a file of the repository (of a split GGUF set, any part: all are fetched) or "
            "a quantisation as file names have it (Q4_K_M, in any case). Without it come "
            "config.json, the tokenizer's files and the safetensors files; from a repository of "
            "GGUF files the only one, or that in Q4_K_M.\n"
            "\n"
            "Each file is checked against the SHA-256 that the hub lists (small files kept in git "
            "itself: against git's own SHA-1) and gets its name when it is whole. An interrupted "
            "pull goes on where it stopped when the same command is given again; files that are "
            "complete are only checked.\n"
            "\n"
            "Models are kept in $AUTOGLM_MODELS, else in autoglm/models below $XDG_DATA_HOME or "
            "~/.local/share. The token goes to the hub and to nobody else. Proxies are those of "
            "the environment (https_proxy, http_proxy, all_proxy, no_proxy).",
        .examples = "autoglm pull hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M\n"
                    "autoglm pull hf:Qwen/Qwen3-0.6B --to models/qwen3 --name qwen3\n"
                    "autoglm pull hf:OWNER/NAME@v1.0 --endpoint https://hub.example.com --json\n",
        .min_pos = 1,
        .max_pos = 1,
        .groups = {{"Options", pull_opts}},
        .run = ag_cli_pull,
    },
    {
        .name = "models",
        .summary = "give models names",
        .usage = "add NAME PATH | list | show NAME | verify [NAME] | rm NAME",
        .about =
            "A name stands for a model wherever a path does: 'autoglm run -m NAME'. A path that "
            "exists goes before a name. The names lie in a small file, the registry; models stay "
            "where they are.\n"
            "\n"
            "add opens the model to see that it is one, and notes its SHA-256. list tells of files "
            "that changed or are missing. verify hashes the files of one name or of all and "
            "compares. rm takes a name away. A name has up to 128 letters, digits and . _ - : /, "
            "as glm-4-plus or org/model:q4.",
        .examples = "autoglm models add glm-4-plus /models/glm-4-plus-q4_k_m.gguf\n"
                    "autoglm run -m glm-4-plus \"Hello\"\n"
                    "autoglm models list --json | jq -r .path\n"
                    "autoglm models verify\n",
        .min_pos = 1,
        .max_pos = 3,
        .completes_files = true,
        .words = "add list show verify rm",
        .groups = {{"Options", models_opts}},
        .run = ag_cli_models,
    },
    {
        .name = "bench",
        .summary = "measure speed against the machine's limits",
        .usage = "-m MODEL [OPTION]...",
        .about =
            "Measures prompt processing (pp), generation (tg, tg@depth) and generation of several "
            "sequences together (batch) in tokens per second, and puts each beside what the "
            "machine can do: its memory bandwidth and its multiply-add rate, measured in the same "
            "process on as many threads. Loading and warming up are not counted. Without --pp, "
            "--tg or --batch it runs a table of usual sizes.\n"
            "\n"
            "With --json each result is one object on a line with tok_s, its unit tokens per "
            "second; the last line is always a result. With --peers each repetition is followed by "
            "the same test in llama.cpp, on as many threads; peer_tok_s is its speed and times "
            "what ours is of it. Of a mixture of experts it says, as "
            "--verbose does, how many experts of its layers had nothing to do and how many times "
            "an even share the busiest had. With --batch, --pp and --tg mean the same "
            "as --npp and --ntg.",
        .examples = "autoglm bench -m model.gguf\n"
                    "autoglm bench -m model.gguf -t 2 --tg 128 --depth 2048\n"
                    "autoglm bench -m model.gguf -t 2 --batch 16 --npp 128 --ntg 32 --json\n"
                    "autoglm bench -m model.gguf --peers llama.cpp/build/bin\n",
        .groups = {{"Options", bench_opts}, GROUP_MODEL},
        .run = ag_cli_bench,
    },
    {
        .name = "quantize",
        .summary = "write a model as a GGUF file in another type",
        .usage = "-m MODEL --type TYPE -o FILE [OPTION]...",
        .about =
            "Reads whatever the engine reads and writes one GGUF file in which the matrices have "
            "the type asked for; docs/quantize.md says which tensors a mix such as q4_k_m keeps in "
            "better types. Tensors stream through, so that memory does not limit the size.\n"
            "\n"
            "An interrupted run leaves FILE.partial and FILE.partial.journal; the same command "
            "goes on where it stopped, after checking what is there. FILE itself appears only when "
            "it is complete. Quantising a model that is quantised already works, but loses twice: "
            "start from F16, BF16 or F32 where you can.",
        .examples =
            "autoglm quantize -m model-f16.gguf --type q4_k_m -o model-q4_k_m.gguf\n"
            "autoglm quantize -m model-f16.gguf --imatrix model.imatrix --type q4_k_m -o out.gguf\n"
            "autoglm quantize -m model-00001-of-00003.gguf --type copy -o model.gguf\n",
        .groups = {{"Options", quantize_opts}},
        .run = ag_cli_quantize,
    },
    {
        .name = "imatrix",
        .summary = "measure which columns of the weights matter",
        .usage = "-m MODEL -o FILE [OPTION]... [TEXT | -f FILE]",
        .about =
            "Runs a text through the model in windows of --ctx tokens (512 unless given) and sums "
            "the squares of what each column of each matrix, the output's too, is multiplied with. "
            "Quantising with "
            "these importances spends its precision where it matters; the text should resemble "
            "what the model is for. The file is GGUF, as other tools write and read it.",
        .examples = "autoglm imatrix -m model-f16.gguf -f calibration.txt -o model.imatrix\n",
        .max_pos = 1,
        .groups = {{"Options", imatrix_opts}, GROUP_MODEL},
        .run = ag_cli_imatrix,
    },
    {
        .name = "eval",
        .summary = "measure how well a model predicts a text",
        .usage = "-m MODEL [OPTION]... [TEXT | -f FILE]",
        .about =
            "Perplexity by the usual method: the text's tokens in windows of --ctx (512 unless "
            "given), each begun with BOS where the model wants it, of which the second half is "
            "scored. So figures compare with those of other tools on the same text and window. The "
            "error is the standard error over the scored tokens.\n"
            "\n"
            "With --against, another model with the same vocabulary, usually the one that was "
            "quantised, predicts the same tokens: the KL divergence of the model from it, and how "
            "often both find the same token most likely. Options that change weights (--quantize, "
            "--dtype) are for the first model only.",
        .examples = "autoglm eval -m model-q4_k_m.gguf -f wiki.test.raw\n"
                    "autoglm eval -m model-f16.gguf --quantize q4_0 --against model-f16.gguf -f "
                    "text.txt\n"
                    "autoglm eval -m model.gguf -f text.txt -c 2048 --json | jq .perplexity\n",
        .max_pos = 1,
        .groups = {{"Options", eval_opts}, GROUP_MODEL},
        .run = ag_cli_eval,
    },
    {
        .name = "embed",
        .summary = "turn texts into vectors",
        .usage = "-m MODEL [OPTION]... [TEXT... | -f FILE]",
        .about = "Each argument is a text, or else each line of a file or of standard input that "
                 "is not empty. For every text one line is written: the numbers of its vector, or "
                 "with --json an object with index, tokens and embedding. Vectors have length 1 "
                 "unless --no-normalize is given, so that a scalar product is a cosine.\n"
                 "\n"
                 "The model should be made for embeddings; with --pooling any model gives its "
                 "hidden states.",
        .examples = "autoglm embed -m all-minilm.gguf \"A cat sits.\" \"The dog runs.\"\n"
                    "autoglm embed -m all-minilm.gguf -f sentences.txt --raw > vectors.f32\n"
                    "autoglm embed -m all-minilm.gguf --json \"Hello\" | jq -c .embedding\n",
        .max_pos = AG_CLI_MAX_LIST,
        .groups = {{"Options", embed_opts}, GROUP_MODEL},
        .run = ag_cli_embed,
    },
    {
        .name = "tokenize",
        .summary = "turn text into token ids and back",
        .usage = "-m MODEL [OPTION]... [TEXT | -f FILE | --decode IDS]",
        .about = "Reads only the tokenizer, not the weights. The text is the argument, a file, or "
                 "standard input. By default each token is shown on a line of its own: id, type "
                 "and bytes.",
        .examples = "autoglm tokenize -m model.gguf \"Hello, world\"\n"
                    "autoglm tokenize -m model.gguf --ids -f prompt.txt\n"
                    "autoglm tokenize -m model.gguf --decode \"19556 28 905\"\n",
        .max_pos = 1,
        .groups = {{"Options", tokenize_opts}},
        .run = ag_cli_tokenize,
    },
    {
        .name = "logits",
        .summary = "write a model's logits for every position",
        .usage = "-m MODEL (--ids IDS | --text TEXT) --out FILE [OPTION]...",
        .about = "Writes raw little-endian float32 values, one row of the vocabulary's size for "
                 "each token: what comparisons with other implementations need.",
        .examples = "autoglm logits -m model.gguf --ids \"1 2 3\" --out logits.f32\n",
        .groups = {{"Options", logits_opts}, GROUP_MODEL},
        .run = ag_cli_logits,
    },
    {
        .name = "check",
        .summary = "check a configuration of the server",
        .usage = "[OPTION]... [FILE]",
        .about = "Reads a YAML file as the server would, with what the environment "
                 "(AUTOGLM_SERVER_LISTEN for server.listen) and --set change, and tells every "
                 "mistake with its line and column. Nothing is started and no model is opened. "
                 "Without a file it checks the defaults. docs/config.md describes all keys.",
        .examples = "autoglm check config.yml\n"
                    "autoglm check --print --set engine.threads=4 config.yml\n",
        .max_pos = 1,
        .completes_files = true,
        .groups = {{"Options", check_opts}},
        .run = ag_cli_check,
    },
    {
        .name = "loadtest",
        .summary = "put load on a server and measure what its clients see",
        .usage = "[OPTION]... URL",
        .about = "Sends requests to a server with an OpenAI-compatible API (URL ends in /v1) and "
                 "shows throughput, time to first token, time between tokens and failures. By "
                 "default each client sends its next request when the last one is answered; with "
                 "--rate requests come at random times whatever the server does, and their times "
                 "count from when they were due. Prompts are made of common words and differ in "
                 "each request. Run it only against servers that you may put load on.\n"
                 "\n"
                 "The exit status is 1 when a request failed; refusals (429, 503) are counted "
                 "apart.",
        .examples = "autoglm loadtest http://127.0.0.1:8000/v1 -c 32 -n 256\n"
                    "autoglm loadtest http://127.0.0.1:8000/v1 --rate 5 --duration 60 --slo-ttft "
                    "500 --plot load.svg\n"
                    "autoglm loadtest http://127.0.0.1:8000/v1 --shared-words 1500 --json | jq "
                    ".ttft_ms.p99\n",
        .min_pos = 1,
        .max_pos = 1,
        .groups = {{"Options", loadtest_opts}},
        .run = ag_cli_loadtest,
    },
    {
        .name = "version",
        .summary = "show version, CPU and the kernels in use",
        .usage = "[OPTION]...",
        .about = "Shows the version, the compiler that built it, the CPU with the features that "
                 "matter here, and the tier of kernels that would be used.",
        .examples = "autoglm version\nautoglm version --json | jq -r .isa\n",
        .groups = {{"Options", version_opts}},
        .run = ag_cli_version,
    },
    {
        .name = "help",
        .summary = "show help for a command",
        .usage = "[COMMAND]",
        .about = "Without a command it lists them all. 'autoglm COMMAND --help' shows the same.",
        .examples = "autoglm help run\n",
        .max_pos = 1,
        .run = ag_cli_help_command,
    },
    {
        .name = "gen",
        .summary = "write man pages, completions or the command's documentation",
        .usage = "man DIR | bash | zsh | fish | markdown | config | metrics | schema",
        .about = "For packaging: man pages go into the directory, everything else to standard "
                 "output.",
        .examples = "autoglm gen bash > /etc/bash_completion.d/autoglm\n",
        .min_pos = 1,
        .max_pos = 2,
        .hidden = true,
        .run = ag_cli_gen,
    },
    {0},
};

/* ---- look-ups -------------------------------------------------------------------------------- */

const ag_cli_command *ag_cli_find(const char *name) {
    for (const ag_cli_command *c = ag_cli_commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

const ag_cli_opt *ag_cli_find_opt(const ag_cli_command *c, const char *name, size_t n,
                                  char letter) {
    for (int g = 0; g < AG_CLI_MAX_GROUPS && c->groups[g].opts; g++)
        for (const ag_cli_opt *o = c->groups[g].opts; o->name; o++)
            if (name ? strlen(o->name) == n && memcmp(o->name, name, n) == 0
                     : letter != 0 && o->letter == letter)
                return o;
    return NULL;
}

bool ag_cli_given(const ag_cli_args *a, const char *name) {
    for (size_t i = 0; i < a->n_seen; i++)
        if (strcmp(a->seen[i]->name, name) == 0)
            return true;
    return false;
}
