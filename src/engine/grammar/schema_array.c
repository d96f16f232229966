/* Arrays: prefixItems, items, minItems, maxItems. */
#include "grammar/schema_parts.h"

/* The schemas of the first items. Older drafts put them into "items". */
static json_t *prefix(json_t *node) {
    json_t *list = json_object_get(node, "prefixItems"), *items = json_object_get(node, "items");
    return json_is_array(list) ? list : json_is_array(items) ? items : NULL;
}

static json_t *rest_of(json_t *node) {
    json_t *items = json_object_get(node, "items");
    return json_is_array(items) ? json_object_get(node, "additionalItems") : items;
}

/* The items of the prefix, each only behind the one before it; `tail` is what may follow them. */
static const ag_expr *from_item(ag_schema *s, const ag_parts *items, uint32_t min,
                                const ag_expr *tail) {
    const ag_expr *rest = tail;
    for (size_t k = items->n; k-- > 0;) {
        const ag_expr *item = items->v[k];
        rest = AG_SEQ(s->b, k ? ag_gjson_next(s->b, item) : item, rest);
        if (k >= min)
            rest = ag_expr_maybe(s->b, rest);
    }
    return rest;
}

const ag_expr *ag_schema_array_type(ag_schema *s, json_t *node) {
    ag_build *b = s->b;
    uint32_t min = 0, max = AG_EXPR_MANY, n = 0;
    json_t *list = prefix(node), *rest = rest_of(node);
    ag_schema_count(s, node, "minItems", &min);
    ag_schema_count(s, node, "maxItems", &max);
    if (b->code)
        return NULL;
    ag_parts items = {0};
    for (; n < json_array_size(list) && n < max; n++) {
        size_t mark = ag_schema_enter_index(s, "prefixItems", n);
        ag_parts_add(b, &items, ag_schema_node(s, json_array_get(list, n)));
        ag_schema_leave(s, mark);
    }
    bool more = !json_is_false(rest) && n < max && (rest || !list || min > n);
    if (!b->code && min > max)
        return ag_schema_nothing(s, "minItems", "it is above maxItems");
    if (b->code || (!more && min > n))
        return b->code ? NULL : ag_schema_nothing(s, "minItems", "there cannot be so many");
    const ag_expr *tail = ag_expr_empty(b);
    if (more) {
        const ag_expr *item = rest ? ag_schema_at(s, "items", rest) : ag_gjson_value(b);
        if (item && item->size > 8)
            item = ag_expr_shared(b, item); /* it stands first and behind commas */
        uint32_t least = min > n ? min - n : 0, most = max == AG_EXPR_MANY ? max : max - n;
        if (n > 0) {
            tail = ag_expr_repeat(b, ag_gjson_next(b, item), least, most);
        } else {
            tail = AG_SEQ(b, item,
                          ag_expr_repeat(b, ag_gjson_next(b, item), least ? least - 1 : 0,
                                         most == AG_EXPR_MANY ? most : most - 1));
            if (least == 0)
                tail = ag_expr_maybe(b, tail);
        }
    }
    return ag_gjson_in_brackets(b, "[", from_item(s, &items, min, tail), "]");
}
