"""A patch that makes new files, as `git apply` takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def new_files_patch(files: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """Yield, a file at a time, the patch that makes these files, given by path and content, as plain ones.

    The paths need no quoting: letters, digits and `_`, `.`, `-`, `/`. An empty file is made, too.
    """
    for path, content in files:
        yield _new_file(path, content).encode()


def _new_file(path: str, content: str) -> str:
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n"
    if not content:
        # Its blob is what git knows an empty file by, where there is no line to show.
        return f"{head}index 0000000..e69de29\n"
    # Lines end where git ends them, and nowhere else: a form feed is no end, nor a carriage return alone.
    lines = content.split("\n")
    whole = lines[-1] == ""
    lines = lines[:-1] if whole else lines
    count = f"1,{len(lines)}" if len(lines) > 1 else "1"
    body = "".join(f"+{line}\n" for line in lines)
    end = "" if whole else "\\ No newline at end of file\n"
    return f"{head}--- /dev/null\n+++ b/{path}\n@@ -0,0 +{count} @@\n{body}{end}"
