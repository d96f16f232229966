/* JSON of a conversation, as ag_engine_render() takes it: any bytes give a prompt in valid UTF-8 or
 * a reason, and an error leaves nothing behind. Three templates with different needs read it. */
#include <stdint.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "text/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char *const templates[] = {
    /* Content is a string. */
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}",
    /* Content is a list of parts; tools as JSON. */
    "{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}"
    "{% for m in messages %}[{{ m['role'] }}]{% for c in m.content %}"
    "{{ c.text if c.type == 'text' else '<' + c.type + '>' }}{% endfor %}{% endfor %}",
    /* Tool calls whose arguments are an object; reasoning. */
    "{% for m in messages %}{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>"
    "{% endif %}{% if m.tool_calls %}{% for t in m.tool_calls %}{{ t.function.name }}("
    "{% for k, v in t.function.arguments.items() %}{{ k }}={{ v | tojson }},{% endfor %})"
    "{% endfor %}{% else %}{{ m.content }}{% endif %}{% endfor %}",
};
#define N_TEMPLATES (sizeof templates / sizeof *templates)

/* Made once; a fuzzer's process ends without giving them back. */
static ag_chat *chats[N_TEMPLATES];

static void make_chats(void) {
    for (size_t i = 0; i < N_TEMPLATES && !chats[i]; i++) {
        ag_chat_source source = {.text = ag_str(templates[i]), .bos = ag_str("<s>")};
        ag_err err = {0};
        AG_ASSERT(ag_chat_new(&source, &chats[i], &err) == AG_OK);
    }
}

static void render(const ag_chat *chat, const ag_chat_input *in) {
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, AG_MAX_RENDERED_BYTES);
    ag_err err = {0};
    ag_code code = ag_chat_render(chat, in, &out, &err);
    AG_ASSERT(code == err.code && (code == AG_OK) == (err.msg[0] == 0));
    AG_ASSERT(code == AG_OK || out.n == 0);
    AG_ASSERT(ag_utf8_is_valid(ag_buf_span(&out)));
    AG_ASSERT(ag_utf8_is_valid(ag_str(err.msg)));
    ag_buf_deinit(&out);
}

/* Every other member of the object is a variable of the template. */
static void render_all(json_t *all) {
    json_t *messages = json_incref(json_object_get(all, "messages"));
    json_t *tools = json_incref(json_object_get(all, "tools"));
    json_object_del(all, "messages");
    json_object_del(all, "tools");
    ag_chat_input in = {messages, tools, all, true, false};
    for (size_t i = 0; i < N_TEMPLATES; i++)
        render(chats[i], &in);
    json_decref(messages);
    json_decref(tools);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    make_chats();
    json_t *all = json_loadb((const char *)p, n, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(all))
        render_all(all);
    json_decref(all);
    return 0;
}
