"""Random contexts for chat templates: all roles, tools and tool calls, reasoning, content as parts,
missing and null members, odd white space, other scripts, and texts that look like control tokens.
"""
from __future__ import annotations

PIECES = [
    "Hello", "world", "what is 2+2?", " ", "  ", "\n", "\n\n", "\t", "\r\n", "", ".", "'", '"', "\\",
    "\\n", "{{ 1 }}", "{% if %}", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<think>", "</think>",
    "<think>\nhm\n</think>\n\n", "<tool_call>", "</tool_call>", "[INST]", "[/INST]", "<s>", "</s>",
    "<|begin_of_text|>", "<|start_header_id|>", "<start_of_turn>", "<|user|>", "<tool_response>",
    "</tool_response>", "/think", "/no_think", "Köln", "日本語", "🙂👍🏽", "e\u0301", "\u00a0", "\u200b", "ß",
    "İ", "Σας", "a & b < c > d", "None", "True", "0", "3.14", "{\"a\": 1}", "[1, 2]", "```json\n{}\n```",
    "<b>bold</b>", "line one\nline two\n", "  indented", "%s %d", "{}", "{0}", "\x7f", "\u2028",
]
NAMES = ["get_weather", "search", "python", "functions.run:0", "Köln_tool", "browser", "a.b", "x"]
KEYS = ["city", "days", "q", "items", "keys", "name", "type", "options", "é", "a b", "default"]
TYPES = ["string", "integer", "number", "boolean", "array", "object", ["string", "null"], "null"]


def text(rng, most=6):
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(0, most)))


def scalar(rng):
    return rng.choice([None, True, False, 0, 1, -7, 2 ** 53 + 1, 1.0, 0.1, -2.5e-7, 1e16, 1e22, 123456.789,
                       "", text(rng, 3), "word"])


