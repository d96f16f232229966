/* Pages of docs/ that are made from tables of the server. On standard output. */
#ifndef AG_CLI_GEN_PAGES_H
#define AG_CLI_GEN_PAGES_H

void ag_cli_gen_config(void);  /* docs/config.md */
void ag_cli_gen_metrics(void); /* docs/metrics.md */
void ag_cli_gen_schema(void);  /* deploy/config.schema.json */

#endif
