"""Random small templates: expressions, filters, tests, methods, statements. Many fail; both sides
must then fail.
"""
from __future__ import annotations

NAMES = ["a", "s", "l", "d", "m", "n", "t", "none_", "missing", "x"]
STRINGS = ["", "a", "abc", " x ", "a,b,,c", "Héllo Wörld", "1", "12.5", "<b>&'\"", "a\nb\n\nc", "ßİΣς", "日本",
           "  ", "aXbX", "%s-%d", "{} {0}", "x\ty", "'", "ab cd-ef", "_", "🙂x", "\r\nq", "TRUE", "-7", "é"]
CONTEXT = {
    "a": 3, "s": "Hello, wörld ", "l": [3, 1, 2], "d": {"b": 1, "a": [1, 2.5, None, True], "items": 3, "c": "x"},
    "m": [{"role": "user", "content": " hi ", "n": 2}, {"role": "assistant", "content": None, "n": 1},
          {"role": "tool", "content": "ö", "n": 2}],
    "n": -2.5, "t": True, "none_": None,
}
FILTERS = ["length", "upper", "lower", "trim", "title", "capitalize", "list", "first", "last", "join", "join(', ')",
           "join('-', attribute='role')", "string", "int", "float", "abs", "round", "round(1)", "sort", "reverse | list",
           "unique | list", "min", "max", "sum", "tojson", "tojson(indent=2)", "tojson(ensure_ascii=true)",
           "tojson(sort_keys=true)", "default('D')", "default('D', true)", "items | list", "dictsort", "map('upper') | list",
           "map(attribute='role') | list", "map(attribute='n') | sum", "select | list", "select('string') | list",
           "reject('none') | list", "selectattr('n') | list", "selectattr('n', 'eq', 2) | map(attribute='role') | join(',')",
           "rejectattr('content') | list | length", "sort(attribute='n') | map(attribute='role') | list",
           "sort(reverse=true)", "sort(attribute='n,role') | list | tojson", "groupby('n') | list | length",
           "batch(2) | list", "batch(2, 'F') | list", "slice(2) | list", "slice(2, 0) | list", "replace('a', 'Q')",
           "replace('', '.')", "replace('X', 'y', 1)", "escape", "e ~ '<'", "safe", "safe + '<'", "indent",
           "indent(2, true)", "indent(3, blank=true)", "indent('> ')", "truncate(3)", "truncate(5, true)", "truncate(4, false, '')",
           "wordcount", "center(9)", "trim('a ')", "length + 1", "count", "d('z')", "attr('x')", "format(1, 2)",
           "dictsort(by='value')", "dictsort(reverse=true)", "max(attribute='n')", "unique(attribute='n') | list | length",
           "int(5)", "int(0, 16)", "float(1.5)", "round(0, 'ceil')", "round(2, 'floor')", "forceescape"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true", "false", "mapping",
         "iterable", "sequence", "callable", "odd", "even", "divisibleby 3", "divisibleby(2)", "lower", "upper",
         "eq 3", "ne 3", "gt 1", "lt 1", "ge 3", "le 3", "in [1, 2, 3]", "in 'abc'", "sameas none", "sameas(true)", "escaped"]
