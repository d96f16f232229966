"""Jinja in the environment that transformers sets up for chat templates, with a frozen clock."""
from __future__ import annotations

import copy
import json
import warnings
from datetime import datetime

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

warnings.simplefilter("ignore", SyntaxWarning)  # from templates that are wrong on purpose
NOW = datetime(2025, 3, 9, 14, 5, 7)


class Generation(Extension):
    """{% generation %} ... {% endgeneration %} prints its body unchanged."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, "jinja2.ext.loopcontrols"])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.filters["from_json"] = json.loads  # ours has it: published templates use it
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


compiled = {}


def render(env, template, context):
    try:
        if template not in compiled:
            compiled[template] = env.from_string(template)
        return {"out": compiled[template].render(**copy.deepcopy(context))}
    except Exception as e:  # noqa: BLE001 - any failure is an answer
        return {"error": type(e).__name__ + ": " + str(e)}
