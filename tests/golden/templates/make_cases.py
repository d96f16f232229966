#!/usr/bin/env python3
"""Write cases.json: what the unit test renders without Python.

    make_cases.py > cases.json

Three kinds: one snippet for each feature of the language (features.py), random snippets, and random
conversations through the templates in own/. Needs jinja2.
"""
from __future__ import annotations

import json
import os
import random

import conversations
import features
import reference
import snippets

HERE = os.path.dirname(os.path.abspath(__file__))


def answer(env, template, context):
    got = reference.render(env, template, context)
    if "error" not in got:
        return got
    raised = got["error"].removeprefix("TemplateError: ")
    return {"error": raised if raised != got["error"] else True}


def prints_address(got):
    return " object at 0x" in got.get("out", "") if isinstance(got.get("out"), str) else False


def main():
    env = reference.environment()
    cases = [dict(template=t, context=c, **answer(env, t, c)) for t, c in features.SNIPPETS]
    rng = random.Random("cases")
    while len(cases) < len(features.SNIPPETS) + 400:
        case = snippets.case(rng)
        got = answer(env, case["template"], case["context"])
        if len(case["template"]) > 160 or prints_address(got) or ("error" in got and rng.random() < 0.8):
            continue
        cases.append(dict(template=case["template"], **got))
    templates = {}
    for file in sorted(os.listdir(os.path.join(HERE, "own"))):
        with open(os.path.join(HERE, "own", file), encoding="utf-8") as f:
            templates[file] = f.read()
        for _ in range(12):
            context = conversations.context(rng)
            if len(json.dumps(context)) > 1600:
                continue
            cases.append(dict(file=file, context=context, **answer(env, templates[file], context)))
    print('{"common": ' + json.dumps(snippets.CONTEXT) + ',\n"cases": [')
    print(",\n".join(json.dumps(c) for c in cases))
    print("]}")


if __name__ == "__main__":
    main()
