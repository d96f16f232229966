#include "text/added.h"

static uint32_t new_node(ag_added *a, uint8_t byte, ag_err *err) {
    if (a->n == a->room) {
        size_t room = a->room ? a->room * 2 : 256;
        ag_added_node *nodes = ag_realloc(AG_ROOM_TEXT, a->nodes, room, sizeof *nodes);
        if (!nodes || room > UINT32_MAX) {
            if (nodes)
                a->nodes = nodes;
            ag_fail(err, AG_E_NOMEM, "out of memory for the added tokens");
            return 0;
        }
        a->nodes = nodes;
        a->room = room;
        if (a->n == 0)
            a->n = 1;
    }
    a->nodes[a->n] = (ag_added_node){.id = -1, .byte = byte};
    return (uint32_t)a->n++;
}

/* The child of `node` by `byte`, made if need be; 0 out of memory. Children are kept in order of
 * their making: they are few but behind the first byte, which has a table. */
static uint32_t step(ag_added *a, uint32_t node, uint8_t byte, ag_err *err) {
    uint32_t at = a->nodes[node].child;
    while (at && a->nodes[at].byte != byte)
        at = a->nodes[at].next;
    if (at)
        return at;
    at = new_node(a, byte, err);
    if (at) {
        a->nodes[at].next = a->nodes[node].child;
        a->nodes[node].child = at;
    }
    return at;
}

ag_code ag_added_put(ag_added *a, ag_span text, int32_t id, bool special, ag_err *err) {
    if (text.n == 0)
        return AG_OK;
    if (text.n > AG_MAX_ADDED_BYTES)
        return ag_fail(err, AG_E_LIMIT,
                       "token %d is matched in text and has %zu bytes; up to %u are"
                       " supported",
                       id, text.n, AG_MAX_ADDED_BYTES);
    uint8_t first = (uint8_t)text.p[0];
    uint32_t node = a->root[first];
    if (!node) {
        node = new_node(a, first, err);
        if (!node)
            return AG_E_NOMEM;
        a->root[first] = node;
    }
    for (size_t i = 1; i < text.n; i++) {
        node = step(a, node, (uint8_t)text.p[i], err);
        if (!node)
            return AG_E_NOMEM;
    }
    a->nodes[node].id = id;
    a->nodes[node].special = special;
    return AG_OK;
}

void ag_added_strip(ag_added *a, ag_span text, uint8_t strip) {
    uint32_t node = text.n ? a->root[(uint8_t)text.p[0]] : 0;
    for (size_t i = 1; node && i < text.n; i++) {
        node = a->nodes[node].child;
        while (node && a->nodes[node].byte != (uint8_t)text.p[i])
            node = a->nodes[node].next;
    }
    if (node)
        a->nodes[node].strip |= strip;
}

bool ag_added_find(const ag_added *a, ag_span text, size_t at, ag_added_match *m) {
    for (; at < text.n; at++) {
        uint32_t node = a->root[(uint8_t)text.p[at]];
        if (!node)
            continue;
        bool found = false;
        for (size_t i = at + 1;; i++) {
            const ag_added_node *here = &a->nodes[node];
            if (here->id >= 0) {
                *m = (ag_added_match){at, i, here->id, here->special, here->strip};
                found = true;
            }
            node = i < text.n ? here->child : 0;
            while (node && a->nodes[node].byte != (uint8_t)text.p[i])
                node = a->nodes[node].next;
            if (!node)
                break;
        }
        if (found)
            return true;
    }
    return false;
}

void ag_added_deinit(ag_added *a) {
    ag_free(a->nodes);
    *a = (ag_added){0};
}
