#include "grammar/atoms_of.h"

#include "base/limits.h"
#include "grammar/machine.h"

static const ag_atom no_text = {0};

const ag_atom *ag_build_own_atom(ag_build *b, ag_atom *atom) {
    const ag_expr *e = ag_expr_atom(b, atom);
    return !e ? NULL : e->kind == AG_EXPR_ATOM ? b->atoms[e->u.index] : &no_text;
}

const ag_expr *ag_build_atom_expr(ag_build *b, const ag_atom *atom) {
    for (uint32_t i = 0; i < b->n_atoms; i++)
        if (b->atoms[i] == atom)
            return ag_expr_atom_again(b, i);
    return atom ? ag_expr_nothing(b) : NULL;
}

/* The draft's number of a state; they are counted as they are met. */
static uint32_t number_of(ag_machine *m, uint32_t state, uint32_t *numbers, uint32_t *states,
                          ag_drawing *d) {
    if (state >= 4 * AG_ATOM_STATES) {
        d->failed = AG_E_GRAMMAR;
        return 0;
    }
    if (!numbers[state]) {
        uint32_t n = ag_drawing_state(d, m->states.v[state].accepts);
        if (d->failed)
            return 0;
        states[n] = state;
        numbers[state] = n + 1;
    }
    return numbers[state] - 1;
}

/* Follow every byte from every state. */
static void explore(ag_machine *m, uint32_t *numbers, uint32_t *states, ag_drawing *d) {
    number_of(m, ag_machine_start(m), numbers, states, d);
    for (uint32_t i = 0; i < d->n && !d->failed && !m->stopped; i++)
        for (unsigned c = 0; c < 256 && !d->failed; c++) {
            uint32_t to = ag_machine_step(m, states[i], (uint8_t)c);
            if (to != AG_STATE_DEAD)
                ag_drawing_edge(d, i, (uint8_t)c, (uint8_t)c, number_of(m, to, numbers, states, d));
        }
}

static ag_code determinise(ag_build *b, const ag_nfa *nfa, ag_atom **out, ag_err *err) {
    ag_machine m;
    ag_drawing d = {0};
    ag_code code = ag_machine_init(&m, nfa, AG_MAX_GRAMMAR_STATES_BYTES, err);
    if (code)
        return code;
    uint32_t *numbers = ag_calloc(AG_ROOM_GRAMMAR, 4 * AG_ATOM_STATES, sizeof *numbers);
    uint32_t *states = ag_calloc(AG_ROOM_GRAMMAR, AG_ATOM_STATES, sizeof *states);
    m.work_left = b->work_left;
    if (numbers && states)
        explore(&m, numbers, states, &d);
    b->work_left = m.work_left;
    if (!numbers || !states)
        code = ag_fail(err, AG_E_NOMEM, "out of memory for an automaton");
    else if (m.stopped)
        code = ag_machine_error(&m, err);
    else
        code = ag_drawing_finish(&d, out, err);
    ag_drawing_deinit(&d);
    ag_free(numbers);
    ag_free(states);
    ag_machine_deinit(&m);
    return code;
}

const ag_atom *ag_build_atom(ag_build *b, const ag_expr *e) {
    ag_nfa nfa;
    ag_atom *atom = NULL;
    ag_err err = {0};
    if (!e || b->code)
        return NULL;
    if (e->kind == AG_EXPR_NOTHING)
        return &no_text;
    ag_code code = ag_nfa_sketch(b, e, &nfa, &err);
    if (code)
        return NULL;
    code = determinise(b, &nfa, &atom, &err);
    ag_nfa_deinit(&nfa);
    if (code) {
        ag_build_fail(b, code, "%s", err.msg);
        return NULL;
    }
    return ag_build_own_atom(b, atom);
}
