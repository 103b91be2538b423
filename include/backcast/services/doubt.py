"""Finds out what became of create calls without a known end, by listings and, in the end, by a result row."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import orjson

from backcast.domain.doubt import (
    CLOCK_SLACK,
    LISTINGS_THAT_PROVE_ABSENCE,
    WATCHED_FOR,
    Intent,
    Sighting,
    is_candidate,
    listing_counts,
    may_be,
)
from backcast.domain.errors import ApiError
from backcast.domain.wire_ids import nonce_of
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.copy import copy_in
from backcast.services.alerts import raise_alert
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.ingest import result_row
from backcast.services.kinds import models_of
from backcast.services.locks import tried_batch, tried_workspace
from backcast.services.submit import CREATE_TIMEOUT, confirm, doubt_dead_sender

if TYPE_CHECKING:
    from backcast.anthropic_api.batches import ApiBatch, MessageBatchesApi
    from backcast.services.open_run import Clock

# A row that nobody sent may stand before ours, so the first one alone does not disprove.
_ROWS_READ: Final = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about a batch of the ledger: `found`, `not_arrived`, `second` or `watched`."""

    batch_id: int
    run_id: int
    what: str
    detail: str


def resolve_doubts(ledger: Ledger, api: MessageBatchesApi, clock: Clock) -> list[Finding]:
    """Look once for every intent of this workspace that has no known end, and for calls that a proxy repeated.

    A batch is only taken for ours when one of its result rows has our nonce. An intent is only taken not to have
    arrived after the longest time it can take and the bound on the lag of listings have passed, when three complete
    listings, a minute apart, show no batch that could be it. Somebody else's batch is never touched.

    Raises:
        ApiError: the list cannot be read; nothing is concluded from a part of it.
    """
    workspace: Row = dict(api.workspace)
    with ledger.connect() as connection, tried_workspace(connection, workspace) as held:
        # Two that list at once would count one absence twice.
        return _resolve(connection, api, clock, workspace) if held else []


def _resolve(connection: Connection, api: MessageBatchesApi, clock: Clock, workspace: Row) -> list[Finding]:
    read = _read_seconds(connection, api, clock, workspace)
    _doubt_dead_senders(connection, workspace, clock)
    intents = _watched(connection, workspace, clock)
    if not intents:
        return read
    listing = _list(connection, api, workspace, intents)
    reached(FaultPoint.DOUBT_LISTED)
    _record(connection, workspace, clock, listing.unknown)
    reached(FaultPoint.DOUBT_SIGHTED)
    found = _judge_sightings(connection, api, clock, workspace, intents)
    return read + found + _count_absences(connection, clock, workspace, listing)


@dataclass(frozen=True, slots=True)
class _Listing:
    """`unknown` batches that nobody has confirmed; `trusted` when it shows a batch that is known to be there."""

    unknown: list[ApiBatch]
    trusted: bool


def _watched(connection: Connection, workspace: Row, clock: Clock) -> list[Row]:
    since = clock() - WATCHED_FOR
    return connection.execute(sql("watched_intents"), {**workspace, "watched_since": since}).fetchall()


def _doubt_dead_senders(connection: Connection, workspace: Row, clock: Clock) -> None:
    for row in _watched(connection, workspace, clock):
        if row["state"] == "intended":
            with tried_batch(connection, row["batch_id"]) as held:
                state = connection.execute(sql("batch"), {"batch_id": row["batch_id"]}).fetchone()
                if held and state and state["state"] == "intended":
                    doubt_dead_sender(connection, row["batch_id"])


def _list(connection: Connection, api: MessageBatchesApi, workspace: Row, intents: list[Row]) -> _Listing:
    since = min(row["server_time"] for row in intents) - CLOCK_SLACK
    doubted = min((row["server_time"] for row in intents if row["state"] == "in_doubt"), default=since)
    known = connection.execute(sql("known_older_batch"), {**workspace, "before": doubted - CLOCK_SLACK}).fetchone()
    listed = list(api.batches_since(min(since, known["server_time"] - CLOCK_SLACK) if known else since))
    ids = {batch.api_batch_id for batch in listed}
    rows = connection.execute(sql("confirmed_ids"), {"api_batch_ids": list(ids)}).fetchall()
    confirmed = {row["api_batch_id"] for row in rows}
    return _Listing(
        unknown=[batch for batch in listed if batch.api_batch_id not in confirmed and batch.created_at >= since],
        trusted=known is None or known["api_batch_id"] in ids,
    )


