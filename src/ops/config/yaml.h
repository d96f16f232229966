/* YAML (1.1, by libyaml) as a tree of nodes that know where they stood. Private to the room.
 *
 * What a configuration needs and no more: one document of maps, lists and scalars. Anchors and
 * aliases, tags, complex and duplicate keys are refused, as are more than AG_YAML_DEPTH levels or
 * AG_YAML_NODES nodes, so the tree is never larger than the text. */
#ifndef AG_CONFIG_YAML_H
#define AG_CONFIG_YAML_H

#include "base/arena.h"

#define AG_YAML_DEPTH 16
#define AG_YAML_NODES 20000u

typedef enum ag_yaml_kind { AG_YAML_SCALAR, AG_YAML_LIST, AG_YAML_MAP } ag_yaml_kind;

typedef struct ag_yaml_node ag_yaml_node;
struct ag_yaml_node {
    ag_yaml_kind kind;
    const char *key;     /* in a map; NULL elsewhere */
    const char *text;    /* of a scalar, NUL-terminated without NULs inside */
    bool quoted;         /* a scalar in quotes is text, whatever it looks like */
    int line, column;    /* from 1; of the key where there is one */
    ag_yaml_node *first; /* of a list or map, in the order of the text */
    ag_yaml_node *next;  /* sibling */
};

/* *root is NULL for an empty document. Nodes live in the arena. AG_E_FORMAT: "FILE:LINE:COLUMN:
 * what is wrong"; AG_E_NOMEM. */
ag_code ag_yaml_parse(ag_span text, const char *name, ag_arena *arena, ag_yaml_node **root,
                      ag_err *err) AG_MUST_USE;

#endif
