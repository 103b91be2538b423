"""Collects the requests of a file: each line is checked before any is sent."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import orjson

from backcast.domain.errors import InputError
from backcast.domain.pricing import Usage, batch_cost, estimate_tokens, synchronous_cost
from backcast.domain.request_lines import LARGEST_LINE, RequestLine, request_of, wrong
from backcast.ledger.connection import Connection, Row, sql
from backcast.ledger.copy import copy_in
from backcast.services.claims import claim
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.rounds import FIRST_ROUND
from backcast.settings import load_model, model_names, plain_model_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What an answer is estimated at, where more is allowed.
_ANSWER_TOKENS: Final = 800
_ALL: Final = Decimal(1)
_LANGUAGE: Final = "request"


@dataclass(slots=True)
class RequestFile:
    """What was read of a file of requests: the models as it names them, and how many requests and tokens of each model.

    Tokens are estimated; money is in US dollars, as a batch or synchronously.
    """

    path: Path
    allow_tool_stop: bool = False
    models: set[str] = field(default_factory=set)
    answer_schemas: bool = False
    requests_of: Counter[str] = field(default_factory=Counter)
    input_tokens_of: Counter[str] = field(default_factory=Counter)
    output_tokens_of: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[tuple[RequestLine, bytes]]:
        """Give each request with the JSON of its `params`, checked.

        Raises:
            InputError: a line is wrong, or the file has none; the message says which, and what to write.
        """
        seen: dict[str, int] = {}
        known = frozenset(model_names())
        with self.path.open("rb") as file:
            number = 0
            # One more byte than allowed: a line without an end must not fill the memory.
            while line := file.readline(LARGEST_LINE + 1):
                number += 1
                if not line.strip():
                    continue
                request = self._request(line, number, known)
                first = seen.setdefault(request.custom_id, number)
                if first != number:
                    raise wrong(
                        number, f"custom_id {request.custom_id!r} is line {first}'s already: each needs its own"
                    )
                params = orjson.dumps(request.params)
                self._count(request, len(params))
                yield request, params
        if not self.requests:
            raise InputError(f"{self.path} has no requests: write one a line.")

    def _request(self, line: bytes, number: int, known: frozenset[str]) -> RequestLine:
        if len(line) > LARGEST_LINE:
            raise wrong(number, f"it has more than {LARGEST_LINE // 1_000_000} MB, which the API takes for no request")
        try:
            parsed = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise wrong(number, f"it is not JSON: {error}") from None
        request = request_of(parsed, number, allow_tool_stop=self.allow_tool_stop)
        if plain_model_name(request.model) not in known:
            raise wrong(
                number,
                f"the model {request.model!r} is not known here, so neither is what it costs; choose one of "
                f"{', '.join(sorted(known))}",
            )
        return request

    def _count(self, request: RequestLine, size: int) -> None:
        model = plain_model_name(request.model)
        self.models.add(request.model)
        self.requests_of[model] += 1
        self.input_tokens_of[model] += estimate_tokens(size)
        self.output_tokens_of[model] += min(request.max_tokens, _ANSWER_TOKENS)
        self.answer_schemas = self.answer_schemas or request.answer_schema

    @property
    def requests(self) -> int:
        """How many requests there are."""
        return self.requests_of.total()

    @property
    def input_tokens(self) -> int:
        """About how many tokens the prompts have together."""
        return self.input_tokens_of.total()

    def usd(self, share: Decimal = _ALL, *, synchronous: bool = False) -> Decimal:
        """Return what answers of usual length would cost, when prompts have this share of the estimated tokens."""
        cost = synchronous_cost if synchronous else batch_cost
        # The price of a request depends on its own length, so that of an average one is taken.
        total = Decimal(0)
        for model, count in self.requests_of.items():
            usage = Usage(int(self.input_tokens_of[model] * share / count), self.output_tokens_of[model] // count)
            total += cost(load_model(model), usage) * count
        return total


def collect_requests(connection: Connection, run: Row, file: RequestFile, sha256: str) -> None:
    """Store the requests of a run and reserve the money for them.

    Args:
        connection: in the transaction that opens the run.
        run: the run.
        file: where its requests are; afterwards it knows how many, and what they may cost.
        sha256: of the file, by which it is known again.

    Raises:
        InputError: a line is wrong.
    """
    key = {"run_id": run["run_id"]}
    connection.execute(sql("create_collected"))
    copy_in(connection, "copy_requests", _rows(run["external_key"], file))
    connection.execute(sql("store_contents"))
    connection.execute(sql("store_documents"), key)
    claim(connection, run["run_id"], FIRST_ROUND)
    connection.execute(sql("note_schemas"), {**key, "structured": file.answer_schemas})
    modified_at = datetime.fromtimestamp(file.path.stat().st_mtime, UTC)
    connection.execute(
        sql("finish_collecting"),
        {**key, "commit_id": sha256, "committed_at": modified_at, "estimated_usd": file.usd()},
    )
    reached(FaultPoint.COLLECT_BEFORE_COMMIT)


def _rows(external_key: str, file: RequestFile) -> Iterator[tuple[Any, ...]]:
    for position, (request, params) in enumerate(file.lines()):
        content_hash = hashlib.sha256(params).hexdigest()
        yield (
            request.custom_id,
            _LANGUAGE,
            len(params),
            content_hash,
            # Two requests of one file may say the same and are both asked, and nobody waits for another run's answer.
            hashlib.sha256(f"{external_key} {request.custom_id} {content_hash}".encode()).hexdigest(),
            params.decode(),
            position,
            len(params),
            plain_model_name(request.model),
            request.max_tokens,
        )