def _record(connection: Connection, workspace: Row, clock: Clock, batches: list[ApiBatch]) -> None:
    now = clock()
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            sql("record_sighting"),
            [
                {
                    **workspace,
                    "api_batch_id": batch.api_batch_id,
                    "created_at": batch.created_at,
                    "request_count": batch.request_count,
                    "ended": batch.ended_at is not None,
                    "now": now,
                }
                for batch in batches
            ],
        )


def intent_of(row: Row) -> Intent:
    """Return the intent that a batch's row tells of."""
    over_at = row["send_by"] + CREATE_TIMEOUT
    longest = over_at - row["intended_at"]
    return Intent(row["batch_id"], row["request_count"], row["server_time"], over_at, longest)


def open_sightings(connection: Connection, workspace: Row) -> list[Sighting]:
    """Return the listed batches of a workspace (base URL, key fingerprint) that nobody knows an owner of."""
    return [Sighting(**row) for row in connection.execute(sql("open_sightings"), workspace).fetchall()]


def _judge_sightings(
    connection: Connection, api: MessageBatchesApi, clock: Clock, workspace: Row, intents: list[Row]
) -> list[Finding]:
    found = []
    for sighting in open_sightings(connection, workspace):
        known = connection.execute(sql("batch_by_api_id"), {"api_batch_id": sighting.api_batch_id}).fetchone()
        if known:
            # Seen before its sender wrote down its id.
            _judge(connection, sighting, "ours", known["batch_id"])
        elif sighting.ended and any(may_be(sighting, intent_of(row)) for row in intents):
            finding = _judge_sighting(connection, api, clock, sighting)
            reached(FaultPoint.DOUBT_JUDGED)
            found += [finding] if finding else []
    return found


def _judge_sighting(connection: Connection, api: MessageBatchesApi, clock: Clock, sighting: Sighting) -> Finding | None:
    try:
        return _judge_by_rows(connection, api, clock, sighting)
    except ApiError:
        # Not readable now, so nothing is known about it; it stays a candidate.
        return None


def _judge_by_rows(connection: Connection, api: MessageBatchesApi, clock: Clock, sighting: Sighting) -> Finding | None:
    nonces, disproves = _read_nonces(api, sighting)
    with connection.transaction():
        intent = next(filter(None, (_by_nonce(connection, nonce) for nonce in sorted(nonces))), None)
        if intent is None:
            if disproves:
                _judge(connection, sighting, "stranger", None)
            return None
        if _can_be_confirmed(intent):
            confirm(connection, sighting.created_at, intent["batch_id"], api.retrieve(sighting.api_batch_id))
            _judge(connection, sighting, "ours", intent["batch_id"])
            return Finding(intent["batch_id"], intent["run_id"], "found", f"it is {sighting.api_batch_id}")
        if intent["state"] == "intended":
            # Its sender lives and is about to write down an id, maybe this one.
            return None
        if intent["api_batch_id"] == sighting.api_batch_id:
            _judge(connection, sighting, "ours", intent["batch_id"])
            return None
        _judge(connection, sighting, "second", intent["batch_id"])
        return _keep_second(connection, api, clock, sighting.api_batch_id, intent)


def _read_nonces(api: MessageBatchesApi, sighting: Sighting) -> tuple[set[str], bool]:
    """Return the nonces of ours in a batch's first rows, and whether their absence would prove that it is not ours."""
    nonces, readable = set(), 0
    with api.result_lines(sighting.api_batch_id) as lines:
        for line in islice(lines, _ROWS_READ):
            try:
                custom_id = str(orjson.loads(line)["custom_id"])
            except (ValueError, KeyError, TypeError):
                continue
            readable += 1
            nonces.add(nonce_of(custom_id))
    # A row that is missing or cannot be read may be ours.
    return {nonce for nonce in nonces if nonce}, readable >= min(_ROWS_READ, max(1, sighting.request_count))


def _by_nonce(connection: Connection, nonce: str) -> Row | None:
    return connection.execute(sql("batch_by_nonce"), {"nonce": nonce}).fetchone()


def _can_be_confirmed(intent: Row) -> bool:
    return intent["state"] == "in_doubt" or (
        intent["state"] == "not_arrived" and not intent["replaced"] and intent["holds_requests"]
    )


def _judge(connection: Connection, sighting: Sighting, verdict: str, batch_id: int | None) -> None:
    connection.execute(
        sql("judge_sighting"), {"api_batch_id": sighting.api_batch_id, "verdict": verdict, "batch_id": batch_id}
    )


