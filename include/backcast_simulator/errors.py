"""The API's error types, their HTTP statuses and the envelope they travel in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

STATUS_BY_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
DEFAULT_MESSAGES = {
    "api_error": "Internal server error",
    "overloaded_error": "Overloaded",
    "rate_limit_error": "Rate limited",
    "timeout_error": "Request timeout",
    "invalid_request_error": "Invalid request",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as the API words it: a type, a message and, seldom, details."""

    type: str
    message: str
    details: dict[str, Any] | None = None

    @property
    def status(self) -> int:
        """The HTTP status that goes with the type; 500 for a type that is not known."""
        return STATUS_BY_TYPE.get(self.type, 500)

    def envelope(self, request_id: str | None) -> dict[str, Any]:
        """The JSON object the API answers with: `{"type": "error", "error": {...}, "request_id": ...}`."""
        error: dict[str, Any] = {"type": self.type, "message": self.message}
        if self.details is not None:
            error["details"] = self.details
        return {"type": "error", "error": error, "request_id": request_id}


class ApiError(Exception):
    """Raised where a call must be answered with an error; `status` overrides the type's own."""

    def __init__(self, problem: Problem, status: int | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.headers = headers or {}
        self.status = problem.status if status is None else status


def invalid(message: str) -> ApiError:
    """A 400 invalid_request_error."""
    return ApiError(Problem("invalid_request_error", message))


def not_found(message: str) -> ApiError:
    """A 404 not_found_error."""
    return ApiError(Problem("not_found_error", message))


def of_type(error_type: str) -> Problem:
    """A problem of this type with the message the API uses when it has nothing more to say."""
    return Problem(error_type, DEFAULT_MESSAGES.get(error_type, "The request failed"))
