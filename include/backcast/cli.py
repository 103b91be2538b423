"""The `backcast` command: each of its commands is imported when it is asked for, so that none pays for the others."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final, NoReturn, cast

import click

from backcast.domain.errors import BackcastError, InputError

_USAGE: Final = 2
_FAILURE: Final = 1
_COMMANDS: Final = {
    "alert": "cli_alerts:alert",
    "cancel": "cli_operations:cancel",
    "check": "cli_plan:check",
    "config": "cli_config:config",
    "doctor": "cli_doctor:doctor",
    "failures": "cli_failures:failures",
    "migrate": "cli_local:migrate",
    "new-workflow": "cli_new_workflow:new_workflow",
    "night": "cli_local:night",
    "plan": "cli_plan:plan",
    "promote": "cli_prompts:promote",
    "prompts": "cli_prompts:prompts",
    "reconcile": "cli_operations:reconcile",
    "refine": "cli_refine:refine",
    "requests": "cli_requests:requests",
    "resubmit": "cli_operations:resubmit",
    "review": "cli_pre_merge_review:review",
    "review-lane": "cli_review:review_lane",
    "route": "cli_route:route",
    "run": "cli_run:run",
    "score": "cli_score:score",
    "simulator": "cli_local:simulator",
    "status": "cli_operations:status",
    "up": "cli_local:up",
}


class _Group(click.Group):
    """Says what a person can mend in one line, without a traceback: exit code 2 for wrong input, else 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click gives it
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, name = _COMMANDS[cmd_name].split(":")
        return cast("click.Command", getattr(import_module(f"backcast.{module}"), name))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BackcastError as error:
            _fail(str(error), _USAGE if isinstance(error, InputError) else _FAILURE)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"backcast: {message}", err=True)
    sys.exit(code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="backcast")
def main() -> None:
    """LLM document jobs on Anthropic's Message Batches API, at half price and still on time."""
