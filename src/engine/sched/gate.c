#include "sched/gate.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"

#define WINDOW_US     30e6
#define MAX_RETRY_S   600
#define LEAST_RETRY_S 1
#define HOPELESS      2 /* times its patience that a request would wait */
#define PART          3 /* times what is free that a tenant may hold: alone, three quarters */

void ag_drain_note(ag_drain *d, double tokens, double requests, double us) {
    double keep = exp(-us / WINDOW_US);
    d->tokens = d->tokens * keep + tokens;
    d->requests = d->requests * keep + requests;
    d->us = d->us * keep + us;
}

static double wait_for(const ag_gate *g, double requests) {
    double rate = ag_drain_per_s(&g->drain, g->drain.requests);
    double s = rate > 0 ? requests / rate : LEAST_RETRY_S;
    return s < MAX_RETRY_S ? s : MAX_RETRY_S;
}

double ag_gate_wait_s(const ag_gate *g) { return wait_for(g, (double)g->requests + 1); }

double ag_gate_retry_s(const ag_gate *g) {
    if (g->requests < g->max_requests && g->tokens < g->max_tokens)
        return 0;
    double over = (double)g->requests - 0.75 * (double)g->max_requests;
    double tokens_over = (double)g->tokens - 0.75 * (double)g->max_tokens;
    if (g->tokens > 0 && tokens_over > 0) { /* as so many requests of the usual length */
        double as_requests = tokens_over * (double)g->requests / (double)g->tokens;
        over = over > as_requests ? over : as_requests;
    }
    double s = wait_for(g, over);
    return s > LEAST_RETRY_S ? s : LEAST_RETRY_S;
}

/* The wait is an estimate, so only what is far too late is sent away, and nobody while there are
 * places: who came since the last step stands in no line. */
static bool is_too_late(const ag_gate *g, uint64_t patience_us) {
    return patience_us > 0 && g->requests > g->places && g->drain.requests > 0 &&
           ag_gate_wait_s(g) * 1e6 > HOPELESS * (double)patience_us;
}

/* ---- shares ---------------------------------------------------------------------------------- */

ag_code ag_gate_init(ag_gate *g, size_t room, ag_err *err) {
    g->shares = ag_calloc(AG_ROOM_SCHED, room, sizeof *g->shares);
    g->room = g->shares ? room : 0;
    return g->shares ? AG_OK : ag_fail(err, AG_E_NOMEM, "out of memory for the scheduler");
}

void ag_gate_deinit(ag_gate *g) {
    ag_free(g->shares);
    g->shares = NULL;
    g->n_shares = g->room = 0;
}

static ag_share *find(const ag_gate *g, uint64_t tenant) {
    for (size_t i = 0; i < g->n_shares; i++)
        if (g->shares[i].tenant == tenant)
            return &g->shares[i];
    return NULL;
}

void ag_gate_recount(ag_gate *g) { g->n_shares = 0; }

void ag_gate_count(ag_gate *g, uint64_t tenant, uint64_t tokens) {
    ag_share *own = tenant ? find(g, tenant) : NULL;
    if (!own && tenant && g->n_shares < g->room) {
        own = &g->shares[g->n_shares++];
        *own = (ag_share){.tenant = tenant};
    }
    if (own) {
        own->requests++;
        own->tokens += tokens;
    }
}

/* Who asks most must not be all that is in line, or others find it full whatever their turn: one
 * tenant may hold as much as PART times what is left (dynamic thresholds, Choudhury and Hahne
 * 1998). So there is always room for another, and n busy ones get equal parts. */
static bool holds_its_part(const ag_gate *g, uint64_t tenant, uint64_t tokens) {
    const ag_share *own = tenant ? find(g, tenant) : NULL;
    return own && (own->requests >= PART * (g->max_requests - g->requests) ||
                   own->tokens + tokens > PART * (g->max_tokens - g->tokens));
}

/* ---- the door -------------------------------------------------------------------------------- */

/* Until about a quarter of what waits is gone. */
static double quarter_s(const ag_gate *g) {
    double s = wait_for(g, 0.25 * (double)g->requests);
    return s > LEAST_RETRY_S ? s : LEAST_RETRY_S;
}

/* Of a tenant whose part is taken. */
static ag_code refuse_share(ag_gate *g, uint64_t tenant, ag_err *err) {
    g->refused_share++;
    return ag_fail(err, AG_E_SHARE,
                   "%llu of your requests are waiting already, which is your part of the line; try "
                   "again in about %.0f s",
                   (unsigned long long)find(g, tenant)->requests, ceil(quarter_s(g)));
}

static ag_code refuse_tokens(ag_gate *g, int tokens, ag_err *err) {
    char own[40] = "";
    double s = ag_gate_retry_s(g);
    g->refused_tokens++;
    if (tokens > 0)
        snprintf(own, sizeof own, ", and this one has about %d", tokens);
    return ag_fail(err, AG_E_AGAIN,
                   "prompts of %llu tokens are waiting already%s; try again in about %.0f s",
                   (unsigned long long)g->tokens, own, ceil(s > 0 ? s : quarter_s(g)));
}

ag_code ag_gate_ask(ag_gate *g, uint64_t tenant, int tokens, uint64_t patience_us, ag_err *err) {
    uint64_t least = tokens > 0 ? (uint64_t)tokens : 1;
    if (g->requests >= g->max_requests) {
        g->refused_requests++;
        return ag_fail(err, AG_E_AGAIN,
                       "%llu requests are waiting already; try again in about %.0f s",
                       (unsigned long long)g->requests, ceil(ag_gate_retry_s(g)));
    }
    if (g->requests > 0 && g->tokens + least > g->max_tokens)
        return refuse_tokens(g, tokens, err);
    if (g->tokens <= g->max_tokens && holds_its_part(g, tenant, least))
        return refuse_share(g, tenant, err);
    if (is_too_late(g, patience_us)) {
        g->refused_late++;
        return ag_fail(err, AG_E_AGAIN,
                       "the line is about %.1f s long, and this request may wait %.1f s; try again "
                       "later or allow more",
                       ag_gate_wait_s(g), (double)patience_us / 1e6);
    }
    return AG_OK;
}

ag_code ag_gate_enter(ag_gate *g, uint64_t tenant, int tokens, uint64_t patience_us, ag_err *err) {
    ag_code code = ag_gate_ask(g, tenant, tokens, patience_us, err);
    if (code)
        return code;
    g->requests++;
    g->tokens += (uint64_t)tokens;
    g->entered++;
    g->has_tenants |= tenant != 0;
    ag_gate_count(g, tenant, (uint64_t)tokens);
    return AG_OK;
}
