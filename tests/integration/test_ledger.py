"""The ledger's migrations, and the invariants that its constraints carry."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

import backcast.ledger
from backcast.domain.errors import LedgerError
from backcast.ledger.connection import Ledger
from backcast.ledger.migrate import migrate
from backcast.local.binaries import account, programs

if TYPE_CHECKING:
    from backcast.local.postgres import PostgresServer

SCHEMA_FILE = Path(backcast.ledger.__file__).with_name("schema.sql")


def dump(postgres: PostgresServer, dsn: str) -> list[str]:
    program = programs(postgres.state, account()) / "pg_dump"
    command = [program, "--schema-only", "--no-owner", "--exclude-table=*.schema_version", dsn]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # A dump names its session with a random word, to restrict what a restore may do.
    return [line for line in text.splitlines() if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))]


def test_all_migrations_together_equal_the_declared_schema(
    postgres: PostgresServer, ledger: Ledger, empty_database: str
) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(SCHEMA_FILE.read_text())
    assert dump(postgres, ledger.dsn) == dump(postgres, empty_database)


def test_migrating_again_changes_nothing(ledger: Ledger) -> None:
    migrate(ledger.dsn)
    with ledger.connect() as connection:
        assert connection.execute("SELECT count(*) AS count FROM runs").fetchone() == {"count": 0}


def test_a_ledger_that_is_not_migrated_says_what_to_run(empty_database: str) -> None:
    with pytest.raises(LedgerError, match=r"not migrated.*backcast migrate"), Ledger(empty_database).connect():
        pass


def test_a_ledger_migrated_by_a_newer_version_says_what_to_install(ledger: Ledger) -> None:
    with psycopg.connect(ledger.dsn) as connection:
        connection.execute("UPDATE backcast.schema_version SET version_num = '9999'")
    with pytest.raises(LedgerError, match="newer version"), ledger.connect():
        pass
    with pytest.raises(LedgerError, match="newer version"):
        migrate(ledger.dsn)


def test_a_ledger_that_is_away_says_so() -> None:
    away = "postgresql://backcast@127.0.0.1:1/backcast"
    with pytest.raises(LedgerError, match="not reachable"), Ledger(away).connect():
        pass
    with pytest.raises(LedgerError, match="not reachable"):
        migrate(away)


RUN = """
INSERT INTO prompt_versions VALUES ('hash', 'w', 'v1', '', '', '{}', now());
INSERT INTO runs (workflow, external_key, repository, ref, model, prompt_hash, max_tokens, selection, dry_run, full_run,
                  simulated, base_url, opened_at, deadline)
VALUES ('w', 'key', '/r', 'HEAD', 'm', 'hash', 100, '{}', false, false, true, 'http://x', now(), now() + '30 h');
INSERT INTO contents VALUES ('c', 'text');
INSERT INTO documents (run_id, path, language, size, content_hash, answer_key)
VALUES (1, 'a.py', 'python', 4, 'c', 'k');
INSERT INTO requests (run_id, document_id, answer_key, round, max_tokens, simulated, claims)
VALUES (1, 1, 'k', 1, 100, true, true);
INSERT INTO batches (run_id, round, position, nonce, request_count) VALUES (1, 1, 0, 'n', 1);
"""
RESULT = """
UPDATE requests SET batch_id = 1, position = 0, wire_id = 'w-1';
INSERT INTO results (request_id, wire_id, batch_id, result_type, raw, received_at, verdict, answer_key, simulated)
VALUES (1, 'w-1', 1, 'expired', '{}', now(), 'rejected', 'k', true);
"""
INTENDED = """
UPDATE batches SET state = 'intended', base_url = 'x', key_fingerprint = 'f', server_time = now(), intended_at = now(),
                   send_by = now();
