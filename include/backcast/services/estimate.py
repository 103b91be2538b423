"""What a run will cost, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from backcast.domain.capacity import Work
from backcast.domain.lines import number_lines
from backcast.domain.pricing import Model, Usage, batch_cost, estimate_tokens, synchronous_cost
from backcast.settings import cache_folder, run_settings
from backcast.sources.git import GitSource

if TYPE_CHECKING:
    from backcast.anthropic_api.batches import MessageBatchesApi

# What an answer of a code review has been seen to need: a handful of findings.
_ANSWER_TOKENS = 800
# Path, language and the marks around a document.
_FENCE_BYTES = 400


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a first round would send. Money in US dollars: as a batch, and the same work synchronously."""

    documents: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    synchronous_usd: Decimal
    model: str


def prompt_bytes(text: str) -> int:
    """Return how many bytes a text has as a prompt shows it."""
    return len(number_lines(text).encode())


def shared_bytes(system_template: str, answer_schema: str) -> int:
    """Return how many bytes every request of a prompt has beside its document."""
    return len(system_template.encode()) + len(answer_schema.encode())


def work_of_requests(requests: int, document_bytes: int, other_bytes: int) -> Work:
    """Estimate the work of requests about documents of so many bytes together, and what each has beside, in sum."""
    prompts = estimate_tokens(int(document_bytes) + int(other_bytes) + requests * _FENCE_BYTES)
    return Work(requests, prompts + requests * _ANSWER_TOKENS)


class CostModel:
    """Estimates single requests of one model and prompt."""

    def __init__(self, model: Model, system_template: str, answer_schema: str) -> None:
        self._model = model
        self._shared_tokens = estimate_tokens(shared_bytes(system_template, answer_schema))

    def usage(self, prompt_bytes: int) -> Usage:
        """Estimate the tokens of a request about a document of so many bytes, its lines numbered."""
        document = estimate_tokens(prompt_bytes + _FENCE_BYTES)
        return Usage(input_tokens=self._shared_tokens + document, output_tokens=_ANSWER_TOKENS)

    def other_tokens(self, example_bytes: int = 0) -> int:
        """Estimate the tokens of all that is sent beside a document, or a part of one."""
        return self._shared_tokens + estimate_tokens(example_bytes + _FENCE_BYTES)

    def batch_usd(self, prompt_bytes: int) -> Decimal:
        """Estimate what such a request costs in a batch."""
        return batch_cost(self._model, self.usage(prompt_bytes))

    def most_usd(self, prompt_bytes: int, max_tokens: int, *, synchronous: bool) -> Decimal:
        """Return the most that such a request can cost: its answer may be as long as is allowed."""
        usage = replace(self.usage(prompt_bytes), output_tokens=max_tokens)
        return (synchronous_cost if synchronous else batch_cost)(self._model, usage)


def check_api(api: MessageBatchesApi, workflow: str) -> None:
    """Ask the API for a workflow's model, so that a wrong address, key or model is said before anything starts.

    Raises:
        ApiError: it cannot be reached, or does not take the key.
        InputError: it has no such model.
    """
    api.preflight(run_settings(workflow, {}).model.name)


def estimate_night(
    workflow: str, repository: str | None = None, ref: str | None = None, max_documents: int | None = None
) -> Estimate:
    """Estimate a run of a workflow on a repository, without ledger and API; earlier answers are not considered."""
    params: dict[str, Any] = {"repository": repository, "ref": ref, "max_documents": max_documents}
    settings = run_settings(workflow, params)
    source = GitSource(settings.repository, settings.ref, cache_folder(), settings.selection)
    costs = CostModel(settings.model, settings.prompt.system_template, settings.prompt.answer_schema)
    documents = input_tokens = output_tokens = 0
    cost = synchronous = Decimal(0)
    for document in source.documents(source.snapshot()):
        if document.text is None:
            continue
        usage = costs.usage(prompt_bytes(document.text))
        documents += 1
        input_tokens += usage.input_tokens
        output_tokens += usage.output_tokens
        cost += batch_cost(settings.model, usage)
        synchronous += synchronous_cost(settings.model, usage)
    return Estimate(documents, input_tokens, output_tokens, cost, synchronous, settings.model.name)