METHODS = ["strip()", "lstrip()", "rstrip()", "strip('a ')", "upper()", "lower()", "title()", "capitalize()", "split()",
           "split(',')", "split(',', 1)", "split(none, 1)", "rsplit(',', 1)", "rsplit()", "splitlines()", "splitlines(true)",
           "replace('a', 'b')", "replace('', '-', 2)", "startswith('a')", "endswith('c')", "startswith(('x', 'H'))",
           "find('b')", "rfind('X')", "count('X')", "count('')", "index('b')", "join(['1', '2'])", "join(l)", "isdigit()",
           "isalpha()", "isalnum()", "isspace()", "islower()", "isupper()", "istitle()", "items() | list", "keys() | list",
           "values() | list", "get('b')", "get('zz', 4)", "get('zz')", "items()", "keys()", "pop()", "append(1)", "copy()",
           "format(1, 'y')", "zfill(6)", "ljust(7, '.')", "rjust(7)", "center(8, '*')", "partition(',')", "rpartition('X')",
           "removeprefix('a')", "removesuffix('c')", "index(3)", "nosuch()", "find('l', 3)", "startswith('l', 2)",
           "isnumeric()", "isdecimal()", "isprintable()"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
GETS = [".b", ".role", ".items", "[0]", "[-1]", "[9]", "['a']", "['items']", "[true]", ".missing", ".missing.x",
        "[missing]", "['get']('b')", "[1, 2]", ".0"]
SLICES = ["[1:]", "[:-1]", "[::-1]", "[::2]", "[-2:]", "[1:2]", "['x':]", "[5:1:-2]", "[:0]", "[missing:]", "[::0]", "[-9:9:3]"]
FORMATS = ["'%s|%r' % (x, s)", "'%5.2f|%d|%x' % (1.005, 42, 255)", "'%-5s|%05d|%+d' % ('é', 42, 7)", "'%(k)s' % {'k': 1}",
           "'%s' % l", "'%d%%' % 3", "'%e %g' % (12345.678, 0.00001)", "'{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd')",
           "'{:05d}|{:,}|{:.2f}|{:x}|{:e}'.format(42, 1234567, 2.675, 255, 1234.5)", "'{0[b]} {0[a]}'.format(d)", "'{x} {y!r}'.format(x=1, y='q')",
           "'{} {}'.format(1)", "'{{}}{}'.format(n)", "'{:.3}'.format('abcdef')", "'{:%}'.format(0.25)", "'{:g}'.format(1e10)"]


def literal(rng):
    kind = rng.random()
    if kind < 0.35:
        return repr(rng.choice(STRINGS))
    if kind < 0.5:
        return str(rng.choice([0, 1, 2, 3, 7, 10, 100, -1]))
    if kind < 0.6:
        return str(rng.choice([0.5, 1.0, 2.5, 1e20, 0.1, 1e-7, 3.14159]))
    if kind < 0.7:
        return rng.choice(["true", "false", "none", "True", "None"])
    return rng.choice(NAMES)


def expression(rng, depth=0):
    kind = rng.random()
    if depth > 3 or kind < 0.2:
        return literal(rng)
    if kind < 0.36:
        return f"({expression(rng, depth + 1)}) | {rng.choice(FILTERS)}"
    if kind < 0.44:
        return f"({expression(rng, depth + 1)}) is {rng.choice(['', 'not '])}{rng.choice(TESTS)}"
    if kind < 0.56:
        return f"({expression(rng, depth + 1)}).{rng.choice(METHODS)}"
    if kind < 0.61:
        return f"({expression(rng, depth + 1)}){rng.choice(GETS)}"
    if kind < 0.64:  # of names only: the reference folds slices of constants by other rules
        return f"{rng.choice(NAMES)}{rng.choice(SLICES)}"
    if kind < 0.8:
        open_, close = rng.choice([("(", ")"), ("", "")])
        return f"{open_}{expression(rng, depth + 1)} {rng.choice(OPERATORS)} {expression(rng, depth + 1)}{close}"
    if kind < 0.84:
        return f"{rng.choice(['not ', '-', '+'])}{expression(rng, depth + 1)}"
    if kind < 0.88:
        return f"({expression(rng, depth + 1)} if {expression(rng, depth + 1)} else {expression(rng, depth + 1)})"
    if kind < 0.92:
        return "[" + ", ".join(expression(rng, depth + 2) for _ in range(rng.randint(0, 3))) + "]"
    if kind < 0.94:
        return "(" + "".join(expression(rng, depth + 2) + ", " for _ in range(rng.randint(0, 3))) + ")"
    if kind < 0.97:
        return "{" + ", ".join(f"{rng.choice(['1', 'x', repr('k'), 'true', '(1, 2)'])}: {expression(rng, depth + 2)}"
                               for _ in range(rng.randint(0, 2))) + "}"
    return rng.choice(FORMATS)


def tag(rng, words):
    return ("{%" + rng.choice(["", "", "", "-", "+"]) + " " + words + " " + rng.choice(["", "", "", "-", "+"]) + "%}")


def white(rng):
    return rng.choice(["", "", " ", "\n", "  \n", "\n  ", " x ", "text\n", "\t"])


def statement(rng, depth=0, loop=False):
    kind = rng.random()
    body = lambda inner=loop: block(rng, depth + 1, inner)  # noqa: E731
    if depth > 3 or kind < 0.35:
        return "{{" + rng.choice(["", "", "-"]) + " " + expression(rng, 1) + " " + rng.choice(["", "", "-"]) + "}}"
    if kind < 0.45:
        return tag(rng, f"set {rng.choice(NAMES)} = {expression(rng, 1)}")
    if kind < 0.58:
        middle = tag(rng, f"elif {expression(rng, 2)}") + body() if rng.random() < 0.3 else ""
        other = tag(rng, "else") + body() if rng.random() < 0.5 else ""
        return tag(rng, f"if {expression(rng, 2)}") + body() + middle + other + tag(rng, "endif")
    if kind < 0.74:
        what = rng.choice(["x in l", "k, v in d.items()", "c in s", "m in m", "x in range(3)", f"x in {expression(rng, 2)}", "x in l if x > 1",
                           "x in m | selectattr('n', 'eq', 2)", "x in [1, 2, 3] if x is odd"])
        extra = rng.choice(["", "{{ loop.index }}", "{{ loop.last }}", "{{ loop.length }}", "{{ loop.previtem }}|{{ loop.nextitem }}",
                            "{{ loop.revindex0 }}", "{{ loop.cycle('p', 'q') }}", "{{ loop.changed(x) }}", "{{ loop.first }}"])
        other = tag(rng, "else") + body() if rng.random() < 0.2 else ""
        return tag(rng, f"for {what}") + extra + body(True) + other + tag(rng, "endfor")
    if kind < 0.79:
        return (tag(rng, "set ns = namespace(v=1)") + tag(rng, "for x in l") + tag(rng, f"set ns.v = {expression(rng, 2)}") +
                tag(rng, "endfor") + "{{ ns.v }}")
    if kind < 0.84:
        name = rng.choice(["f", "g"])
        return (tag(rng, f"macro {name}(p, q={expression(rng, 3)})") + body(False) + "{{ p }}{{ q }}{{ x }}" + tag(rng, "endmacro") +
                "{{ " + rng.choice([f"{name}(1)", f"{name}(q=2)", f"{name}(1, 2, 3)", f"{name}()", f"{name}(1, r=2)"]) + " }}")
    if kind < 0.87:
        return tag(rng, f"set {rng.choice(NAMES)}") + body() + tag(rng, "endset")
    if kind < 0.9:
        return tag(rng, "with x = 1, y = x") + body() + "{{ x }}{{ y }}" + tag(rng, "endwith")
    if kind < 0.92:
        return tag(rng, f"filter {rng.choice(['upper', 'trim', 'indent(2)', 'replace(1, 2)'])}") + body() + tag(rng, "endfilter")
    if kind < 0.94:
        return tag(rng, "macro w()") + "<{{ caller(7) }}>" + tag(rng, "endmacro") + tag(rng, "call(z) w()") + "{{ z }}" + body(False) + tag(rng, "endcall")
    if kind < 0.95:
        return tag(rng, "raw") + "{{ x }}" + white(rng) + tag(rng, "endraw")
    if kind < 0.96:
        return "{#" + rng.choice(["", "-"]) + " note " + rng.choice(["", "-"]) + "#}"
    if kind < 0.975:
        return tag(rng, "generation") + body(False) + tag(rng, "endgeneration")
    if loop:
        return tag(rng, f"if {expression(rng, 2)}") + tag(rng, rng.choice(["break", "continue"])) + tag(rng, "endif")
    return tag(rng, "set x, y = l[0], s") + "{{ x }}{{ y }}"


def block(rng, depth=0, loop=False):
    return "".join(white(rng) + statement(rng, depth, loop) for _ in range(rng.randint(1, 3))) + white(rng)


def case(rng):
    template = "{{ " + expression(rng) + " }}" if rng.random() < 0.5 else block(rng)
    return {"template": template, "context": CONTEXT}