def value(rng, depth=0):
    kind = rng.random()
    if depth > 2 or kind < 0.6:
        return scalar(rng)
    if kind < 0.8:
        return [value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    return {rng.choice(KEYS): value(rng, depth + 1) for _ in range(rng.randint(0, 3))}


def schema(rng, depth=0):
    out = {}
    if rng.random() < 0.95:
        out["type"] = rng.choice(TYPES)
    if rng.random() < 0.6:
        out["description"] = text(rng, 3) if rng.random() < 0.3 else "A description."
    if rng.random() < 0.15:
        out["enum"] = [scalar(rng) if rng.random() < 0.2 else rng.choice(["a", "b"]) for _ in range(rng.randint(0, 3))]
    if rng.random() < 0.1:
        out["default"] = value(rng, 2)
    if rng.random() < 0.05:
        out["nullable"] = rng.random() < 0.5
    if out.get("type") == "array" and rng.random() < 0.8 and depth < 3:
        out["items"] = schema(rng, depth + 1)
    if (out.get("type") == "object" or rng.random() < 0.03) and depth < 3:
        out["properties"] = {rng.choice(KEYS): schema(rng, depth + 1) for _ in range(rng.randint(0, 3))}
        if rng.random() < 0.6:
            out["required"] = rng.sample(list(out["properties"]), rng.randint(0, len(out["properties"])))
        if rng.random() < 0.2:
            out["additionalProperties"] = rng.random() < 0.5
    if rng.random() < 0.04 and depth < 2:
        out[rng.choice(["anyOf", "oneOf", "allOf"])] = [schema(rng, depth + 1) for _ in range(rng.randint(1, 2))]
    return out


def tool(rng):
    function = {"name": rng.choice(NAMES)}
    if rng.random() < 0.95:
        function["description"] = text(rng, 4) if rng.random() < 0.3 else "Does a thing."
    if rng.random() < 0.95:
        function["parameters"] = dict(schema(rng), type="object", properties={
            rng.choice(KEYS): schema(rng, 1) for _ in range(rng.randint(0, 4))})
        if rng.random() < 0.7:
            function["parameters"].setdefault("required", list(function["parameters"]["properties"])[:1])
    if rng.random() < 0.15:
        function["strict"] = True
    if rng.random() < 0.1:
        function["return"] = schema(rng)
    return {"type": "function", "function": function} if rng.random() < 0.92 else function


def arguments(rng):
    if rng.random() < 0.15:
        return rng.choice(["{\"city\": \"Köln\"}", "", "{}", "not json"])
    return {rng.choice(KEYS): value(rng) for _ in range(rng.randint(0, 3))}


def call(rng, number):
    function = {"name": rng.choice(NAMES), "arguments": arguments(rng)}
    shape = rng.random()
    if shape < 0.1:
        return function
    out = {"type": "function", "function": function}
    if shape < 0.9:
        out["id"] = rng.choice([f"call_{number}", f"call{number:05d}", f"functions.x:{number}", "123456789", ""])
    return out


def content(rng):
    kind = rng.random()
    if kind < 0.72:
        return text(rng)
    if kind < 0.78:
        return None
    parts = [rng.choice([{"type": "text", "text": text(rng, 3)}, {"type": "text", "text": "plain"}, {"type": "image"},
                         {"type": "image_url", "image_url": {"url": "http://x/y.png"}}, {"type": "video"}, {"type": "audio"},
                         "a bare string"]) for _ in range(rng.randint(0, 3))]
    return parts


def message(rng, role, number):
    out = {"role": role}
    if rng.random() < 0.97:
        out["content"] = content(rng) if rng.random() < 0.6 else text(rng) or "x"
    if role == "assistant":
        if rng.random() < 0.35:
            out["tool_calls"] = [call(rng, number + i) for i in range(rng.randint(0, 3))]
        if rng.random() < 0.25:
            out[rng.choice(["reasoning_content", "thinking", "reasoning", "thought"])] = rng.choice([text(rng), None, "because"])
        if rng.random() < 0.1:
            out["content"] = "<think>" + text(rng, 2) + "</think>" + text(rng, 3)
        if rng.random() < 0.05:
            out["prefix"] = True
    if role == "tool":
        if rng.random() < 0.8:
            out["name"] = rng.choice(NAMES)
        if rng.random() < 0.8:
            out["tool_call_id"] = rng.choice([f"call_{number - 1}", f"call{number - 1:05d}", "123456789"])
        if rng.random() < 0.1:
            out["content"] = value(rng)
    if rng.random() < 0.04:
        out["name"] = rng.choice(NAMES)
    return out


def roles(rng):
    out = []
    if rng.random() < 0.5:
        out.append(rng.choice(["system", "system", "system", "developer"]))
    style = rng.random()
    for _ in range(rng.randint(0, 5)):
        if style < 0.7:
            out += ["user", "assistant"] if rng.random() < 0.7 else ["user", "assistant", "tool", "assistant"]
        else:
            out.append(rng.choice(["user", "assistant", "tool", "system", "developer", "function", "ipython",
                                   "observation", "weird"]))
    if rng.random() < 0.7:
        out.append("user")
    if rng.random() < 0.1:
        out.append("assistant")
    return out


OPTIONS = {
    "enable_thinking": [True, False, None], "thinking": [True, False], "reasoning_effort": ["low", "medium", "high", "none", 3],
    "custom_tools": [None, []], "date_string": ["26 Jul 2024"], "tools_in_user_message": [True, False],
    "builtin_tools": [["python"], ["browser", "python"], []], "documents": [[{"title": "T", "text": "body"}], [], None],
    "model_identity": ["You are X."], "preserve_thinking": [True, False], "clear_thinking": [True, False],
    "keep_all_reasoning": [True], "citations": ["off"], "add_vision_id": [True], "thinking_budget": [0, 512, -1],
    "xml_tools": [["x"]], "python_tools": [["x"]], "reasoning": [True, "on"], "safety_mode": ["NONE", "CONTEXTUAL"],
    "grounding": ["enabled"], "functions": [[]], "datetime": ["2024-01-01"], "today": ["x"], "platform": [None],
    "developer_instructions": ["D"], "response_format": [None, {"type": "json_object"}], "skip_special_tokens": [True],
}


def tame_messages(rng):
    """What strict templates accept: alternating roles and strings."""
    out = [{"role": "system", "content": text(rng)}] if rng.random() < 0.5 else []
    for number in range(rng.randint(0, 3)):
        out.append({"role": "user", "content": text(rng)})
        if rng.random() < 0.4:
            calls = [{"id": f"call{number:05d}", "type": "function",
                      "function": {"name": rng.choice(NAMES), "arguments": {rng.choice(KEYS): value(rng)}}}]
            out.append({"role": "assistant", "content": rng.choice(["", None, "calling"]), "tool_calls": calls})
            out.append({"role": "tool", "name": calls[0]["function"]["name"], "tool_call_id": calls[0]["id"],
                        "content": text(rng)})
        out.append({"role": "assistant", "content": text(rng)})
    return out + [{"role": "user", "content": text(rng)}]


def context(rng):
    tame = rng.random() < 0.5
    out = {"messages": tame_messages(rng) if tame else [message(rng, role, i) for i, role in enumerate(roles(rng))],
           "add_generation_prompt": rng.random() < 0.6, "bos_token": "<BOS>", "eos_token": "<EOS>"}
    if rng.random() < 0.2:
        del out[rng.choice(["bos_token", "eos_token", "add_generation_prompt"])]
    if rng.random() < 0.45:
        out["tools"] = [tool(rng) for _ in range(rng.randint(0, 3))]
    elif rng.random() < 0.7:
        out["tools"] = None
    for name, choices in OPTIONS.items():
        if rng.random() < 0.06:
            out[name] = rng.choice(choices)
    return out
