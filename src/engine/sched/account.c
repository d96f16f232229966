#include "sched/account.h"

#include "base/mem.h"

/* Idle accounts that are remembered beside as many as may be active. */
#define SPARE 64

ag_code ag_accounts_init(ag_accounts *a, int max_tasks, ag_err *err) {
    *a = (ag_accounts){.room = max_tasks + SPARE};
    a->list = ag_calloc(AG_ROOM_SCHED, (size_t)a->room, sizeof *a->list);
    return a->list ? AG_OK : ag_fail(err, AG_E_NOMEM, "out of memory for the scheduler");
}

void ag_accounts_deinit(ag_accounts *a) {
    ag_free(a->list);
    *a = (ag_accounts){0};
}

/* The account of a tenant, or one to be its own: a new one, or the idle one that has used least,
 * which the lift would raise anyway. */
static int find(ag_accounts *a, uint64_t tenant) {
    int idle = -1;
    for (int i = 0; i < a->n; i++) {
        if (a->list[i].tenant == tenant)
            return i;
        if (a->list[i].n_tasks == 0 && (idle < 0 || a->list[i].used < a->list[idle].used))
            idle = i;
    }
    if (a->n < a->room)
        idle = a->n++;
    AG_ASSERT(idle >= 0);
    a->list[idle] = (ag_account){.tenant = tenant};
    return idle;
}

static double least_active(const ag_accounts *a) {
    double least = -1;
    for (int i = 0; i < a->n; i++)
        if (a->list[i].n_tasks > 0 && (least < 0 || a->list[i].used < least))
            least = a->list[i].used;
    return least < 0 ? a->left : least;
}

int ag_accounts_join(ag_accounts *a, uint64_t tenant, double weight) {
    int at = find(a, tenant);
    ag_account *own = &a->list[at];
    if (own->n_tasks == 0) {
        double least = least_active(a);
        if (own->used < least)
            own->used = least;
    }
    own->weight = weight;
    own->n_tasks++;
    return at;
}

void ag_accounts_leave(ag_accounts *a, int account) {
    ag_account *own = &a->list[account];
    AG_ASSERT(own->n_tasks > 0);
    if (--own->n_tasks == 0)
        a->left = own->used;
}

void ag_accounts_charge(ag_accounts *a, int account, int tokens) {
    a->list[account].used += tokens / a->list[account].weight;
}
