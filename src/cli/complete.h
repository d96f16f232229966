/* Shell completions from the table, on standard output. */
#ifndef AG_CLI_COMPLETE_H
#define AG_CLI_COMPLETE_H

void ag_cli_complete_bash(void);
void ag_cli_complete_zsh(void);
void ag_cli_complete_fish(void);

#endif
