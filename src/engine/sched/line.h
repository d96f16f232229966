/* The line: tasks that wait, and who of them is next.
 *
 *   1. The higher class, but whoever was passed by eight of higher classes goes before the ninth.
 *   2. In a class, who ran before and had to make room, oldest first.
 *   3. The tenant that has used least (account.h).
 *   4. The earlier deadline; one without counts as if it had a minute.
 *   5. Who came first.
 *
 * Resting tasks stand in line but are never next. Thread: engine. */
#ifndef AG_SCHED_LINE_H
#define AG_SCHED_LINE_H

#include "autoglm/request.h"
#include "sched/account.h"
#include "sched/task.h"

#define AG_N_CLASSES (AG_PRIORITY_HIGH - AG_PRIORITY_LOW + 1)
/* Of so many that start, one may be of a class below. */
#define AG_PASSES 8
/* A task that made room so often is treated as of the highest class, so that it ends some day. */
#define AG_PATIENCE 3

typedef struct ag_line {
    ag_task *first;
    int n;
    uint64_t tokens;          /* of their prompts */
    int passed[AG_N_CLASSES]; /* starts of higher classes while this one waited */
} ag_line;

/* 0: lowest. */
static inline int ag_task_class(const ag_task *t) {
    return (t->n_preempted >= AG_PATIENCE ? AG_PRIORITY_HIGH : t->priority) - AG_PRIORITY_LOW;
}

void ag_line_push(ag_line *l, ag_task *t);
/* It must stand in line. */
void ag_line_remove(ag_line *l, ag_task *t);
/* Who is next; NULL: nobody. *its_turn: it goes before higher classes because it was passed too
 * often. */
ag_task *ag_line_next(const ag_line *l, const ag_accounts *a, bool *its_turn);
/* Take the task that ag_line_next() gave out of the line, because it starts now. */
void ag_line_start(ag_line *l, ag_task *t);

#endif
