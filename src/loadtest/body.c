#include "loadtest/body.h"

#include "base/json_out.h"

/* Words that most tokenizers hold whole, so that a word is about a token. */
static const char *const words[] = {
    "time",    "year",     "people", "way",        "day",    "man",     "thing",   "life",
    "child",   "world",    "school", "state",      "family", "student", "group",   "country",
    "problem", "hand",     "part",   "place",      "case",   "week",    "company", "system",
    "program", "question", "work",   "government", "number", "night",   "point",   "home",
    "water",   "room",     "mother", "area",       "money",  "story",   "fact",    "month",
    "lot",     "right",    "study",  "book",       "eye",    "job",     "word",    "business",
    "issue",   "side",     "kind",   "head",       "house",  "service", "friend",  "father",
    "power",   "hour",     "game",   "line",       "end",    "member",  "law",     "car",
};
#define N_WORDS (sizeof words / sizeof *words)

const char *ag_load_path(ag_load_api api) {
    return api == AG_LOAD_CHAT          ? "chat/completions"
           : api == AG_LOAD_COMPLETIONS ? "completions"
                                        : "embeddings";
}

/* Shared words first; the first of the others carries the request's number, so that no two prompts
 * have more in common than was asked for. */
static void add_words(const ag_load_opts *o, uint64_t index, ag_rng *rng, ag_buf *out) {
    uint32_t n = o->prompt_words ? o->prompt_words : 128;
    for (uint32_t i = 0; i < n; i++) {
        size_t pick = i < o->shared_words ? i * 37 + i / 7 : ag_rng_u64(rng);
        ag_buf_addf(out, "%s%s", i ? " " : "", words[pick % N_WORDS]);
        if (i == o->shared_words)
            ag_buf_addf(out, "%llu", (unsigned long long)index);
    }
}

static void add_text(const ag_load_opts *o, uint64_t index, ag_rng *rng, ag_buf *out) {
    if (o->n_texts) {
        ag_json_str(out, o->texts[index % o->n_texts]);
        return;
    }
    ag_json_raw(out, ag_str("\""));
    add_words(o, index, rng, out);
    ag_buf_addc(out, '"');
}

static void add_messages(const ag_load_opts *o, uint64_t index, ag_rng *rng, ag_buf *out) {
    ag_json_key(out, "messages");
    ag_json_open(out, '[');
    ag_json_open(out, '{');
    ag_json_key(out, "role"), ag_json_str(out, "user");
    ag_json_key(out, "content"), add_text(o, index, rng, out);
    ag_json_close(out, '}');
    ag_json_close(out, ']');
}

void ag_load_body(const ag_load_opts *o, uint64_t index, ag_rng *rng, ag_buf *out) {
    out->n = 0;
    ag_json_open(out, '{');
    ag_json_key(out, "model"), ag_json_str(out, o->model);
    if (o->api == AG_LOAD_CHAT) {
        add_messages(o, index, rng, out);
    } else {
        ag_json_key(out, o->api == AG_LOAD_COMPLETIONS ? "prompt" : "input");
        add_text(o, index, rng, out);
    }
    if (o->api != AG_LOAD_EMBEDDINGS) {
        ag_json_key(out, "max_tokens"), ag_json_u64(out, o->max_tokens ? o->max_tokens : 64);
        ag_json_key(out, "temperature"), ag_json_f32(out, o->temperature);
        ag_json_key(out, "ignore_eos"), ag_json_bool(out, !o->stop_early);
        ag_json_key(out, "stream"), ag_json_bool(out, !o->whole);
        if (!o->whole) {
            ag_json_key(out, "stream_options");
            ag_json_raw(out, ag_str("{\"include_usage\":true}"));
        }
    }
    ag_json_close(out, '}');
}
