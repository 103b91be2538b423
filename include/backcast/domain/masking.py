"""Shows what may hold a secret without it."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"
# Up to the last @, since a password that was not encoded may hold one.
_PASSWORD_OF_URL: Final = re.compile(r"(\w+://[^:@/?#]*):.*@", re.DOTALL)
_PASSWORD_BY_NAME: Final = re.compile(r"(?i)(password\s*=\s*)('(?:\\.|[^'\\])*'?|[^&\s]+)")


def without_password(dsn: str) -> str:
    """Return a PostgreSQL DSN, a URL or `key=value` pairs, with its passwords hidden, and rather more than less."""
    hidden = _PASSWORD_OF_URL.sub(rf"\1:{HIDDEN}@", dsn)
    return _PASSWORD_BY_NAME.sub(rf"\1{HIDDEN}", hidden)
