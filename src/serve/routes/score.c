/* Log-probabilities of a prompt's own tokens, for echo with logprobs and for prompt_logprobs: the
 * logits of all its positions, as a sequence of their own beside what else runs. They take much
 * memory, so one prompt is scored at a time and its size has a bound. */
#include <math.h>
#include <stdio.h>

#include "base/json_out.h"
#include "base/mem.h"
#include "routes/task.h"

#define MAX_BYTES ((size_t)256 << 20) /* of logits: 1,300 tokens of a vocabulary of 50,000 */
#define MAX_TOP   20

typedef struct scored {
    ag_token_event event; /* as if the token had been generated */
    ag_token_logprob top[MAX_TOP];
    uint32_t rank; /* 1: the likeliest */
} scored;

/* Insert a candidate behind all that are as likely or likelier: lower ids come first among equals.
 */
static void offer(scored *s, size_t want, int32_t id, float logit) {
    size_t at = s->event.n_top;
    if (at == want && !(at && logit > s->top[at - 1].logprob))
        return;
    if (at < want)
        s->event.n_top = ++at;
    for (at--; at > 0 && logit > s->top[at - 1].logprob; at--)
        s->top[at] = s->top[at - 1];
    s->top[at] = (ag_token_logprob){id, logit};
}

static void score_row(const float *x, size_t n_vocab, int32_t id, size_t want, scored *s) {
    double sum = 0;
    float best = x[0];
    *s = (scored){.rank = 1};
    for (size_t i = 0; i < n_vocab; i++) {
        best = x[i] > best ? x[i] : best;
        s->rank += x[i] > x[id];
        if (want)
            offer(s, want, (int32_t)i, x[i]);
    }
    for (size_t i = 0; i < n_vocab; i++)
        sum += exp((double)(x[i] - best));
    float ln_total = (float)(log(sum) + (double)best);
    s->event.id = id;
    s->event.logprob = x[id] - ln_total;
    s->event.top = s->top;
    for (size_t i = 0; i < s->event.n_top; i++)
        s->top[i].logprob -= ln_total;
}

/* {"id": {"logprob", "rank", "decoded_token"}, ...}: the candidates and the token itself. */
static void add_entry(const ag_task *t, const scored *s, ag_buf *out) {
    bool told = false;
    ag_json_open(out, '{');
    for (size_t i = 0; i <= s->event.n_top; i++) {
        bool own = i == s->event.n_top;
        int32_t id = own ? s->event.id : s->top[i].id;
        ag_token_info token;
        if (own && told)
            break;
        told |= id == s->event.id;
        ag_engine_get_token(t->engine, id, &token);
        char name[12];
        snprintf(name, sizeof name, "%d", id);
        ag_json_key(out, name);
        ag_buf_adds(out, "{\"logprob\":");
        ag_json_f32(out, fmaxf(own ? s->event.logprob : s->top[i].logprob, -9999.0f));
        ag_buf_addf(out, ",\"rank\":%u,\"decoded_token\":", own ? s->rank : (uint32_t)i + 1);
        ag_json_text(out, ag_span_of(token.bytes, token.len));
        ag_json_close(out, '}');
    }
    ag_json_close(out, '}');
}

static void tell(ag_task *t, size_t prompt, const scored *s, bool first) {
    for (size_t i = prompt * t->gen.n; t->gen.echo && i < (prompt + 1) * t->gen.n; i++)
        ag_logprobs_echo(&t->choices[i], &s->event, first);
    if (!t->gen.has_prompt_logprobs)
        return;
    ag_buf *out = &t->choices[prompt * t->gen.n].prompt_logprobs;
    if (first)
        ag_json_null(out);
    else
        add_entry(t, s, out);
}

static bool score_prompt(ag_task *t, size_t prompt, size_t n_vocab, ag_problem *p) {
    const ag_prompt *one = &t->prompts.v[prompt];
    size_t most = MAX_BYTES / (n_vocab * sizeof(float));
    size_t want = t->gen.has_prompt_logprobs && t->gen.prompt_logprobs > t->gen.top_logprobs
                      ? t->gen.prompt_logprobs
                      : t->gen.top_logprobs;
    ag_err err = {0};
    scored s = {.event.id = one->ids[0]};
    if (one->n > most)
        return ag_problem_bad(p, "prompt",
                              "the prompt has %zu tokens; log-probabilities of prompts are told up "
                              "to %zu tokens of this model",
                              one->n, most);
    float *x = ag_alloc(AG_ROOM_ROUTES, one->n * n_vocab * sizeof *x);
    if (!x)
        return ag_problem_memory(p, "the logits of a prompt");
    bool fine = !ag_engine_logits(t->engine, one->ids, one->n, x, &err) ||
                ag_problem_of(p, &err, err.code == AG_E_CTX_FULL ? "prompt" : NULL);
    if (fine)
        tell(t, prompt, &s, true);
    for (size_t i = 0; fine && i + 1 < one->n; i++) {
        score_row(x + i * n_vocab, n_vocab, one->ids[i + 1], want, &s);
        tell(t, prompt, &s, false);
    }
    ag_free(x);
    return fine;
}

bool ag_score_is_wanted(const ag_gen *g) {
    return g->has_prompt_logprobs || (g->echo && g->logprobs);
}

bool ag_score_prompts(ag_task *t, ag_problem *p) {
    ag_engine_info info;
    ag_engine_get_info(t->engine, &info);
    bool fine = true;
    for (size_t i = 0; fine && i < t->prompts.n && !atomic_load(&t->cancelled); i++)
        fine = score_prompt(t, i, info.n_vocab, p);
    return fine;
}
