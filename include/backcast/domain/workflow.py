"""What a workflow declares, and what one run of it was asked to do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from backcast.domain.rescue import RescueTerms
from backcast.domain.sampling import LetPass, SampleTerms
from backcast.domain.static_checks import SandboxTerms, asks_for_tests

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from decimal import Decimal

    from backcast.domain.documents import Selection, Source
    from backcast.domain.pricing import Model


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be spent, in US$; None: no limit.

    Attributes:
        run: on a run.
        month: on all runs of a workflow opened in one month, in UTC.
        retries: of what a run may cost, on trying again.
    """

    run: Decimal | None = None
    month: Decimal | None = None
    retries: Decimal | None = None


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """A document of a language, and an acceptable answer to it as JSON text."""

    language: str
    document: str
    answer: str


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """A prompt with its answer schema; `answer_schema` is JSON text, the templates are Jinja.

    Where an answer was not acceptable, the simplified system prompt or a worked example of the document's language is
    tried; a workflow may have neither.
    """

    version: str
    system_template: str
    document_template: str
    answer_schema: str
    simplified_template: str = ""
    examples: tuple[WorkedExample, ...] = ()

    @property
    def prompt_hash(self) -> str:
        """SHA-256 over all of it: whatever changes an answer changes the hash."""
        examples = [text for example in self.examples for text in (example.language, example.document, example.answer)]
        more = [self.simplified_template, *examples] if self.simplified_template or examples else []
        return digest(self.system_template, self.document_template, self.answer_schema, *more)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything a run needs to know from its beginning, after parameters, environment and workflow were weighed.

    Without a `deadline` it is due its SLA after it was opened. It is `interim` when the run of a later slot makes the
    report that is due. `structured` asks the API to keep to the answer schema, where the model can. It is of the kind
    `requests` when these bring their own parameters, `sample` when it only scores a prompt, `review` when a diff was
    reviewed, or something else answered at once, before the run was written down. Its documents come from a `source`,
    and `repository` says which: a path or URL; a `ref` is of git alone. `let_pass` lets it go on whatever its sample
    says. The `prompt` is what the workflow's files declare, in place of which a run uses the active version, unless
    `prompt_is_given`.
    """

    workflow: str
    repository: str
    ref: str
    selection: Selection
    sla: timedelta
    model: Model
    max_tokens: int
    prompt: PromptVersion
    dry_run: bool = False
    full: bool = False
    rescue: RescueTerms = field(default_factory=RescueTerms)
    budget: Budget = field(default_factory=Budget)
    deadline: datetime | None = None
    interim: bool = False
    structured: bool = True
    kind: Literal["documents", "requests", "sample", "review"] = "documents"
    sample: SampleTerms = field(default_factory=SampleTerms)
    let_pass: LetPass | None = None
    prompt_is_given: bool = False
    source: Source = "git"
    tests: SandboxTerms = field(default_factory=SandboxTerms)


def content_hash(text: str) -> str:
    """Return the identity of a document's content: the SHA-256 of its text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def document_hash(text: str, pdf: bytes | None = None) -> str:
    """Return the identity of a document's content: of a PDF that of the file, whatever its text layer says."""
    return content_hash(text) if pdf is None else digest("application/pdf", hashlib.sha256(pdf).hexdigest())


def answer_key(content: str, prompt_hash: str, model: str) -> str:
    """Return the identity of an answer: the same content (by its hash), prompt, schema and model have the same one."""
    return digest(content, prompt_hash, model)


def answer_key_at(path: str, content: str, prompt: PromptVersion, model: str) -> str:
    """Return the identity of an answer about the document at a path.

    Tests import what they test by where it lies, so that they are about this path and no other with the same content.
    """
    about = digest(content, path) if asks_for_tests(prompt.answer_schema) else content
    return answer_key(about, prompt.prompt_hash, model)


def digest(*parts: str) -> str:
    """Return the SHA-256 of a list of texts."""
    sha256 = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        # The length first, so that no two lists of parts run together into the same bytes.
        sha256.update(len(encoded).to_bytes(8, "big") + encoded)
    return sha256.hexdigest()
