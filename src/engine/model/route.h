/* Choosing the experts of one row from its router's numbers. */
#ifndef AG_MODEL_ROUTE_H
#define AG_MODEL_ROUTE_H

#include "model/config.h"

/* Fill expert[n_used] (ascending numbers) and weight[n_used] from logits[n_experts], which become
 * the experts' scores. bias [n_experts] or NULL is added for choosing only.
 *
 *   score  = softmax(logits), or sigmoid(logits)
 *   choice = score + bias; of n_groups equal groups only the best n_groups_used take part, a group
 *            counting as its largest choice (softmax) or its two largest added (sigmoid)
 *   the n_used largest choices; weight = score (/ their sum) * scale
 *
 * as DeepSeek-V2 and -V3 do, of which Mixtral, Qwen3-MoE and GLM-4.5 are special cases. Among equal
 * choices the lower number wins; NaN is chosen last. Reentrant; depends on nothing else. */
void ag_route(const ag_moe_config *c, float *logits, const float *bias, int *expert, float *weight);

#endif
