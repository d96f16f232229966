/* The tokens at which generation ends. Files name one to three of them by id; conversions lose
 * others that the model's generation_config names, so well-known texts count too when they are
 * control tokens (or added ones: some conversions mark them so). */
#include "text/vocab.h"

static const char *const known[] = {
    "<|eot_id|>",      "<|im_end|>",
    "<|end|>",         "<end_of_turn>",
    "<|endoftext|>",   "<|eom_id|>",
    "<|return|>",      "<|call|>",
    "<|end_of_text|>", "<EOT>",
    "<|flush|>",       "<|calls|>",
    "[EOT]",           "<end_of_utterance>",
    "_<EOT>",          "<｜end▁of▁sentence｜>",
};

void ag_vocab_add_stop(ag_tokenizer *t, int32_t id) {
    if (id < 0 || id >= t->n || t->n_stops == AG_MAX_STOPS || ag_tokenizer_is_stop(t, id))
        return;
    size_t i = t->n_stops++;
    for (; i > 0 && t->stops[i - 1] > id; i--)
        t->stops[i] = t->stops[i - 1];
    t->stops[i] = id;
}

int32_t ag_vocab_find_added(const ag_tokenizer *t, const char *text) {
    int32_t id = ag_tokenizer_find(t, ag_str(text));
    bool added =
        id >= 0 && (t->type[id] == AG_TOKEN_CONTROL || t->type[id] == AG_TOKEN_USER_DEFINED);
    return added ? id : -1;
}

void ag_vocab_add_known_stops(ag_tokenizer *t) {
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        ag_vocab_add_stop(t, ag_vocab_find_added(t, known[i]));
    /* GLM-4 ends its turn with the header of the next one. */
    if (ag_vocab_find_added(t, "[gMASK]") >= 0 && ag_vocab_find_added(t, "<sop>") >= 0) {
        ag_vocab_add_stop(t, ag_vocab_find_added(t, "<|user|>"));
        ag_vocab_add_stop(t, ag_vocab_find_added(t, "<|observation|>"));
    }
    /* gpt-oss and Solar close each message of a turn with <|end|>; others end the turn. */
    bool harmony =
        ag_vocab_find_added(t, "<|return|>") >= 0 && ag_vocab_find_added(t, "<|call|>") >= 0;
    bool solar =
        ag_vocab_find_added(t, "<|calls|>") >= 0 && ag_vocab_find_added(t, "<|flush|>") >= 0;
    int32_t end = ag_vocab_find_added(t, "<|end|>");
    if ((harmony || solar) && end >= 0 && end != t->eos) {
        size_t n = 0;
        for (size_t i = 0; i < t->n_stops; i++)
            if (t->stops[i] != end)
                t->stops[n++] = t->stops[i];
        t->n_stops = n;
    }
}

const int32_t *ag_tokenizer_stops(const ag_tokenizer *t, size_t *n) {
    *n = t->n_stops;
    return t->stops;
}

bool ag_tokenizer_is_stop(const ag_tokenizer *t, int32_t id) {
    for (size_t i = 0; i < t->n_stops; i++)
        if (t->stops[i] == id)
            return true;
    return false;
}