"""
COLLECTED = "UPDATE runs SET state = 'collected', commit_id = 'c', committed_at = now(), collected = 1;"
ENDED = "published_at = now(), report_path = 'p', answered = 1, reused = 0, skipped = 0, unanswered = 0"


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE batches SET state = 'submitted', api_batch_id = 'b'", "planned to submitted|intent_is_whole"),
        (f"{INTENDED} UPDATE batches SET state = 'submitted'", "sent_batch_has_an_id"),
        (
            f"{INTENDED} UPDATE batches SET state = 'in_doubt', note = 'n'; UPDATE batches SET state = 'intended'",
            "from in_doubt to intended",
        ),
        ("INSERT INTO batches (run_id, round, position, nonce, request_count) VALUES (1, 1, 0, 'm', 1)", "one_live"),
        ("INSERT INTO batches (run_id, round, position, nonce, request_count) VALUES (1, 1, 1, 'n', 1)", "nonce"),
        (
            (
                "INSERT INTO requests (run_id, document_id, answer_key, round, max_tokens, simulated, claims) "
                "VALUES (1, 1, 'k', 1, 9, true, false)"
            ),
            "one_root_a_document",
        ),
        (
            (
                "INSERT INTO requests (run_id, document_id, answer_key, round, max_tokens, simulated, claims, "
                "parent_id, attempt, remedy) VALUES (1, 1, 'k', 2, 9, true, true, 1, 2, 'same_again')"
            ),
            "one_claim_a_content",
        ),
        (f"UPDATE requests SET batch_id = 1, position = 0, wire_id = 'w-1', claims = false; {INTENDED}", "another run"),
        (f"{RESULT} UPDATE requests SET state = 'accepted'", "answered_claims_nothing"),
        ("UPDATE requests SET state = 'accepted', claims = false", "without a stored result"),
        ("UPDATE requests SET state = 'failed', cause = 'passing'", "without a stored result"),
        (
            (
                "INSERT INTO requests (run_id, document_id, answer_key, parent_id, attempt, round, remedy, max_tokens, "
                "simulated, claims) VALUES (1, 1, 'k', 1, 2, 2, 'same_again', 100, true, false)"
            ),
            "requests_parent_id_parent_state_fkey",
        ),
        (
            (
                f"{RESULT} INSERT INTO results (request_id, wire_id, batch_id, result_type, raw, received_at, "
                "answer_key, simulated) VALUES (1, 'w-1', 1, 'expired', '{}', now(), 'k', true)"
            ),
            "results_request_id_key",
        ),
        (f"{RESULT} UPDATE results SET verdict = 'accepted'", "results_check"),
        ("UPDATE requests SET batch_id = 1, position = 0, wire_id = 'not allowed!'", "wire_id"),
        ("UPDATE runs SET state = 'published', published_at = now(), report_path = 'p'", "from open to published"),
        (
            (
                "UPDATE documents SET outcome = 'unanswered', reason = 'r'; "
                "UPDATE runs SET state = 'collected', commit_id = 'c', committed_at = now(), collected = 1; "
                "UPDATE runs SET state = 'published', published_at = now(), report_path = 'p', answered = 1, "
                "reused = 0, skipped = 0, unanswered = 0"
            ),
            "do not add up",
        ),
        *(
            (f"UPDATE runs SET kind = '{kind}'; {COLLECTED} UPDATE runs SET state = '{state}', {ENDED}", complaint)
            for kind, state, complaint in (
                ("sample", "published", "a_kind_has_its_end"),
                ("documents", "scored", "a_kind_has_its_end"),
                ("sample", "scored", "do not add up"),
            )
        ),
    ],
)
def test_what_must_never_be_is_refused_by_the_tables(ledger: Ledger, statement: str, complaint: str) -> None:
    with psycopg.connect(ledger.dsn, options="-c search_path=backcast") as connection:
        connection.execute(RUN)
        connection.commit()
        with pytest.raises(psycopg.errors.IntegrityError, match=complaint):  # noqa: PT012  checked at commit
            connection.execute(statement)
            connection.commit()


def test_a_child_may_follow_a_stored_failure(ledger: Ledger) -> None:
    with psycopg.connect(ledger.dsn, options="-c search_path=backcast") as connection:
        connection.execute(RUN + RESULT)
        connection.execute("UPDATE requests SET state = 'failed', cause = 'passing'")
        connection.execute(
            "INSERT INTO requests (run_id, document_id, answer_key, parent_id, attempt, round, remedy, max_tokens, "
            "simulated, claims) VALUES (1, 1, 'k', 1, 2, 2, 'same_again', 100, true, false)"
        )
