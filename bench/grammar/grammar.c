/* What structured output costs: compiling, and a mask the first time and when it is known.
 *
 *     bench_grammar MODEL.gguf [TOKENS]
 *
 * The vocabulary is the model's, filled up to TOKENS (default 151,936) with pairs of its tokens.
 * Each form is followed along a text that fits it, in the longest tokens that fit; figures are CPU
 * microseconds of one thread. The vocabulary's own cost is paid once an engine. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/random.h"
#include "grammar/grammar.h"
#include "load/source.h"
#include "text/tokenizer.h"

typedef struct vocab_text {
    char **v;
    size_t *len;
    int32_t n;
} vocab_text;

typedef struct form {
    const char *name;
    ag_structure_kind kind;
    const char *text, *answer;
} form;

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static ag_span bytes_of(const void *ctx, int32_t id) {
    const vocab_text *t = ctx;
    return ag_span_of(t->v[id], t->len[id]);
}

static int32_t find(const void *ctx, ag_span text) {
    (void)ctx;
    (void)text;
    return -1;
}

static int read_vocab(const char *path, int32_t n, vocab_text *out) {
    ag_source *source = NULL;
    ag_tokenizer *t = NULL;
    ag_err err = {0};
    ag_rng rng;
    if (ag_source_open(path, &source, &err) || ag_tokenizer_from_source(source, &t, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    ag_rng_init(&rng, 1);
    int32_t own = ag_tokenizer_n(t);
    *out = (vocab_text){calloc((size_t)n, sizeof *out->v), calloc((size_t)n, sizeof *out->len), n};
    for (int32_t id = 0; id < n; id++) {
        char text[512];
        size_t len = 0;
        for (int part = 0; part < (id < own ? 1 : 2); part++) {
            int32_t from = id < own ? id : (int32_t)(ag_rng_u64(&rng) % (uint64_t)own);
            ag_span s = ag_tokenizer_type(t, from) == AG_TOKEN_NORMAL ? ag_tokenizer_bytes(t, from)
                                                                      : (ag_span){0};
            if (s.n > 100)
                continue;
            if (s.n)
                memcpy(text + len, s.p, s.n);
            len += s.n;
        }
        out->len[id] = len;
        out->v[id] = malloc(len + 1);
        memcpy(out->v[id], text, len);
    }
    ag_tokenizer_free(&t);
    ag_source_close(&source);
    return 0;
}

/* The longest token that begins the text. */
static int32_t longest(const vocab_text *t, ag_span text) {
    int32_t best = -1;
    for (int32_t id = 0; id < t->n; id++)
        if (t->len[id] && (best < 0 || t->len[id] > t->len[best]) &&
            ag_span_starts(text, bytes_of(t, id)))
            best = id;
    return best;
}

/* Follow the answer once; mean and most of a token's mask and step. */
static int follow(ag_grammar *g, const int32_t *ids, size_t n, uint64_t *bits, double *mean,
                  double *most) {
    ag_match *m = NULL;
    ag_err err = {0};
    *mean = *most = 0;
    if (ag_match_new(g, &m, &err))
        return 1;
    for (size_t i = 0; i < n; i++) {
        double began = now_us();
        if (ag_match_mask(m, bits, &err) || ag_match_accept(m, ids[i], &err)) {
            fprintf(stderr, "token %zu: %s\n", i, err.msg);
            ag_match_free(&m);
            return 1;
        }
        double us = now_us() - began;
        *mean += us / (double)n;
        *most = us > *most ? us : *most;
    }
    ag_match_free(&m);
    return 0;
}

static int measure(const form *f, const ag_gvocab *vocab, const vocab_text *t) {
    ag_structure s = {f->kind, f->text, f->text ? strlen(f->text) : 0};
    ag_grammar *g = NULL;
    ag_err err = {0};
    int32_t ids[512];
    size_t n = 0;
    for (ag_span left = ag_str(f->answer); left.n && n < 512; n++) {
        ids[n] = longest(t, left);
        left = ag_span_sub(left, t->len[ids[n]], left.n);
    }
    double began = now_us();
    if (ag_grammar_compile(vocab, &s, &g, &err)) {
        fprintf(stderr, "%s: %s\n", f->name, err.msg);
        return 1;
    }
    double compile_us = now_us() - began, first, first_most, again, again_most;
    uint64_t *bits = calloc(vocab->n_words, sizeof *bits);
    int bad = follow(g, ids, n, bits, &first, &first_most) ||
              follow(g, ids, n, bits, &again, &again_most);
    if (!bad)
        printf("%-22s %6zu %10.2f %10.1f %10.1f %10.2f %10.2f %9.1f\n", f->name, n,
               compile_us / 1e3, first, first_most, again, again_most,
               (double)ag_grammar_bytes(g) / 1024);
    free(bits);
    ag_grammar_unref(g);
    return bad;
}

#define PERSON                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"age\":{\"type\":"       \
    "\"integer\",\"minimum\":0,\"maximum\":150},\"email\":{\"type\":\"string\",\"format\":"        \
    "\"email\"},\"born\":{\"type\":\"string\",\"format\":\"date\"},\"tags\":{\"type\":"            \
    "\"array\",\"items\":{\"enum\":[\"red\",\"green\",\"blue\"]},\"maxItems\":5},"                 \
    "\"bio\":{\"type\":\"string\",\"maxLength\":500}},\"required\":[\"name\",\"age\",\"email\","   \
    "\"born\",\"tags\",\"bio\"],\"additionalProperties\":false}"
