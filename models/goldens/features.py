"""One small template per feature, rendered by transformers; `now` is the clock that strftime_now reads."""

from typing import Any

from chats import CLOCK, WEATHER, assistant, system, user

NOW = "2026-01-15T09:30:05"
TALK = [system("Be kind."), user("  Hello, World  "), assistant("Hi!"), user("Bye")]
PARTS = [user([{"type": "text", "text": "Look:"}, {"type": "image"}, {"type": "text", "text": "what is it?"}])]
DATA = {"b": 1, "a": {"x": [1, 2.5, True, None], "t": "caf\u00e9 <&> \"q\" \\ \n"}}


def case(name: str, template: str, messages: Any = TALK, **variables: Any) -> dict[str, Any]:
    return {"name": name, "template": template, "messages": messages, "variables": variables}


FEATURES = [
    case("strip", "[{{ messages[1].content.strip() }}|{{ 'xxyxx'.strip('x') }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ '\\n\\na\\n'.lstrip('\\n') }}]"),
    case("split", "{{ 'a,b,,c'.split(',') | join('|') }} {{ ' a  b '.split() | length }} {{ 'a-b-c'.split('-', 1)[-1] }} {{ 'a-b-c'.rsplit('-', 1)[0] }} {{ 'x'.split('</think>')[-1] }}"),
    case("starts and ends", "{{ 'hello'.startswith('he') }} {{ 'hello'.endswith(('x', 'lo')) }} {{ 'lo' in 'hello' }} {{ 'a' not in 'b' }}"),
    case("dictionary methods", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{{ d.get('b') }} {{ d.get('z', 'none') }} {{ d.get('z') is none }} {{ d.keys() | list | length }} {{ d.values() | sum }}", d={"a": 1, "b": 2}),
    case("string methods", "{{ 'ab'.upper() }} {{ 'AB'.lower() }} {{ 'a b'.title() }} {{ 'ab'.capitalize() }} {{ 'aXb'.replace('X', '-') }} {{ 'abcb'.find('b') }} {{ 'abcb'.count('b') }} {{ '12'.isdigit() }} {{ '-'.join(['a', 'b']) }} {{ 'a\\nb'.splitlines() | length }} {{ '7'.zfill(3) }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ '{} and {}'.format('a', 1) }}"),
    case("slices", "{{ 'abcdef'[1:3] }} {{ 'abcdef'[::-1] }} {{ 'abcdef'[-2:] }} {% for m in messages[1:] %}{{ m.role }} {% endfor %}{% for m in messages[::-1] %}{{ m.role[0] }}{% endfor %} {{ messages[-1].content }} {{ [1,2,3,4][::2] | join('') }}"),
    case("namespace", "{% set ns = namespace(n=0, names=[], found=false) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% set ns.names = ns.names + [m.role] %}{% if m.role == 'user' and not ns.found %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.n }} {{ ns.names | join(',') }} {{ ns.found }}"),
    case("scope of set", "{% set x = 1 %}{% for m in messages %}{% set x = x + 1 %}{{ x }}{% endfor %} {{ x }}{% if true %}{% set x = 9 %}{% endif %} {{ x }}"),
    case("break and continue", "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{% if m.content == 'Bye' %}{% break %}{% endif %}{{ m.role }};{% endfor %}"),
    case("tojson", "{{ d | tojson }}|{{ d | tojson(indent=2) }}|{{ d | tojson(separators=(',', ':')) }}|{{ d | tojson(sort_keys=true) }}|{{ 'caf\u00e9' | tojson(ensure_ascii=true) }}|{{ [] | tojson(indent=4) }}|{{ {} | tojson(indent=4) }}|{{ 1e22 | tojson }} {{ 0.1 | tojson }}", d=DATA),
    case("tools as JSON", "{% for t in tools %}{{ t | tojson(indent=4) }}\n{% endfor %}", tools=[WEATHER, CLOCK]),
    case("clock", "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M:%S') }} {{ strftime_now('%A, %B %-d') }}"),
    case("exception", "{% if messages[0].role == 'system' %}{{ raise_exception('No system message, please') }}{% endif %}"),
    case("generation", "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ m.content | trim }}\n{% endif %}{% endfor %}"),
    case("generation with dashes", "{%- for m in messages -%}\n  {%- generation -%}  {{ m.role }}  {%- endgeneration -%}\n{%- endfor -%}"),
    case("content in parts", "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{% if p.type == 'image' %}<image>{% elif p['type'] == 'text' %}{{ p.text }}{% endif %}{% endfor %}{% endif %}{% endfor %}", PARTS),
    case("tests", "{{ 'a' is string }} {{ {} is mapping }} {{ [] is iterable }} {{ [] is sequence }} {{ none is none }} {{ 1 is number }} {{ true is boolean }} {{ nothing is defined }} {{ nothing is undefined }} {{ 3 is odd }} {{ 4 is divisibleby 2 }} {{ 1 is integer }} {{ 1.0 is float }} {{ 'a' is not number }} {{ true is true }} {{ x is sameas none }}", x=None),
    case("filters", "{{ [3,1,2] | sort | join(',') }} {{ ['b','a'] | first }} {{ [1,2] | last }} {{ 'abc' | length }} {{ 'a b' | replace(' ', '_') }} {{ '  x ' | trim }} {{ x | default('d') }} {{ '' | default('e', true) }} {{ [1,2,2] | unique | list | length }} {{ 'Ab' | lower }}{{ 'Ab' | upper }} {{ 'one two' | title }} {{ [1,2,3] | sum }} {{ 3.7 | int }} {{ '4' | int + 1 }} {{ 2 | string + 'x' }} {{ [1,2,3] | reverse | join }} {{ {'b':1,'a':2} | dictsort | first | first }} {{ -3 | abs }} {{ 'abc' | list | join('.') }} {{ 'x' | indent(2, true) }} {{ [1,5] | max }} {{ 2.567 | round(1) }} {{ {'k': 'v'} | items | list | length }}"),
    case("select and map", "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | map('trim') | join('/') }} {{ messages | rejectattr('role', 'in', ['user', 'system']) | list | length }} {{ messages | map(attribute='role') | unique | join(',') }} {{ [1,2,3,4] | select('odd') | list | length }} {{ messages | groupby('role') | length }}"),
    case("loop", "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem.role if loop.previtem is defined else '-' }}{{ loop.nextitem.role if not loop.last else '-' }};{% else %}none{% endfor %}{% for x in [] %}{% else %}empty{% endfor %}{% for a in [1,2] %}{% set outer = loop %}{% for b in [1,2] %}{{ outer.index }}{{ loop.index }},{% endfor %}{% endfor %}{% for m in messages if m.role == 'user' %}{{ loop.index }}{% endfor %}"),
    case("macro", "{% macro turn(role, text='-', mark=false) %}<{{ role }}>{{ text | trim }}{{ '!' if mark }}</{{ role }}>{% endmacro %}{{ turn('a') }}{{ turn('b', ' x ', mark=true) }}{% for m in messages %}{{ turn(m.role, m.content) }}{% endfor %}"),
    case("set block", "{% set head %}<{{ messages[0].role }}>\n{% endset %}{{ head }}{{ head | trim }}{{ head | length }}"),
    case("spaces", "  {% if true %}\n    kept\n  {% endif %}\n{% for m in messages -%}\n   {{ m.role }}\n{%- endfor %}\n  {#- a note -#}\n  end\n"),
    case("last line end", "{% if true %}a{% endif %}\n\n"),
    case("arithmetic", "{{ 7 // 2 }} {{ 7 % 3 }} {{ 7 / 2 }} {{ 2 ** 5 }} {{ 1.0 }} {{ 3 * 'ab' }} {{ 'a' ~ 1 ~ none }} {{ 1 < 2 < 3 }} {{ not true or false }} {{ (1, 2)[0] }} {{ 10 - 2 - 3 }} {{ -7 // 2 }} {{ 6 / 2 }} {{ 1 == 1.0 }} {{ [1] + [2, 3] }}"),
    case("how values print", "{{ true }} {{ none }} {{ 1.5 }} {{ [1, 'a', none, true] }} {{ {'k': 'v', 'n': [1]} }} {{ ('a',) }} {{ nothing }} {{ \"it's\" }} {{ [\"it's\", 'q\"'] }}"),
    case("ternary", "{{ 'yes' if messages | length > 2 else 'no' }} {{ 'x' if false }}| {{ (messages[0].content if messages[0].role == 'system' else '') | upper }}"),
    case("range", "{% for i in range(3) %}{{ i }}{% endfor %} {% for i in range(1, 8, 3) %}{{ i }}{% endfor %} {{ range(4) | list | length }}"),
    case("rules", "{{ bos_token }}{{ eos_token }}{{ bos_token is defined }} {{ unk_token is defined }} {{ add_generation_prompt }} {{ tools is none }} {{ documents is defined }}"),
    case("item or attribute", "{{ messages[0]['role'] }} {{ messages[0].role }} {{ messages[0]['missing'] is defined }} {{ messages[0].missing is defined }} {{ 'role' in messages[0] }} {{ d.items is defined }} {{ d['items'] }}", d={"items": "mine"}),
    case("missing attribute of missing", "{{ messages[0].missing.deeper }}"),
    case("list may not change", "{% set l = [] %}{% set _ = l.append(1) %}{{ l }}"),
    case("syntax error", "{% if messages %}never closed"),
    case("unknown filter", "{{ messages | nosuchfilter }}"),
    case("raw", "{% raw %}{{ not a variable }}{% endraw %}"),
    case("dict and namespace items", "{% set d = dict(a=1, b='x') %}{{ d.a }}{{ d['b'] }} {% set ns = namespace() %}{% set ns.k = 'v' %}{{ ns.k }} {{ ns.missing is defined }}"),
    case("with and filter blocks", "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{% filter upper %}shout{% endfilter %}"),
    case("unpacking", "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }};{% endfor %}{% set x, y = 1, 2 %}{{ x }}{{ y }}"),
    case("unicode", "{{ 'caf\u00e9 \U0001f600'.upper() }} {{ '\U0001f600ab'[1:] }} {{ '\u0e2a\u0e27\u0e31\u0e2a' | length }} {{ '\\u00e9\\t|' }}"),
]  # fmt: skip
