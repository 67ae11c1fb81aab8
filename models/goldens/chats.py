"""Chat templates of our own that lean on the same Jinja and Python features as those in the wild, and conversations for them."""

from typing import Any

HEADERS = """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "1 Jan 2026" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The first message may be the system's: it is taken out of the list. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "You may call these functions:\\n\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- "Today is " + date_string + ".\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls | length == 1 %}
            {{- raise_exception("One call at a time, please") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
        {{- '{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- else %}
        {{- "<|start_header_id|>tool<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable and message.content is not string %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

TOOLS = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "These tools are at hand, one signature a line:" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\nTo use one, write its name and arguments as JSON between <tool_call> and </tool_call>.<|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(searching=true, last_question=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- set from_user = message.role == "user" and message.content is string %}
    {%- if ns.searching and from_user and not (message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last_question = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == "user" or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role }}
        {%- if loop.index0 > ns.last_question and (loop.last or thought) %}
            {{- '\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '\\n' + content }}
        {%- endif %}
        {%- for call in message.tool_calls or [] %}
            {%- if (loop.first and content) or not loop.first %}
                {{- '\\n' }}
            {%- endif %}
            {%- if call.function %}
                {%- set call = call.function %}
            {%- endif %}
            {{- '<tool_call>\\n{"name": "' ~ call.name ~ '", "arguments": ' }}
            {{- call.arguments if call.arguments is string else call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or messages[loop.index0 - 1].role != "tool" %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' + content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != "tool" %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

INSTRUCTIONS = (
    "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set note = messages[0]['content'] %}"
    "{% else %}{% set rest = messages %}{% set note = false %}{% endif %}"
    "{% for message in rest %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('User and assistant must take turns') }}{% endif %}"
    "{% if loop.index0 == 0 and note != false %}{% set content = '<<NOTE>>\\n' + note + '\\n<</NOTE>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[ASK] ' + content.strip() + ' [/ASK]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}"
    "{% endfor %}"
)

TURNS = """\
{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('There is no system role') }}{% endif %}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Turns must alternate: user, assistant, user, ...') }}
    {%- endif %}
    {%- if message['role'] == 'assistant' %}
        {%- set role = 'model' %}
    {%- else %}
        {%- set role = message['role'] %}
    {%- endif %}
{{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model
' }}{% endif %}
"""

BRIEFLY = """\
{{ bos_token }}{% for m in messages if m.role != 'system' %}{{ m.role[0] | upper }}: {{ m.content | trim }}
{% endfor %}{% if add_generation_prompt %}A:{% endif %}"""

PLAIN = "{% for m in messages %}{{ m.role.capitalize() }}: {{ m.content }}{{ eos_token if loop.last else '<sep>' }}{% endfor %}"
PLAIN_TOOLS = "{{ tools | map(attribute='function') | map(attribute='name') | join(', ') }}<sep>" + PLAIN


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather_at",
        "description": "The weather at a place; \"<now>\" & later, caf\u00e9 included",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}, "days": {"type": "integer"}}, "required": ["place"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "The time of day", "parameters": {"type": "object", "properties": {}}}}
CALL = {"type": "function", "function": {"name": "weather_at", "arguments": {"place": "K\u00f6ln", "days": 2}}}

CONVERSATIONS: list[dict[str, Any]] = [
    {"name": "one question", "messages": [user("When does the shop open?")], "add_generation_prompt": True},
    {"name": "system first", "messages": [system("  Be brief. "), user(" Hello! \n"), assistant("Hi."), user("How are you?")], "add_generation_prompt": True},
    {"name": "no prompt", "messages": [user("Thanks"), assistant(" You are welcome. ")], "add_generation_prompt": False},
    {"name": "two users in a row", "messages": [user("Hello"), user("Anyone?")], "add_generation_prompt": True},
    {"name": "specials in the text", "messages": [user("Say <|eot_id|> and </s><end_of_turn> {{ bos_token }} <|im_end|>")], "add_generation_prompt": True},
    {"name": "other scripts", "messages": [user("\u0633\u0644\u0627\u0645 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \U0001f469\u200d\U0001f469\u200d\U0001f467")], "add_generation_prompt": True},
    {"name": "tools listed", "messages": [system("Be brief."), user("Rain?")], "tools": [WEATHER, CLOCK], "add_generation_prompt": True},
    {
        "name": "tools called",
        "messages": [
            user("Rain in K\u00f6ln?"),
            assistant(None, tool_calls=[CALL]),
            {"role": "tool", "content": '{"rain": true}'},
            {"role": "tool", "content": '{"wind": 3.5}'},
            assistant("Yes, take a coat."),
            user("And later?"),
        ],
        "tools": [WEATHER],
        "add_generation_prompt": True,
    },
    {"name": "two calls at once", "messages": [user("Rain?"), assistant("", tool_calls=[CALL, CALL])], "tools": [WEATHER], "add_generation_prompt": False},
    {"name": "thoughts", "messages": [user("2+2?"), assistant("<think>\nEasy.\n</think>\n\nFour."), user("3+3?"), assistant("<think>\nAlso easy.\n</think>\n\nSix.")], "add_generation_prompt": False},
    {"name": "no thoughts", "messages": [user("2+2?")], "add_generation_prompt": True, "variables": {"enable_thinking": False}},
    {"name": "a given date", "messages": [user("What day is it?")], "add_generation_prompt": True, "variables": {"date_string": "3 Mar 2026"}},
    {"name": "by another template", "template": "briefly", "messages": [system("x"), user(" Hello "), assistant("Hi")], "add_generation_prompt": True},
]  # fmt: skip
