"""Requests for the next version of a prompt: how they are told from others, and what they bring."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from backcast_simulator.prompts import Document, attributes_of, find_document, last_user_text
from backcast_simulator.structured import Schema, requested_schema

_ASKED_FOR = {"why", "system_template", "examples"}
_VERSION = re.compile(
    r"""^<system-template[ ]version=(?:"[^"]*"|'[^']*')>\n(?P<template>.*?)\n?</system-template>\s*"""
    r"""^<answer-schema>\n(?P<schema>.*?)\n</answer-schema>\s*"""
    r"""^<shown-examples>(?P<shown>[^<]*)</shown-examples>""",
    re.MULTILINE | re.DOTALL,
)
# The lines of a document are numbered, so that none of them begins like this.
_FAILURE = re.compile(r"""^<failure(?P<attributes>(?:\s+[\w-]+=(?:"[^"]*"|'[^']*'))*)\s*>\s*?\n""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Failure:
    """A document whose answer was not acceptable, and the cause of it."""

    language: str
    cause: str
    document: Document


@dataclass(frozen=True, slots=True)
class Refinement:
    """A version of a prompt, and what failed under it.

    `template` is the Jinja text of its system prompt, `schema` that of its answers, `shown` the languages that it has
    examples of.
    """

    template: str
    schema: Schema
    shown: frozenset[str]
    failures: tuple[Failure, ...]


def refinement_in(params: dict[str, Any]) -> Refinement | None:
    """What a request for the next version of a prompt brings; None when these parameters ask for something else."""
    schema = requested_schema(params)
    properties = None if schema is None else schema.get("properties")
    if not isinstance(properties, dict) or not properties.keys() >= _ASKED_FOR:
        return None
    text = last_user_text(params)
    version = _VERSION.search(text)
    if version is None:
        return None
    shown = (name.strip() for name in version["shown"].split(","))
    return Refinement(
        version["template"],
        _object(version["schema"]),
        frozenset(name for name in shown if name),
        tuple(_failures(text[version.end() :])),
    )


def _object(text: str) -> Schema:
    try:
        parsed: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _failures(text: str) -> list[Failure]:
    openings = list(_FAILURE.finditer(text))
    starts = [opening.start() for opening in openings]
    found = []
    for opening, (_, end) in zip(openings, pairwise([*starts, len(text)]), strict=True):
        document = find_document(text[opening.end() : end])
        if document is not None:
            attributes = attributes_of(opening["attributes"])
            found.append(Failure(attributes.get("language", ""), attributes.get("cause", ""), document))
    return found
