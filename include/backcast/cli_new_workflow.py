"""The command that makes a workflow and its DAG."""

from __future__ import annotations

from pathlib import Path

import click

from backcast.services.new_workflow import new_workflow as make


@click.command()
@click.argument("name")
@click.option("--like", default="nightly_tech_debt", show_default=True, help="The workflow that it begins as.")
@click.option(
    "--dags",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where Airflow looks for DAG files. Unless told: the folder `dags` of the checkout.",
)
def new_workflow(*, name: str, like: str, dags: Path | None) -> None:
    """Make the workflow NAME: a folder with its declaration, answer schema and prompt, and a DAG file.

    It runs as it is, as the one that it begins as. Exit 2 when there is one of that name.
    """
    made = make(name, like, dags)
    for path in (*made.files, made.dag):
        click.echo(path)
    click.echo(
        "Made. Say in workflow.yaml what it is and when it is due, and in prompts/v1.md.j2 what is asked. "
        f"`backcast check` then says whether it can hold, and `backcast requests {name}` what would be sent."
    )
