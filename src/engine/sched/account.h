/* What each tenant has used: a virtual counter a tenant, in tokens divided by the tenant's weight
 * (Sheng et al. 2024, "Fairness in Serving Large Language Models"). Whoever has used least is next,
 * so tenants that keep asking get shares as their weights, and who asks little never waits long.
 *
 * A tenant that comes back from idling starts from the least counter of those that are active: time
 * in which it asked for nothing is not saved up.
 *
 * Invariant: an account is active while n_tasks > 0; there are never more active ones than room.
 * Thread: engine. Nothing here allocates after init. */
#ifndef AG_SCHED_ACCOUNT_H
#define AG_SCHED_ACCOUNT_H

#include "base/error.h"

#include <stdint.h>

/* A generated token against one of a prompt: it costs a step of its own. */
#define AG_PRICE_GENERATED 2

typedef struct ag_account {
    uint64_t tenant;
    double used;   /* virtual tokens */
    double weight; /* as the latest request said */
    int n_tasks;   /* waiting or running */
} ag_account;

typedef struct ag_accounts {
    ag_account *list; /* owned [room] */
    int n, room;
    double left; /* counter of the last one that went idle */
} ag_accounts;

/* For at most max_tasks tasks at once. AG_E_NOMEM. */
ag_code ag_accounts_init(ag_accounts *a, int max_tasks, ag_err *err) AG_MUST_USE;
void ag_accounts_deinit(ag_accounts *a);
/* A task of this tenant comes; the index of its account, valid until the task leaves. */
int ag_accounts_join(ag_accounts *a, uint64_t tenant, double weight);
void ag_accounts_leave(ag_accounts *a, int account);
void ag_accounts_charge(ag_accounts *a, int account, int tokens);

#endif
