/* Devices, and which of them holds which part of a model.
 *
 * The CPU is the only device so far, so a map can name no other; what users of Hugging Face write
 * is understood in full all the same, and a mistake in it is told before anything large is done. */
#ifndef AG_CORE_DEVICES_H
#define AG_CORE_DEVICES_H

#include <stdbool.h>

#include "base/error.h"

/* Give every part of a model with n_layers layers its device. `map` is
 *   NULL, "", "auto", "balanced", "balanced_low_0" or "sequential": as this machine has it,
 *   a device: "cpu",
 *   pairs: "0-11=cpu,12-23=cpu", where "*=cpu" is for all that is not named,
 *   or JSON: {"model.embed_tokens": "cpu", "model.layers.0-5": 0, "": "cpu"}, of which a number is
 *   the CUDA device of that number.
 * Pairs and JSON take the names of modules in Hugging Face checkpoints, GGUF's (blk.0, token_embd,
 * output_norm, output) and plain numbers of layers. A narrower name wins over a wider one; every
 * layer must have a device, and the embedding and the output, when not named, go with the first and
 * the last.
 * *out is the result as pairs in the model's order, owned by the caller (ag_free); without the
 * output parts when `has_output` is false.
 * AG_E_UNSUPPORTED (a device that is not present; the message lists those that are), AG_E_ARG
 * (modules unknown, named twice, past the last layer; layers without a device), AG_E_NOMEM. */
ag_code ag_device_map_resolve(const char *map, int n_layers, bool has_output, char **out,
                              ag_err *err) AG_MUST_USE;

#endif
