"""What a prompt is scored on: labelled documents, and a sample of a repository's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from backcast.domain.errors import InputError
from backcast.domain.sampling import Candidate, choose
from backcast.domain.workflow import content_hash
from backcast.services.collect import nothing_left
from backcast.services.scoring import SampleDocument
from backcast.sources.git import GitSource

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from pathlib import Path

    from backcast.domain.documents import SourceDocument
    from backcast.domain.golden import LabelledDocument
    from backcast.domain.workflow import RunSettings


def labelled_sample(documents: Iterable[LabelledDocument]) -> list[SampleDocument]:
    """Return labelled documents as those of a sample."""
    return [SampleDocument(one.path, one.language, one.text, one) for one in documents]


def repository_sample(
    settings: RunSettings,
    cache: Path,
    *,
    documents: int | None = None,
    beside: Iterable[SampleDocument] = (),
    failed: Container[str] = (),
) -> list[SampleDocument]:
    """Return a sample of the repository of these settings: the same one as long as its documents are the same.

    What failed in earlier runs gets a place of its own only when it is given, so that two versions are scored on the
    same sample.

    Args:
        settings: of a run on the repository.
        cache: where clones of remote repositories are kept.
        documents: how many; None: as many as the settings say.
        beside: what is in the sample anyway, under paths that no other document may have.
        failed: the contents, by their hashes, that were not accepted before.

    Raises:
        InputError: the repository cannot be read, or nothing of it is left after filtering.
    """
    source = GitSource(settings.repository, settings.ref, cache, settings.selection)
    snapshot = source.snapshot()
    terms = settings.sample if documents is None else replace(settings.sample, documents=documents)
    # Read twice, so that not all of a repository is in memory at once.
    candidates = list(_candidates(source.documents(snapshot), {one.path for one in beside}, failed))
    if not candidates:
        raise InputError(nothing_left(snapshot.repository, snapshot.ref, ()))
    chosen = set(choose(candidates, terms))
    return [
        SampleDocument(document.path, document.language, document.text)
        for document in source.documents(snapshot)
        if document.text is not None and document.path in chosen
    ]


def _candidates(documents: Iterable[SourceDocument], taken: set[str], failed: Container[str]) -> Iterator[Candidate]:
    seen = set[str]()
    for document in documents:
        if document.text is None or document.path in taken:
            continue
        content = content_hash(document.text)
        if content not in seen:
            seen.add(content)
            odd = len(document.text.encode()) - len(document.text.encode("ascii", "ignore"))
            yield Candidate(document.path, document.language, document.size, odd, content in failed)
