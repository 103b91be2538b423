"""What differs between the documents of a workflow and requests that bring their own parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from backcast.domain.failures import Variant
from backcast.domain.proposed import ProposedTests
from backcast.domain.static_checks import asks_for_tests
from backcast.ledger.runs import brings_its_own, outline_of_run
from backcast.services.acceptance import Judge, Verdict
from backcast.services.own_requests import own_params, own_verdict
from backcast.services.prompts import builder_of, params_of, variants_of
from backcast.settings import load_model, model_of_message

if TYPE_CHECKING:
    from backcast.domain.pricing import Model
    from backcast.ledger.connection import Connection, Row

Sent: TypeAlias = "Callable[[Row], bytes]"
Judged: TypeAlias = Callable[[dict[str, Any], str, str], Verdict]
JudgedAtOnce: TypeAlias = Callable[[dict[str, Any], str], Verdict]
ModelOf: TypeAlias = "Callable[[Mapping[str, Any]], Model]"


def sender(row: Row) -> Sent:
    """Return what makes the JSON of a request's `params` from a row of `requests_to_send` or `request_to_call`."""
    if brings_its_own(row):
        return own_params
    build = builder_of(row)
    return lambda request: orjson.dumps(params_of(build, request))


def judge_of(connection: Connection, row: Row) -> Judged:
    """Return what judges a result row's `result` by the text that it was asked about, and by the path of that."""
    if brings_its_own(row):
        return lambda result, body, _: own_verdict(result, body)
    return Judge(row["answer_schema"], proposed_tests_of(connection, row)).verdict


def proposed_tests_of(connection: Connection, row: Row) -> ProposedTests | None:
    """Return what looks at the tests that a run proposes, by what its repository held; None where it proposes none."""
    if not asks_for_tests(row["answer_schema"]):
        return None
    return ProposedTests(outline_of_run(connection, row["run_id"]))


def judge_at_once(row: Row) -> JudgedAtOnce | None:
    """Return what judges a result as it arrives, where that needs nothing of what it was asked about; else None."""
    return own_verdict if brings_its_own(row) and not row["structured"] else None


def models_of(row: Row) -> ModelOf:
    """Return what tells the model of an answer, by its message: a run of a workflow has one."""
    usual = load_model(row["model"])
    if not brings_its_own(row):
        return lambda _: usual
    known = cache(lambda name: model_of_message(name, usual))
    return lambda message: known(message.get("model"))


def variants_of_run(run: Row) -> frozenset[Variant]:
    """Return the forms that requests of a run can be sent in."""
    return frozenset({Variant.STANDARD, Variant.REPAIR}) if brings_its_own(run) else variants_of(run)
