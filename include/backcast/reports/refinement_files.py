"""The files of a refinement: its report, and each proposed version as files and as a diff that a person reads."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from difflib import unified_diff
from io import StringIO
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from backcast.domain.errors import ReportError
from backcast.reports.refinement import PICTURE, refinement_json, render_refinement
from backcast.reports.refinement_chart import draw_scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from backcast.domain.refinement import Refined
    from backcast.domain.workflow import PromptVersion

MARKDOWN: Final = "refinement.md"
JSON: Final = "refinement.json"
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9._+-]+")


def refinement_folder(reports: Path, workflow: str, key: str) -> Path:
    """Return where the files of a refinement are."""
    return reports / workflow / "refinements" / (_NOT_IN_A_NAME.sub("-", key).strip("-.") or "refinement")


def write_refinement(refined: Refined, folder: Path) -> Path:
    """Write `refinement.md`, `refinement.json` and the picture; returns the report.

    Raises:
        ReportError: they cannot be written.
    """
    write_files(
        folder,
        {
            MARKDOWN: render_refinement(refined).encode(),
            JSON: refinement_json(refined),
            PICTURE: draw_scores(refined),
        },
    )
    return folder / MARKDOWN


def write_proposal(parent: PromptVersion, proposed: PromptVersion, folder: Path) -> Path:
    """Write a proposed version as a workflow's folder has it, and what changed as a diff; returns the diff.

    Raises:
        ReportError: they cannot be written.
    """
    diff = f"{parent.version}-to-{proposed.version}.diff"
    files = version_files(proposed)
    write_files(folder, {**_encoded(files), diff: version_diff(parent, proposed).encode()})
    return folder / diff


def version_files(prompt: PromptVersion) -> dict[str, str]:
    """Return the files of a version by their place in a workflow's folder; as a person reads them."""
    files = {f"prompts/{prompt.version}.md.j2": prompt.system_template}
    for example in prompt.examples:
        folder = f"prompts/{prompt.version}.examples/{example.language}"
        files[f"{folder}/document.txt"] = example.document
        files[f"{folder}/answer.json"] = json.dumps(json.loads(example.answer), indent=2) + "\n"
    return files


def version_diff(parent: PromptVersion, proposed: PromptVersion) -> str:
    """Return what a version changes as a unified diff; what is the same in both is left out."""
    before, after = version_files(parent), version_files(proposed)
    # Under one name, so that a file is held against its own earlier version.
    names = {_of(parent, name): name for name in before} | {_of(proposed, name): name for name in after}
    return "".join(
        _diff(
            before.get(name.format(parent.version), ""),
            after.get(name.format(proposed.version), ""),
            name.format(parent.version),
            name.format(proposed.version),
        )
        for name in names
    )


def _of(prompt: PromptVersion, name: str) -> str:
    plain = name.replace("{", "{{").replace("}", "}}")
    return plain.replace(f"prompts/{prompt.version}.", "prompts/{}.", 1)


def _diff(before: str, after: str, from_file: str, to_file: str) -> str:
    lines = unified_diff(
        _lines(before),
        _lines(after),
        from_file if before else os.devnull,
        to_file if after else os.devnull,
    )
    return "".join(_ended(lines))


def _lines(text: str) -> list[str]:
    # At line feeds only, as git and editors do.
    return StringIO(text, newline="\n").readlines()


def _ended(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _encoded(files: Mapping[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in files.items()}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, each whole or not at all, instead of what an earlier attempt left.

    Raises:
        ReportError: one cannot be written.
    """
    for name, content in files.items():
        path = folder / name
        temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise ReportError(
                f"cannot write {path}: {error.strerror or error}; make room there, make the folder writable for this "
                "user, or choose another one by BACKCAST_REPORTS, and try again"
            ) from error
