"""What is proposed is looked at without being run, and belongs where nothing else is."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.support import commit, git

from backcast.domain.outlines import Outline, module_in, modules_named_by
from backcast.domain.patches import new_files_patch
from backcast.domain.proposed import ProposedTests
from backcast.domain.static_checks import count_tests, failed_check
from backcast.domain.testing import NewTests, files_with_tests, is_test_file
from backcast.sources.outline import outline_of

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = {
    "src/shop/__init__.py": "from shop.prices import with_tax\n",
    "src/shop/prices.py": "RATE: int = 19\n\ndef with_tax(net): ...\n\nclass Order: ...\n",
    "src/shop/loose.py": "from os.path import *\n",
    "src/shop/late.py": "def __getattr__(name): ...\n",
    "src/shop/parts/one.py": "import os as system\n\nif system:\n    VALUE = 1\nelse:\n    OTHER = 2\n",
    "tool.py": "def run(): ...\n",
    "tests/__init__.py": "",
    "tests/helpers.py": "def helped(): ...\n",
}
OUTLINE = Outline(
    tuple(SOURCES),
    {path: module_in(text).names for path, text in SOURCES.items()},
    frozenset({"click", "yaml", "shop._fast"}),
)
A_TEST = "\n\ndef test_one():\n    pass\n"


def wrong(content: str, outline: Outline | None = OUTLINE) -> str | None:
    return failed_check(content, "tests/test_prices.py", "src/shop/prices.py", outline)


@pytest.mark.parametrize(
    "imports",
    [
        "import os.path, json",
        "import pytest\nfrom pytest import raises",
        "import shop\nimport shop.prices",
        "from shop import prices, with_tax, parts",
        "from shop.prices import RATE, Order, with_tax",
        "from shop.parts.one import VALUE, OTHER, system",
        # Nobody can know without running them what these have.
        "from shop.loose import join, whatever",
        "from shop.late import whatever",
        "from shop.prices import *",
        "from tool import run",
        "import click\nfrom yaml import safe_load",
        "from tests.helpers import helped\nfrom .helpers import helped\nfrom . import helpers",
        "try:\n    import something\nexcept ImportError:\n    something = None",
        "from __future__ import annotations",
        # An extension, which is built first.
        "from shop._fast import add\nfrom shop import _fast",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from _typeshed import StrPath",
        "import pytest\nwith pytest.raises(ImportError):\n    import something",
        "import contextlib\nwith contextlib.suppress(ModuleNotFoundError):\n    import something",
        "\ufeffimport os",
    ],
)
def test_what_can_be_imported_is_taken(imports: str) -> None:
    assert wrong(f"{imports}{A_TEST}") is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"import nothing_like_it{A_TEST}", "line 1: nothing_like_it is neither of the standard library"),
        (f"import shop.price{A_TEST}", "line 1: there is no module shop.price in the repository"),
        (f"from shop import price{A_TEST}", "line 1: shop has no price"),
        (f"from shop.prices import without_tax{A_TEST}", "line 1: shop.prices has no without_tax"),
        (f"from src.shop.prices import nope{A_TEST}", "src.shop.prices has no nope"),
        ("def test_one():\n    from shop.prices import nope\n", "line 2: shop.prices has no nope"),
        (f"from ..prices import with_tax{A_TEST}", "a relative import, and the file lies in no package"),
        ("def test_one(:\n    pass\n", "it does not parse: "),
        ("return 1\n\ndef test_one(): ...\n", "it does not parse: 'return' outside function"),
        ("x = '\0'" + A_TEST, "it does not parse"),
        ("(" * 5000 + A_TEST, "it does not parse"),
        ("import shop.prices\n", "it holds no test"),
        ("class Testing:\n    def helper(self): ...\n", "it holds no test"),
        (f"# coding: of-no-kind\n{A_TEST}", "it does not parse: unknown encoding"),
        (f"x = {'-' * 150_000}1{A_TEST}", "it does not parse: "),
        (f"{'#' * 200_001}{A_TEST}", "at most 200000 are taken"),
    ],
)
def test_what_is_wrong_is_said_so_that_its_author_can_mend_it(content: str, said: str) -> None:
    found = wrong(content)
    assert found is not None
    assert said in found


def test_a_wrong_import_is_answered_with_the_name_that_would_be_right() -> None:
    assert str(wrong(f"import include.shop{A_TEST}")).endswith("src/shop/prices.py is imported as shop.prices")


def test_where_the_repository_is_not_known_imports_are_not_looked_at() -> None:
    assert wrong(f"import nothing_like_it{A_TEST}", None) is None


def test_nothing_of_it_is_run(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    assert wrong(f"import pathlib\n\npathlib.Path({str(marker)!r}).touch(){A_TEST}") is None
    assert module_in(f"import pathlib\n\npathlib.Path({str(marker)!r}).touch()\n").names
    assert not marker.exists()


def test_tests_are_counted_in_functions_and_classes() -> None:
    content = (
        "def test_a(): ...\nasync def test_b(): ...\nclass TestC:\n    def test_d(self): ...\n    def e(self): ...\n"
    )
    assert count_tests(content) == 3


@pytest.mark.parametrize(
    "content",
    [
        "import sys\nif sys.platform:\n    def test_one(): ...\n",
        "try:\n    import x\nexcept ImportError:\n    pass\nelse:\n    def test_one(): ...\n",
        "class TestShop:\n    class TestOrder:\n        def test_one(self): ...\n",
        "from cases import Cases\n\nclass TestShop(Cases):\n    made = 1\n",
        "from cases import made\n\ntest_one = made('one')\n",
        "for name in 'ab':\n    def test_one(): ...\n",
    ],
)
def test_tests_are_seen_wherever_pytest_may_find_them(content: str) -> None:
    assert count_tests(content) == 1
    assert wrong(content, None) is None


@pytest.mark.parametrize(
    "content",
    [f"x = '{'y' * 100_000}\n", f"import {'y' * 100_000}{A_TEST}", f"from tool import {'y' * 100_000}{A_TEST}"],
)
def test_what_is_said_of_it_is_short_however_long_its_lines_are(content: str) -> None:
    assert 50 < len(str(wrong(content))) < 1_000


def test_much_that_is_valid_is_looked_at_in_a_moment() -> None:
    content = "try:\n" + " x\n" * 60_000 + f"except ImportError:\n pass\n{A_TEST}"
    begun = time.process_time()
    assert wrong(content) is None
    assert time.process_time() - begun < 5


def test_an_answer_without_tests_needs_a_reason() -> None:
    proposed = ProposedTests(OUTLINE)
    assert proposed.failed_check({"tests": [], "note": "It holds constants."}, "tool.py") is None
    assert proposed.failed_check({"tests": [], "note": " "}, "tool.py") is not None


def test_which_of_several_files_is_wrong_is_said() -> None:
    files = [{"content": "def test_one(): ...\n", "covers": []}, {"content": "x = 1\n", "covers": []}]
    assert str(ProposedTests(OUTLINE).failed_check({"tests": files, "note": ""}, "tool.py")).startswith("file 2 of 2: ")


@pytest.mark.parametrize(
    ("tracked", "with_tests"),
    [
        (["a.py", "tests/test_a.py"], ["a.py"]),
        (["pkg/a.py", "pkg/a_test.py"], ["pkg/a.py"]),
        (["pkg/a.py", "tests/test_pkg_a.py"], ["pkg/a.py"]),
        # Of two files with that name it is the one beside it, or whose folder it names.
        (["one/a.py", "two/a.py", "tests/test_a.py"], []),
        (["one/a.py", "two/a.py", "tests/one/test_a.py"], ["one/a.py"]),
        (["one/a.py", "two/a.py", "two/test_a.py"], ["two/a.py"]),
        (["one/a.py", "two/a.py", "tests/test_one_a.py"], ["one/a.py"]),
        (["pkg/__init__.py", "tests/test_pkg.py"], ["pkg/__init__.py"]),
        (["a.py", "tests/test_a.txt", "tests/test_b.py"], []),
        (["conftest.py", "setup.py", "tests/test_setup.py"], []),
    ],
)
def test_a_file_has_tests_when_a_tracked_file_of_tests_is_called_after_it(
    tracked: list[str], with_tests: list[str]
) -> None:
    assert sorted(files_with_tests(tracked)) == with_tests


@pytest.mark.parametrize(
    ("tracked", "path", "places"),
    [
        (["a.py"], "a.py", ["tests/test_a.py"]),
        (["a.py", "test/unit/test_b.py"], "a.py", ["test/unit/test_a.py"]),
        (
            ["pkg/a.py", "tests/x/test_b.py", "tests/y/test_c.py", "tests/y/test_d.py"],
            "pkg/a.py",
            ["tests/y/test_a.py"],
        ),
        # Never over what is there.
        (["pkg/a.py", "tests/test_a.py"], "pkg/a.py", ["tests/test_pkg_a.py"]),
        (["a.py", "tests"], "a.py", ["test/test_a.py"]),
        (["one/a.py", "two/a.py"], "one/a.py", ["tests/test_one_a.py"]),
        (["a.py"], "a.py", ["tests/test_a.py", "tests/test_a_more2.py", "tests/test_a_more3.py"]),
        # Such as on a Mac, which does not tell cases apart.
        (["Pkg/A.py", "tests/Test_a.py"], "Pkg/A.py", ["tests/test_pkg_a.py"]),
        # Outside of packages, pytest takes files by one name for one.
        (["a.py", "tests/x/test_a.py", "tests/y/test_b.py", "tests/y/test_c.py"], "a.py", ["tests/y/test_a_f0de09.py"]),
        (
            ["a.py", "tests/x/test_a.py", "tests/y/__init__.py", "tests/y/test_b.py", "tests/y/test_c.py"],
            "a.py",
            ["tests/y/test_a.py"],
        ),
        # Nothing of a name that would need quoting is kept.
        (["sp ace/ü.py"], "sp ace/ü.py", ["tests/test_module.py"]),
        # No repository should have such a path.
        (["a.py", "tests/../../etc/test_b.py", "tests/.git/test_b.py"], "a.py", ["tests/test_a.py"]),
    ],
)
def test_new_tests_belong_where_tests_are_and_nothing_else_is(tracked: list[str], path: str, places: list[str]) -> None:
    found = NewTests(tracked).paths(path, len(places))
    assert found == places
    assert all(is_test_file(place) for place in found)


def test_no_two_files_get_the_same_place() -> None:
    tracked = ["a_b/c.py", "a/b_c.py", "a/b/c.py", "c.py", "b_c.py", "x/a_b_c.py"]
    new = NewTests(tracked)
    places = [new.paths(path, 1)[0] for path in tracked]
    assert len(set(places)) == len(tracked)


def test_more_files_of_one_module_are_not_those_of_another() -> None:
    new = NewTests(["a.py", "a_more2.py"])
    assert set(new.paths("a.py", 3)).isdisjoint(new.paths("a_more2.py", 2))


def test_pytest_takes_new_tests_beside_all_that_are_there(tmp_path: Path) -> None:
    tracked = ["one/a.py", "two/b.py", "tests/x/test_a.py", "tests/y/test_c.py", "tests/y/test_d.py"]
    for path in [*tracked, *NewTests(tracked).paths("one/a.py", 1)]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("def test_one():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "tests"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "4 passed" in done.stdout, done.stdout


def test_distributions_are_read_from_the_files_that_name_them() -> None:
    pyproject = (
        "[project]\ndependencies = ['PyYAML>=6', 'google-cloud-storage']\n[project.optional-dependencies]\n"
        "x = ['scikit-learn; python_version > \"3\"']\n[dependency-groups]\ndev = ['Django', {include-group = 'x'}]\n"
        "[tool.poetry.dependencies]\npendulum = '^3'\n"
    )
    found = modules_named_by("pyproject.toml", pyproject)
    assert {"yaml", "google", "sklearn", "django", "pendulum"} <= found
    assert {"requests", "dateutil"} <= modules_named_by(
        "requirements-dev.txt", "# x\nrequests==2\npython-dateutil\n-r b"
    )
    assert modules_named_by("pyproject.toml", "no [toml") == frozenset()
    assert "attr" in modules_named_by("setup.cfg", "[options]\ninstall_requires =\n    attrs>=23\n    click\n")


@pytest.mark.parametrize(
    "content",
    [
        "x = 1\n",
        "x = 1",
        "",
        "\n",
        "a\r\nb\r\n",
        "a\rb\n",
        "a\fb\x85c\u2028d\n",
        "+++ b/x\n--- a\n@@ -1 +1 @@\n",
        "ü\n\n\n",
    ],
)
def test_git_makes_of_a_patch_exactly_the_files_that_it_was_made_of(tmp_path: Path, content: str) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    files = {"tests/test_a.py": content, "tests/deep/er/test_b.py": "y = 2\n"}
    (tmp_path / "p.patch").write_bytes(b"".join(new_files_patch(files.items())))
    for arguments in (["--check"], []):
        subprocess.run(["git", "apply", *arguments, "p.patch"], cwd=tmp_path, check=True)
    for path, expected in files.items():
        assert (tmp_path / path).read_bytes() == expected.encode()
        assert (tmp_path / path).stat().st_mode & 0o777 == 0o644


def test_what_a_repository_imports_from_its_own_packages_is_there_though_it_is_built_first(tmp_path: Path) -> None:
    files = {
        "src/shop/__init__.py": "from ._fast import add\n\ntry:\n    from . import _version\nexcept: ...\n",
        "src/shop/prices.py": "import shop.codes_pb2\nimport shop.nothing_else\n\nRATE = 1\n",
        "src/shop/_fast.pyx": "def add(a, b): ...\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    git(tmp_path, "init", "-q")
    commit(tmp_path, "first")
    outline = outline_of(tmp_path / ".git", "HEAD")
    taken = f"from shop._fast import add\nfrom shop import _version, codes_pb2\nimport shop.codes_pb2 as codes{A_TEST}"
    assert failed_check(taken, "tests/test_a.py", "src/shop/prices.py", outline) is None
    for wrongly in ("from shop import _slow", "from shop.prices import rate", "import shop.other"):
        assert failed_check(wrongly + A_TEST, "tests/test_a.py", "src/shop/prices.py", outline)
