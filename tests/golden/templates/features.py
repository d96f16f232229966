"""One small template for each feature of the language, with its context."""
M = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hi \n"}, {"role": "assistant", "content": "Hello!"}]
D = {"b": 1, "a": [1, 2.5, None, True, "x\"\\\n\té<>&'/"], "Z": {}}

SNIPPETS = [
    # --- text, output, comments, whitespace control
    ("plain text\nwith lines\n", {}), ("{{ 'a' }}\n", {}), ("a\n\n", {}), ("{# comment #}x", {}), ("x{# a\nb #}\ny", {}), ("  {# c #}\nx", {}),
    ("a {{- ' b ' -}} c", {}), ("a  \n {{- 'b' }}", {}), ("{{ 'b' -}}  \n\n c", {}), ("{%- if true -%}  x  {%- endif -%}", {}),
    ("{% if true %}\nx\n{% endif %}\ny\n", {}), ("  {% if true %}  \nx\n  {% endif %}\ny", {}), ("a {% if true %}b{% endif %} c", {}),
    ("{%+ if true %}x{% endif %}", {}), ("  {%+ if true %}x{% endif %}", {}), ("{% if true +%}\nx{% endif %}", {}), ("{{ 'x' }}\n{{ 'y' }}\n", {}),
    ("{% for i in [1,2] %}\n{{ i }}\n{% endfor %}\n", {}), ("a\r\n{% if true %}\r\nb\r\n{% endif %}\r\n", {}), ("\n{% set x = 1 %}\n{{ x }}", {}),
    ("{% raw %}{{ no }} {% if %}{% endraw %}", {}), ("{{ '{{' }} {{ \"}}\" }} {{ '%}' }}", {}),
    # --- literals
    ("{{ 1 }} {{ -2 }} {{ 3.0 }} {{ 1e3 }} {{ 2.50 }} {{ 10 / 4 }} {{ 1_000 }}", {}), ("{{ true }} {{ True }} {{ false }} {{ none }} {{ None }}", {}),
    ("{{ 'a\\n\\t\\\\\\'b' }}|{{ \"q\\\"q\" }}|{{ 'é' }}|{{ '\\u00e9' }}", {}), ("{{ [1, 'a', none, [2]] }}", {}), ("{{ {'a': 1, 'b': [true]} }}", {}),
    ("{{ (1, 2) }} {{ (1,) }} {{ () }}", {}), ("{{ [] }}{{ {} }}", {}), ("{{ 'a' 'b' }}", {}), ("{{ x }}|{{ x.y is defined }}", {}), ("{{ 'it''s' }}", {}),
    # --- operators and precedence
    ("{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 2 ** 3 }} {{ 7 / 2 }} {{ 6 / 2 }}", {}),
    ("{{ 'a' + 'b' }} {{ 'a' ~ 1 ~ none ~ true ~ 2.0 }} {{ 'ab' * 3 }} {{ [1] + [2] }}", {}), ("{{ 'n: %d %s' % (3, 'x') }}", {}),
    ("{{ 1 < 2 }} {{ 'a' < 'b' }} {{ 1 <= 1 }} {{ 2 != 2 }} {{ 1 == 1.0 }} {{ '1' == 1 }} {{ true == 1 }}", {}), ("{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }}", {}),
    ("{{ not true }} {{ not '' }} {{ not [] }} {{ not 0 }} {{ not none }} {{ not x }}", {}), ("{{ true and 'a' }} {{ '' or 'b' }} {{ 0 or none }} {{ 'x' and '' }}|", {}),
    ("{{ not a == b }}", {"a": 1, "b": 2}), ("{{ 'a' in 'cat' }} {{ 1 in [1] }} {{ 'k' in {'k': 1} }} {{ 'z' not in 'cat' }}", {}), ("{{ not 'a' in 'cat' }}", {}),
    ("{{ 'y' if c else 'n' }} {{ 'y' if not c }}|{{ 'y' if c }}", {"c": True}), ("{{ 1 if false else 2 if false else 3 }}", {}), ("{{ -x }} {{ +x }} {{ - 2 + 3 }}", {"x": 4}),
    ("{{ a.b.c }} {{ a['b']['c'] }} {{ a['b'].c }}", {"a": {"b": {"c": 5}}}), ("{{ 1 + 2 ~ 3 }} {{ '1' ~ 2 + 3 }}", {}), ("{{ 2 is not none and 3 }}", {}),
    ("{{ 1.0 + 1 }} {{ 0.1 + 0.2 }} {{ 1e20 }} {{ 1 / 3 }} {{ 100000000000000000000 }}", {}),
    # --- indexing and slices
    ("{{ l[0] }} {{ l[-1] }} {{ l[1:] }} {{ l[:-1] }} {{ l[::-1] }} {{ l[1:3] }} {{ l[::2] }}", {"l": [1, 2, 3, 4]}), ("{{ s[0] }} {{ s[-2:] }} {{ s[::-1] }}", {"s": "héllo"}),
    ("{{ l[9] is defined }}|{{ l[9] }}|", {"l": [1]}), ("{{ m[0]['role'] }} {{ m[-1].content }} {{ (m | last).role }}", {"m": M}), ("{{ d.items() | list }}", {"d": {"x": 1}}),
    ("{{ d.missing }}|{{ d['missing'] }}|{{ d.get('missing') }}|{{ d.get('missing', 7) }}", {"d": {}}), ("{{ d.keys() | list }} {{ d.values() | list }}", {"d": {"a": 1, "b": 2}}),
    ("{{ d['items'] }} {{ d.items is callable }} {{ d.items == 3 }}", {"d": {"items": 3}}), ("{{ x.y.z }}", {}), ("{{ x['y'].z }}", {"x": {}}), ("{{ none.a }}|", {}), ("{{ m.role }}|", {"m": [1]}),
    # --- if, for, loop variables
    ("{% if a %}A{% elif b %}B{% else %}C{% endif %}", {"b": 1}), ("{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }};{% endfor %}", {"l": "ab"}),
    ("{% for x in [] %}x{% else %}empty{% endfor %}", {}), ("{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}", {"d": {"b": 1, "a": 2}}), ("{% for k in d %}{{ k }}{% endfor %}", {"d": {"b": 1, "a": 2}}),
    ("{% for x in l if x > 1 %}{{ loop.index }}:{{ x }} {% endfor %}", {"l": [1, 2, 3]}), ("{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}", {"l": [1, 2]}),
    ("{% for x in l %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %}", {"l": [1, 2, 3, 4, 5]}),
    ("{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", {"l": [1, 2, 3]}), ("{% for a in [1,2] %}{% for b in [3] %}{{ loop.index }}{{ a }}{{ b }} {% endfor %}{{ loop.index }}{% endfor %}", {}),
    ("{% for i in range(3) %}{{ i }}{% endfor %} {% for i in range(2, 8, 3) %}{{ i }}{% endfor %} {{ range(3, 0, -1) | list }}", {}), ("{% for a, b in [[1, 2], [3, 4]] %}{{ a + b }} {% endfor %}", {}),
    ("{% for c in 'héy' %}{{ c }}.{% endfor %}", {}), ("{% for x in none %}{% endfor %}", {}), ("{% for x in y %}x{% endfor %}|", {}), ("{% for x in 5 %}{% endfor %}", {}),
    # --- set, namespace, scope
    ("{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}", {}), ("{% set ns = namespace(a=1, b='x') %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}", {}),
    ("{% if true %}{% set y = 2 %}{% endif %}{{ y }}", {}), ("{% set a, b = 1, 2 %}{{ a }}{{ b }}", {}), ("{% set t %}block {{ 1 + 1 }}{% endset %}[{{ t }}]", {}), ("{% set t | upper %}abc{% endset %}{{ t }}", {}),
    ("{% set messages = messages[1:] %}{{ messages | length }}", {"messages": M}), ("{% set ns = namespace() %}{% set ns.found = false %}{{ ns.found }}", {}), ("{% set ns = namespace({'q': 4}) %}{{ ns.q }}", {}),
    ("{% set d = {} %}{% set d.x = 1 %}", {}), ("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}", {}), ("{% set x = 5 %}{% macro f() %}{{ x }}{% endmacro %}{{ f() }}", {}),
    # --- macros and call
    ("{% macro m(a, b='d', c=none) %}[{{ a }}|{{ b }}|{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(1, c=3) }}{{ m() }}", {}), ("{% macro outer() %}<{{ caller() }}>{% endmacro %}{% call outer() %}in{% endcall %}", {}),
    ("{%- macro text(c) -%}{%- if c is string -%}{{- c -}}{%- else -%}{%- for i in c -%}{{- i.text -}}{%- endfor -%}{%- endif -%}{%- endmacro -%}{{ text('a') }}{{ text([{'text': 'b'}, {'text': 'c'}]) }}", {}),
    ("{% macro r(n) %}{{ n }}{% if n > 0 %},{{ r(n - 1) }}{% endif %}{% endmacro %}{{ r(3) }}", {}), ("{% macro v() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ v(1, 2, k=3) }}", {}),
    ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m('<b>') | length }}{{ m('a') ~ 'b' }}{{ m(' a ').strip() }}|", {}), ("{% filter upper %}abc {{ 'd' }}{% endfilter %}", {}), ("{% generation %}x{{ 1 }}{% endgeneration %}", {}),
    # --- tests
    ("{{ x is defined }}{{ y is defined }}{{ y is undefined }}{{ x is none }}{{ x is not none }}", {"x": None}), ("{{ 's' is string }}{{ 1 is number }}{{ 1 is integer }}{{ 1.5 is float }}{{ true is boolean }}{{ true is number }}{{ true is integer }}", {}),
    ("{{ [] is iterable }}{{ 's' is iterable }}{{ {} is mapping }}{{ [] is mapping }}{{ [] is sequence }}{{ 's' is sequence }}{{ {} is sequence }}{{ 1 is iterable }}", {}), ("{{ true is true }}{{ 1 is true }}{{ false is false }}{{ 0 is false }}", {}),
    ("{{ 3 is odd }}{{ 4 is even }}{{ 9 is divisibleby 3 }}{{ 1 is eq 1 }}{{ 2 is gt 1 }}{{ 'a' is in ['a'] }}{{ 1 is ne 2 }}{{ 'ab' is lower }}{{ 'AB' is upper }}", {}), ("{{ 1 is sameas 1 }}{{ none is none }}{{ f is callable }}", {}),
    ("{{ x is defined and x is string and x | length > 0 }}", {"x": "q"}), ("{{ not x is defined }}{{ x is not defined }}", {}), ("{{ 'a' is nosuch }}", {}),
    # --- filters
    ("{{ ' a b ' | trim }}|{{ 'xxaxx' | trim('x') }}|{{ 'aB' | upper }}{{ 'aB' | lower }}{{ 'ab cd' | title }}{{ 'ab CD' | capitalize }}", {}), ("{{ [1, 2] | length }}{{ 'héé' | length }}{{ {'a': 1} | count }}", {}),
    ("{{ l | join(', ') }}|{{ l | join }}|{{ m | join(';', attribute='role') }}", {"l": [1, "a", 2.0], "m": M}), ("{{ x | default('d') }}{{ '' | default('d') }}|{{ '' | default('d', true) }}{{ none | default('d') }}{{ x | d(1) }}", {}),
    ("{{ l | first }}{{ l | last }}{{ [] | first }}|{{ 'abc' | first }}", {"l": [3, 4]}), ("{{ 'a-b-a' | replace('a', 'c') }} {{ 'aaa' | replace('a', 'b', 2) }}", {}), ("{{ l | map('upper') | list }} {{ m | map(attribute='role') | join(',') }}", {"l": ["a"], "m": M}),
    ("{{ m | selectattr('role', 'equalto', 'user') | list | length }} {{ m | selectattr('content') | map(attribute='role') | list }} {{ m | rejectattr('role', 'eq', 'user') | map(attribute='role') | list }}", {"m": M}),
    ("{{ [1, 2, 3, 4] | select('odd') | list }} {{ [0, 1] | select | list }} {{ [1, 2] | reject('equalto', 1) | list }} {{ ['a', 'b'] | reject('in', ['a']) | list }}", {}), ("{{ [3, 1, 2] | sort }} {{ [3, 1] | sort(reverse=true) }} {{ m | sort(attribute='role') | map(attribute='role') | list }}", {"m": M}),
    ("{{ d | dictsort }} {{ d | items | list }} {{ d | list }}", {"d": {"b": 1, "a": 2, "C": 3}}), ("{{ 'a' | string }}{{ 5 | string }}{{ none | string }}{{ [1] | string }}{{ '7' | int + 1 }}{{ 'x' | int }}{{ '2.5' | float }}{{ 3.7 | int }}", {}),
    ("{{ [1, 2, 2, 1] | unique | list }}{{ [1, 5, 3] | max }}{{ [4, 2] | min }}{{ [1, 2] | sum }}{{ -3 | abs }}{{ 2.567 | round(1) }}{{ 2.5 | round }}", {}), ("{{ 'a\nb\n\nc' | indent(2) }}|{{ 'a\nb' | indent(2, first=true) }}|{{ 'a\nb' | indent(2, true) }}", {}),
    ("{{ '<a href=\"x\">&' | e }} {{ '<b>' | safe }} {{ '<b>' | escape }}", {}), ("{{ [1, 2, 3] | reverse | list }} {{ 'abc' | reverse }}", {}), ("{{ [1,2,3,4,5] | batch(2) | list }} {{ 'a b' | wordcount }} {{ 'abcdef' | truncate(5) }}", {}),
    ("{{ [{'k': 1, 'v': 2}, {'k': 1, 'v': 3}] | groupby('k') | length }}", {}), ("{{ 'x' | nosuch }}", {}), ("{{ 'a,b' .split(',') | last }}", {}), ("{{ -1 | abs }} {{ (-1) | abs }} {{ 2 + 3 | string | length }}", {}),
    # --- tojson
    ("{{ d | tojson }}", {"d": D}), ("{{ d | tojson(indent=2) }}", {"d": D}), ("{{ d | tojson(indent=4) }}", {"d": D}), ("{{ d | tojson(ensure_ascii=True) }}", {"d": {"é": "\U0001f600\u2028\x7f\x01"}}), ("{{ d | tojson(sort_keys=true) }}", {"d": D}),
    ("{{ d | tojson(separators=(',', ':')) }}", {"d": D}), ("{{ [] | tojson(indent=2) }}{{ {} | tojson(indent=2) }}{{ 's' | tojson }}{{ 1.0 | tojson }}{{ 1e22 | tojson }}{{ 1e-7 | tojson }}{{ true | tojson }}{{ none | tojson }}", {}), ("{{ x | tojson }}", {}),
    ("{{ [0.1, 1e16, 123456789.123, 1e15, 5e-324, 3.0e2] | tojson }}", {}),
    # --- string and list methods
    ("{{ ' x '.strip() }}|{{ '--x-'.strip('-') }}|{{ '  x'.lstrip() }}|{{ 'x\n'.rstrip('\n') }}|{{ 'abcba'.strip('ab') }}", {}), ("{{ 'a</t>b</t>c'.split('</t>') }} {{ 'a b  c'.split() }} {{ 'a.b.c'.split('.', 1) }} {{ 'a.b'.rsplit('.', 1) }}", {}),
    ("{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith('bc') }}{{ 'abc'.endswith(('x', 'c')) }}{{ 'abc'.find('c') }}{{ 'abc'.find('z') }}{{ 'aXbX'.count('X') }}", {}), ("{{ 'Ab'.upper() }}{{ 'Ab'.lower() }}{{ 'ab c'.title() }}{{ 'ab'.capitalize() }}{{ 'ab'.replace('a', 'x') }}", {}),
    ("{{ 'x={} y={}'.format(1, 'b') }} {{ '{0}{1}{0}'.format('a', 'b') }} {{ '{n:>4}'.format(n=3) }}", {}), ("{{ ','.join(['a', 'b']) }}{{ '5'.isdigit() }}{{ 'a'.isalpha() }}{{ 'abc'.index('b') }}", {}), ("{% set l = [1] %}{% set _ = l.append(2) %}{{ l }}", {}),
    ("{{ 'a\nb'.splitlines() }}{{ 'ß'.upper() }}{{ 'İ'.lower() | length }}", {}), ("{{ d.update({'x': 1}) }}", {"d": {}}), ("{{ 'a'.nosuch() }}", {}),
    # --- functions and errors
    ("{{ raise_exception('bad ' ~ 1) }}", {}), ("{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M:%S') }} {{ strftime_now('%A, %B %-d') }}", {}), ("{{ nosuch('x') }}", {}), ("{{ strftime_now is defined }} {{ raise_exception is defined }}", {}),
    ("{{ 1 + 'a' }}", {}), ("{{ 'a' + none }}", {}), ("{{ x + 'a' }}", {}), ("{{ 1 / 0 }}", {}), ("{% if %}", {}), ("{{ }}", {}), ("{% for x in l %}", {"l": []}), ("{% endif %}", {}), ("{{ 'open", {}), ("{{ dict(a=1, b=2) }}", {}),
    # --- pieces of real templates
    ("{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}", {"messages": M, "add_generation_prompt": True}),
    ("{%- if '</think>' in c %}{%- set r = c.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}{%- set c = c.split('</think>')[-1].lstrip('\\n') %}{%- endif %}[{{ r }}][{{ c }}]", {"c": "<think>\nwhy\n</think>\n\nbecause"}),
    ("{%- for m in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{{ index }}{{ m.role }} {%- endfor %}", {"messages": M}), ("{% if (messages[0]['role'] == 'user') != (0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}", {"messages": M}),
    ("{%- set x = tools is defined and tools is not none and tools | length > 0 %}{{ x }}", {"tools": None}), ("{{- '/nothink' if (enable_thinking is defined and not enable_thinking) else '' -}}|", {"enable_thinking": False}),
    ("{% for tool in tools %}{{ tool | tojson(ensure_ascii=False) }}\n{% endfor %}", {"tools": [{"type": "function", "function": {"name": "f", "description": "d é", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}}}]}),
    ("{% for k, v in a.items() %}<arg_key>{{ k }}</arg_key>\n<arg_value>{{ v | tojson(ensure_ascii=False) if v is not string else v }}</arg_value>\n{% endfor %}", {"a": {"city": "Köln", "n": 3, "l": [1, "a"], "b": True}}),
    ("{%- if loop is defined %}x{% endif %}{{ bos_token }}{{ eos_token }}", {"bos_token": "<s>", "eos_token": "</s>"}), ("{{ message['content'] | trim if message['content'] is string else 'list' }}", {"message": {"content": [1]}}),
]
