"""The offline analyst answers in the schema of the request: holes, mistakes and licences for an audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from backcast.services.prompts import request_builder
from backcast.settings import load_prompt
from backcast_simulator.answers import AnalystAnswerer

AUDIT = "weekly_code_audit"
NIGHTLY = "nightly_tech_debt"
PROJECT = Path(__file__).resolve().parents[2]


def answer(workflow: str, text: str, path: str = "src/a.py", **changes: Any) -> list[dict[str, Any]]:
    """The findings of the analyst in answer to a request as the workflow makes it; checked against its schema."""
    prompt = load_prompt(workflow, "v1")
    build = request_builder(model="m", prompt=prompt)
    params = build(path, "python", "0123456789abcdef", text, 100) | changes
    answered = json.loads(AnalystAnswerer().answer(params))
    jsonschema.validate(answered, json.loads(prompt.answer_schema))
    lines = text.split("\n")
    for finding in answered["findings"]:
        passage = lines[finding["line_start"] - 1 : finding["line_end"]]
        assert all(line in passage for line in finding["evidence"].split("\n")), finding
    found: list[dict[str, Any]] = answered["findings"]
    return found


def found(workflow: str, text: str, path: str = "src/a.py") -> list[tuple[str, str]]:
    return [(finding["category"], finding["title"]) for finding in answer(workflow, text, path)]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("def f(x):\n    return eval(x)\n", "`eval` of a value in `f`"),
        ("def f(x):\n    exec(x, {})\n", "`exec` of a value in `f`"),
        ("import os\n\ndef f(x):\n    os.system('rm ' + x)\n", "A command built at run time goes to the shell in `f`"),
        ("import subprocess\n\ndef f(x):\n    subprocess.run(x, shell=True)\n",
         "A command built at run time goes to the shell in `f`"),
        ("import pickle\n\ndef f(x):\n    return pickle.loads(x)\n", "`pickle.loads` of data in `f`"),
        ("import yaml\n\ndef f(x):\n    return yaml.load(x)\n", "`yaml.load` without a loader in `f`"),
        ("import yaml\n\ndef f(x):\n    return yaml.load(x, Loader=yaml.Loader)\n",
         "`yaml.load` with an unsafe loader in `f`"),
        ("import hashlib\n\ndef f(password):\n    return hashlib.md5(password.encode()).hexdigest()\n",
         "A password is hashed with a weak hash in `f`"),
        ("import hashlib\n\ndef hash_password(p):\n    return hashlib.sha1(p).digest()\n",
         "A password is hashed with a weak hash in `hash_password`"),
        ("def f(c, name):\n    c.execute(f\"SELECT * FROM t WHERE name = '{name}'\")\n",
         "An SQL statement is formatted in `f`"),
        ('DB_PASSWORD = "Hunter2-and-more"\n', "`DB_PASSWORD` has its value in the source"),
    ],
)  # fmt: skip
def test_an_audit_finds_holes(text: str, title: str) -> None:
    assert found(AUDIT, text) == [("security", title)]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("def f():\n    try:\n        g()\n    except:\n        pass\n", "`f` drops every error with a bare `except:`"),
        ("def f(x=[]):\n    x.append(1)\n    return x\n", "`f` changes its mutable default for `x`"),
        ("def f():\n    try:\n        g()\n    finally:\n        return 1\n", "`f` returns from a `finally` block"),
        ("import requests\n\nrequests.get('u')\n", "`requests.get` without a timeout in module level code"),
    ],
)
def test_an_audit_calls_a_mistake_one_of_correctness(text: str, title: str) -> None:
    assert found(AUDIT, text) == [("correctness", title)]
    assert found(NIGHTLY, text) == [("error_handling", title)]


GPL = "# This program is free software under the GNU General Public License, version 3.\n"
USUAL_GPL = """# This program is free software: you can redistribute it and/or modify
# it under the terms of the GNU General Public License as published by
# the Free Software Foundation, either version 3 of the License, or
# (at your option) any later version.
X = 1
"""


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (GPL + "X = 1\n", "The file is under a GPL licence"),
        (USUAL_GPL, "The file is under a GPL licence"),
        (f'"""A module.\n\n{GPL.removeprefix("# ")}"""\n', "The file is under a GPL licence"),
        ("# SPDX-License-Identifier: GPL-3.0-only\nX = 1\n", "The file is under a GPL licence"),
        ("# SPDX-License-Identifier: Apache-2.0\n" + GPL + "X = 1\n",
         "The header names a GPL licence at line 2 and a permissive one at line 1"),
        ("# Proprietary and confidential.\nX = 1\n", "The header calls the file proprietary and confidential"),
        ("# Copied from https://example.org/x.py\nX = 1\n", "Code from elsewhere at line 1 comes without its licence"),
    ],
)  # fmt: skip
def test_an_audit_reads_licence_headers(text: str, title: str) -> None:
    assert found(AUDIT, text) == [("licence", title)]
    assert found(NIGHTLY, text) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "eval('1 + 1')\n"),
        ("a.py", "import yaml\n\nyaml.load('x', Loader=yaml.SafeLoader)\n"),
        ("a.py", "import hashlib\n\ndef etag(body):\n    return hashlib.md5(body).hexdigest()\n"),
        ("a.py", "import os\n\nPASSWORD = os.environ['PASSWORD']\nAPI_KEY = ''\nSECRET = 'changeme-please'\n"),
        ("a.py", "password = 'password'\nAPI_KEY = 'x-api-key'\n"),
        ("a.py", "def f(c, name):\n    c.execute('SELECT * FROM t WHERE name = %s', [name])\n"),
        ("a.py", "# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only\nX = 1\n"),
        ("a.py", "# Copied from https://example.org/x.py, MIT licence, copyright 2020 A. Person\nX = 1\n"),
        ("a.py", "X = 'under the GNU General Public License'\n"),
        ("a.py", '"""A module."""\n\nX = \'under the GNU General Public License\'\nY = """z"""\n'),
        ("LICENSE", "GNU General Public License\n"),
        ("README.md", "# Under the GNU General Public License\n"),
    ],
)
def test_an_audit_leaves_alone_what_is_no_finding(path: str, text: str) -> None:
    assert found(AUDIT, text, path) == []


DEBT = "import os\n\n# TODO: do this before the release\ndef f(x):\n    return eval(x)\n"


def test_what_the_schema_of_a_request_has_no_place_for_is_not_said() -> None:
    assert {category for category, _ in found(AUDIT, DEBT)} == {"security"}
    assert {category for category, _ in found(NIGHTLY, DEBT)} == {"security", "dead_code", "documentation"}


def test_a_structured_output_goes_before_the_schema_in_the_prompt() -> None:
    schema = json.loads(load_prompt(AUDIT, "v1").answer_schema)
    item = schema["properties"]["findings"]["items"]
    item["properties"] = {name: item["properties"][name] for name in ("title", "category")}
    item["properties"]["category"] = {"type": "string", "enum": ["documentation"]}
    item["required"] = ["title", "category"]
    params = {
        "system": load_prompt(NIGHTLY, "v1").answer_schema,
        "messages": [
            {"role": "user", "content": f'<document-0123456789ab path="a.py">\n{DEBT}\n</document-0123456789ab>'}
        ],
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }
    assert json.loads(AnalystAnswerer().answer(params)) == {
        "findings": [{"title": "TODO left at line 3: do this before the release", "category": "documentation"}]
    }


@pytest.mark.parametrize(
    "schema",
    [
        '{"type": "object", "properties": {}}',
        '{"type": "object", "properties": {"findings": {"items": {"type": 3, "properties": {"title": {}}}}}}',
    ],
)
def test_a_schema_with_no_place_for_findings_gets_none(schema: str) -> None:
    params = {
        "system": f"Look.\n{{ no JSON\n\n{schema}",
        "messages": [
            {"role": "user", "content": f'<document-0123456789ab path="a.py">\n{DEBT}\n</document-0123456789ab>'}
        ],
    }
    assert json.loads(AnalystAnswerer().answer(params)) == {"findings": []}


@pytest.mark.parametrize("workflow", [NIGHTLY, AUDIT])
def test_this_project_is_answered_in_either_schema(workflow: str) -> None:
    for file in sorted((PROJECT / "include" / "backcast" / "services").glob("*.py")):
        answer(workflow, file.read_text(), f"include/backcast/services/{file.name}")
