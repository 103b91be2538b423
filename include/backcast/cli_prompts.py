"""The commands about the versions of a workflow's prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from backcast.cli_options import current_user, json_option, now, own_ledger_option
from backcast.cli_tables import print_json, print_table
from backcast.domain.scores import told
from backcast.local.own_ledger import own_ledger
from backcast.services.versions import declared_prompt, history, known_versions
from backcast.services.versions import promote as promote_version

if TYPE_CHECKING:
    from backcast.services.versions import Promotion

_HASH_SHOWN: Final = 12
_VERSIONS: Final = ["version", "hash", "active", "in_files", "first_seen_at"]
_HISTORY: Final = ["at", "version", "hash", "by", "why", "scores"]


@click.command()
@click.argument("workflow")
@json_option
@own_ledger_option
def prompts(*, workflow: str, as_json: bool, ledger: str | None) -> None:
    """Show the versions of WORKFLOW's prompt, which one is active, and who made it so, when and why."""
    declared = declared_prompt(workflow)
    with own_ledger(ledger) as known:
        versions, promotions = known_versions(known, workflow, declared), history(known, workflow)
    if as_json:
        active = next((version.view() for version in versions if version.active), None)
        rows = {"versions": [one.view() for one in versions], "history": [one.view() for one in promotions]}
        print_json({"workflow": workflow, "active": active, **rows})
        return
    shown = [{**one.view(), "hash": one.prompt_hash[:_HASH_SHOWN], **_marks(one.view())} for one in versions]
    print_table(f"Prompt of {workflow}", shown, _VERSIONS)
    if promotions:
        print_table("Made active, last first", [_row(one) for one in promotions], _HISTORY)


@click.command()
@click.argument("workflow")
@click.argument("version")
@click.option("--why", required=True, help="Why, for whoever looks at the history.")
@click.option("--by", help="Who promotes it; you, unless told.")
@json_option
@own_ledger_option
def promote(*, workflow: str, version: str, why: str, by: str | None, as_json: bool, ledger: str | None) -> None:  # noqa: PLR0913  one parameter for each option
    """Make VERSION of WORKFLOW's prompt the active one, by hand.

    By its name, in the workflow's files or else in the ledger, or by how its hash begins. Runs that are opened from now
    on use it, until another one is promoted or the files that declare the prompt change.
    """
    declared = declared_prompt(workflow)
    with own_ledger(ledger) as known:
        promotion = promote_version(known, now, workflow, version, by=by or current_user(), why=why, declared=declared)
    if as_json:
        print_json({"workflow": workflow, **promotion.view()})
        return
    click.echo(
        f"{promotion.version} ({promotion.prompt_hash[:_HASH_SHOWN]}) is the active prompt of {workflow}, by "
        f"{promotion.promoted_by}: {promotion.why}"
    )
    if promotion.prompt_hash != declared.prompt_hash:
        click.echo(f"The files declare {declared.version}: as soon as what they declare changes, that becomes active.")


def _marks(version: dict[str, Any]) -> dict[str, str]:
    return {name: "yes" if version[name] else "" for name in ("active", "in_files")}


def _row(promotion: Promotion) -> dict[str, Any]:
    return {
        "at": promotion.promoted_at,
        "version": promotion.version,
        "hash": promotion.prompt_hash[:_HASH_SHOWN],
        "by": promotion.promoted_by,
        "why": promotion.why,
        "scores": None if promotion.scores is None else told(promotion.scores),
    }