#define PERSON_ANSWER                                                                              \
    "{\"name\": \"Ada Lovelace\", \"age\": 36, \"email\": \"ada@example.com\", \"born\": "         \
    "\"1815-12-10\", \"tags\": [\"red\", \"blue\"], \"bio\": \"Ada wrote notes on the "            \
    "analytical engine, and an algorithm for it, which is often called the first program.\"}"
#define TREE                                                                                       \
    "{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"string\"},\"c\":"    \
    "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/n\"}}},\"required\":[\"v\",\"c\"],"         \
    "\"additionalProperties\":false}},\"$ref\":\"#/$defs/n\"}"
#define TREE_ANSWER                                                                                \
    "{\"v\": \"root\", \"c\": [{\"v\": \"left side\", \"c\": []}, {\"v\": \"right\", \"c\": "      \
    "[{\"v\": \"deep in the tree\", \"c\": []}]}]}"
#define FREE_ANSWER                                                                                \
    "{\"title\": \"A report\", \"items\": [1, 2.5, {\"name\": \"x\", \"ok\": true}], \"text\": "   \
    "\"Some words that go on for a while, with commas, and \\\"quotes\\\".\"}"

/* n objects of ten optional properties each, in one; other properties are allowed or not. */
static const char *objects(int n, bool others) {
    size_t room = 4096 + (size_t)n * 1024, at = 0;
    char *text = malloc(room);
    at += (size_t)snprintf(text, room, "{\"type\":\"object\",\"properties\":{");
    for (int i = 0; i < n; i++) {
        at += (size_t)snprintf(text + at, room - at,
                               "%s\"o%d\":{\"type\":\"object\",\"additionalProperties\":%s,"
                               "\"properties\":{",
                               i ? "," : "", i, others ? "true" : "false");
        for (int k = 0; k < 10; k++)
            at += (size_t)snprintf(text + at, room - at, "%s\"p%d\":{\"type\":\"%s\"}",
                                   k ? "," : "", k, k % 3 ? "string" : "integer");
        at += (size_t)snprintf(text + at, room - at, "}}");
    }
    snprintf(text + at, room - at, "}}");
    return text;
}
#define OBJECTS_ANSWER                                                                             \
    "{\"o0\": {\"p1\": \"x\", \"p9\": 3}, \"o7\": {}, \"o99\": {\"p0\": 1, \"p1\": \"and\", "      \
    "\"p8\": \"so on\"}}"

int main(int argc, char **argv) {
    const form forms[] = {
        {"choice", AG_STRUCTURE_CHOICE, "[\"positive\",\"negative\",\"neutral\"]", "neutral"},
        {"regex", AG_STRUCTURE_REGEX, "(\\+\\d{1,3} )?\\(\\d{3}\\) \\d{3}-\\d{4}",
         "+1 (555) 123-4567"},
        {"regex of words", AG_STRUCTURE_REGEX, "[A-Z][a-z ,]{10,200}\\.",
         "The cat sat on the mat, and was happy."},
        {"json_object", AG_STRUCTURE_JSON_OBJECT, NULL, FREE_ANSWER},
        {"json_schema", AG_STRUCTURE_JSON_SCHEMA, PERSON, PERSON_ANSWER},
        {"json_schema, recursive", AG_STRUCTURE_JSON_SCHEMA, TREE, TREE_ANSWER},
        {"100 objects", AG_STRUCTURE_JSON_SCHEMA, objects(100, false), OBJECTS_ANSWER},
        {"100 open objects", AG_STRUCTURE_JSON_SCHEMA, objects(100, true), OBJECTS_ANSWER},
        {"300 objects", AG_STRUCTURE_JSON_SCHEMA, objects(300, false), OBJECTS_ANSWER},
        {"300 open objects", AG_STRUCTURE_JSON_SCHEMA, objects(300, true), OBJECTS_ANSWER},
        {"grammar, arithmetic", AG_STRUCTURE_GRAMMAR,
         "root ::= expr\nexpr ::= term ([-+*/] term)*\nterm ::= [0-9]+ | \"(\" expr \")\"\n",
         "(12+34)*(5-(6/7))"},
    };
    vocab_text t;
    ag_gvocab *vocab = NULL;
    ag_err err = {0};
    int32_t n = argc > 2 ? atoi(argv[2]) : 151936;
    if (argc < 2 || n < 256 || read_vocab(argv[1], n, &t))
        return 2;
    ag_gvocab_source source = {.n_tokens = n, .bytes = bytes_of, .find = find, .ctx = &t};
    double began = now_us();
    if (ag_gvocab_new(&source, &vocab, &err))
        return 1;
    printf("vocabulary of %d tokens: %.1f ms, %.1f MiB, %u nodes\n", n, (now_us() - began) / 1e3,
           (double)ag_gvocab_bytes(vocab) / 1048576, vocab->n_nodes);
    printf("%-22s %6s %10s %10s %10s %10s %10s %9s\n", "form", "tokens", "compile ms", "first us",
           "most", "again us", "most", "KiB");
    int bad = 0;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        bad |= measure(&forms[i], vocab, &t);
    ag_gvocab_free(&vocab);
    return bad;
}
