"""Makes a workflow of one's own out of one that is there: its folder, and its DAG file."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backcast.domain.errors import InputError
from backcast.prompt_files import check_files, files_of
from backcast.services.routing import is_synchronous
from backcast.settings import (
    check_terms,
    checkout_dags,
    load_workflow,
    own_workflows_folder,
    schema_file,
    workflow_file,
    workflow_names,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
# What the ids of Airflow's DAGs and of requests have room for, and a person can tell apart.
_LONGEST_NAME: Final = 60
_DAG: Final = '''"""{what}"""

from airflow.sdk import DAG

from backcast.orchestration.batch_dag import batch_dag, batch_stages

with DAG(**batch_dag("{name}")):
    batch_stages("{name}")
'''
_VERSION: Final = "v1"
_OF_THE_FILE: Final = ("name", "description", "consumers", "prompt")


@dataclass(frozen=True, slots=True)
class Made:
    """The files of a new workflow, and its DAG file."""

    files: tuple[Path, ...]
    dag: Path


def new_workflow(name: str, like: str, dags: Path | None) -> Made:
    """Make the workflow `name`, which does what `like` does until its files are changed.

    Args:
        name: its name, which becomes its folder's and its DAG's.
        like: the workflow whose `workflow.yaml`, answer schema and prompt it begins with.
        dags: the folder of Airflow's DAG files; None: that of the checkout.

    Raises:
        InputError: there is such a workflow or DAG file already, the name cannot be one, or `like` is not for batches.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise InputError(
            f"{name!r} cannot be a workflow's name: write at most {_LONGEST_NAME} of a-z, 0-9 and _, a letter first."
        )
    folder, dag = own_workflows_folder() / name, _dags(dags) / f"{name}.py"
    for path in (folder, dag):
        if path.exists():
            raise InputError(f"{path} is there already. Choose another name, or change what is there.")
    if like not in workflow_names():
        raise InputError(f"There is no workflow {like!r} to begin with. There are {', '.join(workflow_names())}.")
    if is_synchronous(like):
        raise InputError(f"{like} is asked synchronously, and has another DAG than one of batches: choose another.")
    _write_folder(folder, name, like)
    try:
        with dag.open("x", encoding="utf-8") as file:
            file.write(_DAG.format(name=name, what=_what(name, like)))
    except OSError as error:
        shutil.rmtree(folder)
        raise InputError(f"{dag} cannot be written: {error}") from error
    return Made(tuple(sorted(path for path in folder.rglob("*") if path.is_file())), dag)


def _what(name: str, like: str) -> str:
    return f"{name.replace('_', ' ').capitalize()}: what {like} does, until its prompt is changed."


def _dags(given: Path | None) -> Path:
    folder = given or checkout_dags()
    if folder is None:
        raise InputError("Where does Airflow look for DAG files? Name that folder with --dags.")
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: name the one in which Airflow looks for DAG files with --dags.")
    return folder


def _write_folder(folder: Path, name: str, like: str) -> None:
    """Write all of it beside, and then give it its name: a workflow is there whole, or not at all."""
    text = "\n".join(_declaration(folder, name, like)) + "\n"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as beside:
            made = Path(beside) / name
            for source, target in _copies(like):
                (made / target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, made / target)
            (made / "workflow.yaml").write_text(text, encoding="utf-8")
            made.rename(folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error}") from error


def _copies(like: str) -> Iterator[tuple[Path, str]]:
    prompt = files_of(workflow_file(like).parent, load_workflow(like)["prompt"])
    yield prompt.schema, "schema.json"
    yield prompt.system, f"prompts/{_VERSION}.md.j2"
    yield prompt.document, "prompts/document.md.j2"
    if check_terms(like) is not None:
        for path in check_files(workflow_file(like).parent):
            yield path, f"prompts/{path.name}"


def _declaration(folder: Path, name: str, like: str) -> Iterator[str]:
    """Yield the lines of `workflow.yaml`: those of the other one, but for what is its own."""
    yield f"# yaml-language-server: $schema={way_to_schema(folder)}"
    yield f"name: {name}"
    yield f"description: {_what(name, like)!r}"
    yield f"prompt: {_VERSION}"
    skipping = False
    for line in workflow_file(like).read_text(encoding="utf-8").splitlines():
        if line.startswith("# yaml-language-server:"):
            continue
        if line[:1] not in {" ", "-", "#", ""}:
            skipping = line.split(":")[0] in _OF_THE_FILE
        if not skipping:
            yield line


def way_to_schema(folder: Path) -> str:
    """Return how a `workflow.yaml` in this folder names the schema: within one checkout from there, else absolutely."""
    schema = schema_file()
    try:
        way = os.path.relpath(schema, folder.resolve())
    except ValueError:
        return schema.as_posix()
    # One checkout may be moved as a whole; what is installed elsewhere stays where it is.
    near = len(Path(way).parts) <= len(Path("../../backcast/workflow.schema.json").parts)
    return Path(way).as_posix() if near else schema.as_posix()
