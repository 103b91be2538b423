"""What is said at the end of a night."""

from __future__ import annotations

import shlex
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from backcast.local.options import Api
from backcast.reports.wording import count, duration, percent, usd

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.ledger.progress import RunProgress
    from backcast.local.options import StackOptions
    from backcast.services.estimate import Estimate


def published_lines(progress: RunProgress, options: StackOptions, now: datetime) -> list[str]:
    """Sum up a published run."""
    saved = progress.synchronous_usd - progress.cost_usd
    left = progress.deadline - now
    outcomes = f"{progress.answered or 0} answered, {progress.reused or 0} reused"
    others = f"{progress.skipped or 0} skipped, {progress.unanswered or 0} unanswered"
    price = f"{usd(progress.cost_usd)} instead of {usd(progress.synchronous_usd)} synchronously"
    lines = [
        "The report is published.",
        f"  Documents  {progress.documents}: {outcomes}, {others}",
        f"  Findings   {progress.findings or 0}",
        f"  Cost       {price}: {usd(saved)} saved ({percent(saved, progress.synchronous_usd)})",
        f"  Deadline   {duration(left)} {'past' if left < timedelta(0) else 'left'}",
        f"  Report     {_shown(progress.report_path, options)}",
    ]
    if options.api is Api.SIMULATOR:
        lines.append("No model was asked: answers come from static analysis, and nothing was charged.")
    return lines


def estimate_lines(estimate: Estimate, base_url: str | None) -> list[str]:
    """Say what a run on the real API will cost."""
    tokens = f"{estimate.input_tokens:,} tokens in and {estimate.output_tokens:,} out"
    price = f"{usd(estimate.cost_usd)} (synchronously {usd(estimate.synchronous_usd)})"
    api = base_url or "Anthropic's API"
    return [
        f"This sends {count(estimate.documents, 'document')} to {estimate.model} through {api}:",
        f"  in the first round about {tokens}, about {price}",
        f"  prompt cache: {estimate.caching}",
        "  answers that are in the ledger already are reused and cost nothing",
    ]


def interrupted_lines(progress: RunProgress | None, options: StackOptions, dag_run_id: str) -> list[str]:
    """Say what goes on at the real API without us, and how to come back to it."""
    batches = progress.api_batch_ids if progress else []
    flying = ", ".join(batches) if batches else "none"
    return [f"Batches in flight: {flying}", f"Resume with:  {resume_command(options, dag_run_id)}"]


def resume_command(options: StackOptions, dag_run_id: str) -> str:
    """Return what a person types to follow a run of the real API again."""
    home = f" BACKCAST_HOME={shlex.quote(str(options.home))}" if options.home else ""
    return f"make run API=anthropic RESUME={shlex.quote(dag_run_id)}{home}"


def _shown(report_path: str | None, options: StackOptions) -> str:
    if report_path is None:
        return "none"
    path = Path(report_path)
    return str(path.relative_to(options.project) if path.is_relative_to(options.project) else path)
