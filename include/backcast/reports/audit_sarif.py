"""The report of an audit as SARIF 2.1.0, which code hosts and editors read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from backcast.reports.review_sarif import location_of, message, result_of, sarif_log, tool_of

if TYPE_CHECKING:
    from backcast.domain.audit import Audit, FindingCheck, Quotation
    from backcast.domain.report import Finding, Report

_BASELINE: Final = {"new": "new", "persisting": "unchanged", "fixed": "absent"}


def audit_sarif(report: Report, audit: Audit) -> bytes:
    """Return an audit's report as a SARIF log with one run.

    Its results carry the verdict of their check. A refuted one is suppressed, with the reason as justification. A file
    that was not audited is a notification of the run, which is not successful then.
    """
    checks = audit.by_finding()
    rules = sorted({finding.category for finding in report.findings})
    run = {
        "tool": tool_of(rules),
        # Of one tool, a code host keeps what was last uploaded for each category: what stands before the slash.
        "automationDetails": {"id": f"{report.workflow}/{report.run_id}"},
        "invocations": [
            {
                "executionSuccessful": not report.unanswered,
                "toolExecutionNotifications": [
                    {
                        "level": "warning",
                        "message": {"text": f"not answered: {message(one.reason)}"},
                        "locations": [location_of(one.path, None)],
                    }
                    for one in report.unanswered
                ],
            }
        ],
        "results": [_result(finding, checks.get(finding.fingerprint), rules) for finding in report.findings],
        "columnKind": "unicodeCodePoints",
        "properties": {
            "model": report.model,
            "prompt": report.prompt_version,
            "simulated": report.simulated,
            "commit": report.commit,
            "run": report.run_id,
        },
    }
    return sarif_log(run)


def _result(finding: Finding, check: FindingCheck | None, rules: list[str]) -> dict[str, Any]:
    result = result_of(finding, finding.fingerprint, rules)
    result["baselineState"] = _BASELINE[finding.status]
    if check is None:
        return result
    reason = message(check.reason)
    result["properties"] |= {"verdict": check.verdict, "verdictReason": reason}
    if check.evidence:
        result["relatedLocations"] = [_quoted(number, one) for number, one in enumerate(check.evidence, 1)]
    if check.verdict == "refuted":
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": reason}]
    return result


def _quoted(number: int, one: Quotation) -> dict[str, Any]:
    lines = {"startLine": one.line_start, "endLine": one.line_end, "snippet": {"text": one.quote}}
    return {"id": number, **location_of(one.path, lines), "message": {"text": "quoted for the verdict"}}
