"""What a run will cost, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from backcast.domain.caching import EXPECTED_HIT_SHARE, Caching, Hits, decide
from backcast.domain.capacity import Work
from backcast.domain.documents import PAGE_BREAK
from backcast.domain.lines import number_lines
from backcast.domain.pricing import (
    BYTES_A_TOKEN,
    Model,
    Ttl,
    Usage,
    batch_cost,
    estimate_tokens,
    least_tokens,
    synchronous_cost,
)
from backcast.prompt_templates import render
from backcast.services.reading import documents_of
from backcast.settings import cache_folder, run_settings

if TYPE_CHECKING:
    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.domain.documents import SourceDocument
    from backcast.domain.workflow import PromptVersion

# What an answer of a code review has been seen to need: a handful of findings.
_ANSWER_TOKENS = 800
# Path, language and the marks around a document.
_FENCE_BYTES = 400
# Of the picture that is made of a page of a PDF, as large as pictures are read.
_PAGE_TOKENS = 1_600


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a first round would send. Money in US dollars: as a batch, and the same work synchronously.

    `caching` says whether what all requests share is cached, and why.
    """

    documents: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    synchronous_usd: Decimal
    model: str
    caching: str


def prompt_bytes(text: str) -> int:
    """Return how many bytes a text has as a prompt shows it."""
    return len(number_lines(text).encode())


def shown_bytes(document: SourceDocument) -> int:
    """Return how many bytes a document has as a prompt shows it, a PDF by the tokens it is read as; 0 when left out.

    The API reads a PDF's text, and each page as a picture, too.
    """
    if document.text is None:
        return 0
    return prompt_bytes(document.text) if document.pdf is None else pdf_bytes(document.text)


def pdf_bytes(text_layer: str) -> int:
    """Return how many bytes of text have as many tokens as a PDF with this text layer."""
    pages = text_layer.count(PAGE_BREAK) + 1
    return len(text_layer.encode()) + pages * _PAGE_TOKENS * BYTES_A_TOKEN


def shared_bytes(prompt: PromptVersion) -> int:
    """Return how many bytes every request of a prompt version has beside its document."""
    return len(render(prompt).system.encode())


def caching_for(model: Model, prompt: PromptVersion, requests: int | None, hits: Hits | None = None) -> Caching:
    """Decide whether what requests of a prompt version share is cached.

    Args:
        model: whom they go to.
        prompt: the version.
        requests: how many there are; None: many.
        hits: of earlier requests, where the ledger has any.
    """
    return decide(model, least_tokens(shared_bytes(prompt)), requests, hits)


def work_of_requests(requests: int, document_bytes: int, other_bytes: int) -> Work:
    """Estimate the work of requests about documents of so many bytes together, and what each has beside, in sum."""
    prompts = estimate_tokens(int(document_bytes) + int(other_bytes) + requests * _FENCE_BYTES)
    return Work(requests, prompts + requests * _ANSWER_TOKENS)


class CostModel:
    """Estimates single requests of one model and prompt version.

    With a `cache_ttl` the API is asked to keep what they share; `hit_share` of them, from 0 to 1, are expected to read
    it, and the others write it.
    """

    def __init__(
        self,
        model: Model,
        prompt: PromptVersion,
        cache_ttl: Ttl | None = None,
        hit_share: Decimal = EXPECTED_HIT_SHARE,
    ) -> None:
        self._model, self._cache_ttl, self._hit_share = model, cache_ttl, hit_share
        self._shared_tokens = estimate_tokens(shared_bytes(prompt))
        # Nobody knows beforehand which requests will be sent with the simplified prompt.
        self._most_shared_tokens = max(self._shared_tokens, estimate_tokens(len(render(prompt).simplified.encode())))

    def usage(self, prompt_bytes: int) -> Usage:
        """Estimate the tokens of a request about a document of so many bytes, its lines numbered."""
        return self._usage(prompt_bytes, self._shared_tokens, self._hit_share)

    def _usage(self, prompt_bytes: int, shared_tokens: int, hit_share: Decimal) -> Usage:
        document = estimate_tokens(prompt_bytes + _FENCE_BYTES)
        if self._cache_ttl is None:
            return Usage(input_tokens=shared_tokens + document, output_tokens=_ANSWER_TOKENS)
        read = int(shared_tokens * hit_share)
        return Usage(
            input_tokens=document,
            output_tokens=_ANSWER_TOKENS,
            cache_read_tokens=read,
            cache_write_5m_tokens=shared_tokens - read if self._cache_ttl == "5m" else 0,
            cache_write_1h_tokens=shared_tokens - read if self._cache_ttl == "1h" else 0,
        )

    def other_tokens(self, example_bytes: int = 0) -> int:
        """Estimate the tokens of all that is sent beside a document, or a part of one."""
        return self._shared_tokens + estimate_tokens(example_bytes + _FENCE_BYTES)

    def batch_usd(self, prompt_bytes: int) -> Decimal:
        """Estimate what such a request costs in a batch."""
        return batch_cost(self._model, self.usage(prompt_bytes))

    def most_usd(self, prompt_bytes: int, max_tokens: int, *, synchronous: bool) -> Decimal:
        """Return the most that such a request can cost.

        Its answer may be as long as is allowed, and it may find nothing in the cache.
        """
        usage = replace(self._usage(prompt_bytes, self._most_shared_tokens, Decimal(0)), output_tokens=max_tokens)
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
    source = documents_of(settings, cache_folder())
    sizes = [shown_bytes(document) for document in source.documents() if document.text is not None]
    caching = caching_for(settings.model, settings.prompt, len(sizes))
    costs = CostModel(settings.model, settings.prompt, caching.ttl, caching.hit_share)
    usages = [costs.usage(size) for size in sizes]
    return Estimate(
        documents=len(usages),
        input_tokens=sum(usage.prompt_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        cost_usd=sum((batch_cost(settings.model, usage) for usage in usages), Decimal(0)),
        synchronous_usd=sum((synchronous_cost(settings.model, usage) for usage in usages), Decimal(0)),
        model=settings.model.name,
        caching=caching.why,
    )