def _read_seconds(connection: Connection, api: MessageBatchesApi, clock: Clock, workspace: Row) -> list[Finding]:
    """Read the batches that were given up under a known id, once they have ended."""
    found = []
    for row in connection.execute(sql("unread_seconds"), workspace).fetchall():
        try:
            if api.retrieve(row["api_batch_id"]).ended_at is not None:
                with connection.transaction():
                    found.append(_keep_second(connection, api, clock, row["api_batch_id"], row))
        except ApiError:
            # Not readable now; a later look reads it.
            continue
    return found


def _keep_second(
    connection: Connection, api: MessageBatchesApi, clock: Clock, api_batch_id: str, intent: Row
) -> Finding:
    key = {"api_batch_id": api_batch_id}
    batch = connection.execute(sql("batch"), {"batch_id": intent["batch_id"]}).fetchone() or {}
    model_of = models_of(batch)
    connection.execute(sql("create_arrived"))
    with api.result_lines(api_batch_id) as lines:
        copy_in(connection, "copy_arrived", (result_row(line, model_of) for line in lines if line.strip()))
    connection.execute(sql("store_spare_results"), {**key, "now": clock()})
    counted = connection.execute(sql("count_spare_results"), key).fetchone() or {}
    detail = (
        f"{api_batch_id} is a second batch of the same requests: {counted['row_count']} rows, "
        f"${counted['cost_usd']:.4f} paid twice. The first is used; the rows of the second are kept."
    )
    raise_alert(
        connection,
        clock(),
        kind="paid_twice",
        subject=api_batch_id,
        message=f"Batch {intent['batch_id']}: {detail}",
        run_id=intent["run_id"],
        batch_id=intent["batch_id"],
    )
    return Finding(intent["batch_id"], intent["run_id"], "second", detail)


def _count_absences(connection: Connection, clock: Clock, workspace: Row, listing: _Listing) -> list[Finding]:
    """Count this listing for each intent in doubt that it shows no candidate for."""
    sightings = open_sightings(connection, workspace)
    found = []
    for row in _watched(connection, workspace, clock):
        if row["state"] == "in_doubt":
            candidates = [sighting for sighting in sightings if is_candidate(sighting, intent_of(row))]
            found.append(_settle(connection, clock, row, candidates, trusted=listing.trusted))
    return found


def _settle(connection: Connection, clock: Clock, row: Row, candidates: list[Sighting], *, trusted: bool) -> Finding:
    now, key = clock(), {"batch_id": row["batch_id"]}
    if candidates:
        connection.execute(sql("forget_empty_listings"), key)
        ids = ", ".join(sighting.api_batch_id for sighting in candidates)
        _alert_when_late(connection, clock, row, f"it may be {ids}, whose results cannot be read yet")
        return _finding(row, "watched", f"it may be {ids}")
    if not trusted:
        _alert_when_late(connection, clock, row, "the list lacks a batch that is known to be there")
        return _finding(row, "watched", "the list lacks a batch that is known to be there, so it proves nothing")
    if not listing_counts(intent_of(row), now, row["empty_listing_at"]):
        return _finding(row, "watched", "no batch in the list can be it, but one may still appear")
    counted = connection.execute(sql("count_empty_listing"), {**key, "now": now}).fetchone()
    if counted is None or counted["empty_listings"] < LISTINGS_THAT_PROVE_ABSENCE:
        return _finding(row, "watched", "no batch in the list can be it")
    note = f"it never arrived: {LISTINGS_THAT_PROVE_ABSENCE} complete listings show no batch that could be it"
    connection.execute(sql("close_as_not_arrived"), {**key, "note": note})
    reached(FaultPoint.DOUBT_SETTLED)
    return _finding(row, "not_arrived", note)


def _finding(row: Row, what: str, detail: str) -> Finding:
    return Finding(row["batch_id"], row["run_id"], what, detail)


def _alert_when_late(connection: Connection, clock: Clock, row: Row, why: str) -> None:
    if clock() - row["intended_at"] > WATCHED_FOR:
        raise_alert(
            connection,
            clock(),
            kind="in_doubt",
            subject=str(row["batch_id"]),
            message=(
                f"Batch {row['batch_id']} of run {row['run_id']} has been in doubt for more than 25 hours: {why}. "
                f"`backcast resubmit {row['run_id']} --again` sends it again, and may pay for it twice."
            ),
            run_id=row["run_id"],
            batch_id=row["batch_id"],
        )
