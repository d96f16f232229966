/* Every cap in one place, each with its reason. */
#ifndef AG_BASE_LIMITS_H
#define AG_BASE_LIMITS_H

/* Files of a model. */
#define AG_MAX_GGUF_KEYS    65536u              /* real files have about 40 */
#define AG_MAX_GGUF_TENSORS 1000000u            /* the largest MoE has about 20,000 */
#define AG_MAX_GGUF_SPLITS  1024u               /* the format counts in u16 */
#define AG_MAX_GGUF_DEPTH   1                   /* arrays of arrays do not occur */
#define AG_MAX_SHARDS       4096u               /* of a folder; the largest have 200 */
#define AG_MAX_ST_HEADER    ((size_t)64 << 20)  /* of a safetensors file; 200 bytes a tensor */
#define AG_MAX_ST_DIMS      8                   /* real ones have up to 5 */
#define AG_MAX_CONFIG_BYTES ((size_t)4 << 20)   /* config.json; real ones reach some 100 KiB */
#define AG_MAX_INDEX_BYTES  ((size_t)128 << 20) /* a list of shards; the largest have 10 MiB */
#define AG_MAX_JSON_DEPTH   32                  /* of a folder's files; real ones reach 8 */
#define AG_MAX_DIM          ((uint64_t)1 << 31) /* one dimension of a tensor */
#define AG_MAX_VOCAB        (1u << 24)          /* the largest known vocabulary is 262,144 */
#define AG_MAX_LAYERS       4096u
#define AG_MAX_EXPERTS      4096u
#define AG_MAX_EXPERTS_USED 64 /* by one row; known models use 1 to 22 */
#define AG_MAX_HEADS        4096u
#define AG_MAX_CONTEXT      (1u << 27)

/* The registry of names. */
#define AG_MAX_NAMES             100000u            /* in one registry; a machine has some dozens */
#define AG_MAX_MODEL_FILES       65536u             /* of one model; the largest folders have 500 */
#define AG_MAX_MODEL_NAMES_BYTES ((size_t)64 << 20) /* names of all its files */

/* Replies of a model hub. */
#define AG_MAX_HUB_REPLY      ((size_t)32 << 20)  /* one; a page of 1000 files has 300 KiB */
#define AG_MAX_HUB_PAGES      1000u               /* of a list of files */
#define AG_MAX_HUB_FILES      100000u             /* of a repository: the hub's own advice */
#define AG_MAX_HUB_NAMES      ((size_t)64 << 20)  /* all paths together */
#define AG_MAX_HUB_FILE_BYTES ((uint64_t)1 << 44) /* one file; the sum of all stays below 2^61 */

/* Text. */
#define AG_MAX_TEXT_BYTES     ((size_t)64 << 20) /* one text to tokenise */
#define AG_MAX_TEMPLATE_BYTES ((size_t)1 << 20)  /* a chat template; real ones reach 20 KiB */
#define AG_MAX_RENDERED_BYTES ((size_t)64 << 20) /* a rendered prompt */
#define AG_MAX_TOOL_CALL_BYTES                                                                     \
    ((size_t)4 << 20)             /* one call as a model writes it; contexts end before */
#define AG_MAX_TOOL_NAME     256  /* bytes; OpenAI takes 64 */
#define AG_MAX_ANSWER_SPACE  1024 /* white space held back: it may stand before a call */
#define AG_MAX_BREAKER_BYTES 63u  /* a DRY sequence breaker; usual ones have one */

/* HTTP. The limits that an operator sets are in serve/http/http.h. */
#define AG_MAX_QUERY_PARAMS 64                 /* of one request; ours have at most three */
#define AG_MAX_STREAM_QUEUE ((size_t)64 << 20) /* producers stop at the high mark: never near */
#define AG_MAX_PEM_BYTES    ((size_t)1 << 20)  /* a certificate chain or key; real ones: 10 KiB */
#define AG_MAX_CERT_CHAIN   16                 /* certificates; real chains have up to 5 */

/* Structured output. The first five bound what compiling costs (a second at the very most), the
 * next two what one token may cost (some tens of milliseconds), the rest what is kept. */
#define AG_MAX_GRAMMAR_BYTES        ((size_t)1 << 20)    /* of its text; real ones reach 100 KiB */
#define AG_MAX_GRAMMAR_ARENA        ((size_t)64 << 20)   /* while it is compiled */
#define AG_MAX_GRAMMAR_WORK         ((uint64_t)20000000) /* steps of compiling */
#define AG_MAX_GRAMMAR_NODES        ((uint32_t)1 << 20)  /* of the automaton, 20 bytes each */
#define AG_MAX_GRAMMAR_DEPTH        200                  /* groups in groups */
#define AG_MAX_GRAMMAR_NESTING      6000u                /* expressions and rules in each other */
#define AG_MAX_SCHEMA_DEPTH         100u                 /* schemas in schemas */
#define AG_MAX_SCHEMA_PROPERTIES    1000u  /* of one object; OpenAI takes 5000 in all */
#define AG_MAX_SCHEMA_COUNTS        65536u /* properties times what minProperties counts */
#define AG_MAX_GRAMMAR_STEP_WORK    ((uint64_t)8000000) /* places looked at for one mask */
#define AG_MAX_GRAMMAR_STATES_BYTES ((size_t)48 << 20)  /* found while one grammar is followed */
#define AG_MAX_GRAMMAR_MASKS_BYTES  ((size_t)16 << 20)  /* kept with it */
#define AG_MAX_GRAMMARS             128                 /* kept by an engine */
#define AG_MAX_GRAMMARS_KEPT        ((size_t)64 << 20)  /* memory of those that nobody uses */
#define AG_MAX_GRAMMARS_LIVE        ((size_t)256 << 20) /* with those in use; beyond it each has */
#define AG_MAX_GRAMMAR_SHARE        ((size_t)8 << 20)   /* no more than this of states and masks */

#endif
