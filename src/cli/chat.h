/* What the parts of autoglm chat share. Thread: main. */
#ifndef AG_CLI_CHAT_H
#define AG_CLI_CHAT_H

#include "cli/args.h"
#include "cli/convo.h"
#include "cli/lines.h"
#include "cli/stream.h"

typedef struct ag_cli_chatter {
    const ag_cli_args *a;
    ag_engine *engine;
    ag_engine_info info;
    ag_cli_lines lines;
    ag_cli_convo convo;
    ag_buf attached; /* from /read, for the next message */
    ag_cli_answer answer;
    uint64_t n_answers, n_generated, n_prompt; /* since the start */
    bool failed;                               /* something went wrong on the way */
    ag_logit_bias bias[AG_CLI_MAX_LIST];
} ag_cli_chatter;

/* Answer the conversation as it stands and append the answer; on failure, told, the conversation's
 * last message is taken back. */
void ag_cli_chat_answer(ag_cli_chatter *c);

typedef enum ag_cli_verdict { AG_CLI_GO_ON, AG_CLI_STOP } ag_cli_verdict;
/* Do what a line beginning with a slash says. */
ag_cli_verdict ag_cli_chat_command(ag_cli_chatter *c, ag_span line);

#endif
