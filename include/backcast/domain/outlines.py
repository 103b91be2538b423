"""What a repository holds at a commit, as far as tests may rely on it: its paths, its modules, and what they use."""

from __future__ import annotations

import ast
import json
import re
import tomllib
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from posixpath import basename, dirname
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

INIT: Final = "__init__.py"
_PYTHON: Final = ".py"
# What every module has.
_ALWAYS: Final = frozenset({"__name__", "__doc__", "__file__", "__package__", "__spec__", "__loader__", "__path__"})
# Calls by which a module may bind names that nobody sees without running it.
_BINDS_ANYTHING: Final = frozenset({"globals", "vars", "exec", "setattr"})
_REQUIREMENTS: Final = re.compile(r"(?:[\w.-]*requirements|constraints)[\w.-]*\.(?:txt|in)", re.IGNORECASE)
_DISTRIBUTION: Final = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_SETUP_REQUIRES: Final = re.compile(r"^\s+([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[|[<>=!~;]|$)", re.MULTILINE)
# Distributions that are imported by quite another name.
_IMPORTED_AS: Final[Mapping[str, tuple[str, ...]]] = {
    "attrs": ("attr",),
    "beautifulsoup4": ("bs4",),
    "djangorestframework": ("rest_framework",),
    "gitpython": ("git",),
    "grpcio": ("grpc",),
    "msgpack_python": ("msgpack",),
    "opencv_python": ("cv2",),
    "pillow": ("PIL",),
    "protobuf": ("google",),
    "psycopg2_binary": ("psycopg2",),
    "pycryptodome": ("Crypto",),
    "pyjwt": ("jwt",),
    "pymysql": ("pymysql", "MySQLdb"),
    "pyopenssl": ("OpenSSL",),
    "python_dateutil": ("dateutil",),
    "python_dotenv": ("dotenv",),
    "pyyaml": ("yaml",),
    "scikit_image": ("skimage",),
    "scikit_learn": ("sklearn",),
    "setuptools": ("setuptools", "pkg_resources"),
    "apache_airflow": ("airflow",),
}

# What distributions of several parts share, as google-cloud-storage.
_NAMESPACES: Final = frozenset({"azure", "google", "ruamel", "zope", "sphinxcontrib", "opentelemetry"})


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the repository.

    Attributes:
        names: what it binds; None when nobody can know that without running it.
        imports: the top-level modules that it imports.
        inner: what it imports by a longer name, or relative to its own package, each as level and name; of
            `from a.b import c` both `a.b` and `a.b.c`, since either may be the module.
    """

    names: frozenset[str] | None
    imports: frozenset[str] = frozenset()
    inner: frozenset[tuple[int, str]] = frozenset()


@dataclass(frozen=True)
class Outline:
    """A repository at a commit.

    Attributes:
        paths: of all tracked files, in order.
        names: what each Python file binds at its top, by path; None where that cannot be known without running it.
        others: modules that it may import beside its own and the standard library's. By their first name: of the
            distributions that it names, and what its own files import. By their whole name: what these import from its
            own packages and what is no Python file there, such as an extension that is built first.
    """

    paths: tuple[str, ...]
    names: Mapping[str, frozenset[str] | None]
    others: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The folders from which its modules are imported: for each file the first one above it that is no package."""
        found = {self.root_of(path) for path in self.names}
        return ("", *sorted(found - {""}))

    def root_of(self, path: str) -> str:
        """Return the folder from which a file is imported as a module."""
        folder = dirname(path)
        while folder and f"{folder}/{INIT}" in self.names:
            folder = dirname(folder)
        return folder

    def module_name(self, path: str) -> str:
        """Return the name by which a file is imported."""
        root = self.root_of(path)
        name = path.removeprefix(f"{root}/" if root else "").removesuffix(_PYTHON).removesuffix("/__init__")
        return name.replace("/", ".")

    @cached_property
    def _folders(self) -> frozenset[str]:
        found = set[str]()
        for path in self.names:
            folder = dirname(path)
            while folder and folder not in found:
                found.add(folder)
                folder = dirname(folder)
        return frozenset(found)

    def lookup(self, module: str) -> list[str]:
        """Return what a dotted name may stand for: paths of Python files, or of folders that hold some."""
        inner = module.replace(".", "/")
        found: list[str] = []
        for root in self.roots:
            place = f"{root}/{inner}" if root else inner
            files = [one for one in (f"{place}/{INIT}", f"{place}{_PYTHON}") if one in self.names]
            found += files or ([place] if place in self._folders else [])
        return found

    def is_used(self, module: str) -> bool:
        """Whether files of the repository import this of its own packages, by its whole name."""
        return "." in module and module in self.others

    def binds(self, module: str, name: str) -> bool:
        """Whether a module of the repository has this name, or may have it for all that is known."""
        if self.lookup(f"{module}.{name}") or self.is_used(f"{module}.{name}"):
            return True
        known = [self.names[path] for path in self.lookup(module) if path in self.names]
        return any(names is None or name in names or name in _ALWAYS for names in known)

    def stored(self) -> str:
        """Return it as the ledger keeps it, in JSON."""
        names = {path: None if found is None else sorted(found) for path, found in self.names.items()}
        return json.dumps({"paths": self.paths, "names": names, "others": sorted(self.others)})

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Outline:
        """Return what `stored` gave, as it was read from JSON."""
        names = {path: None if found is None else frozenset(found) for path, found in stored["names"].items()}
        return cls(tuple(stored["paths"]), names, frozenset(stored["others"]))


def module_in(source: bytes | str) -> Module:
    """Return what a Python file binds at its top, and which top-level modules it imports; it is not run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Module(None)
    names, dynamic = set[str](), False
    for node in _at_the_top(tree):
        names.update(_bound_by(node))
        star = isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _BINDS_ANYTHING
        dynamic = dynamic or star or called
    names.update(name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names)
    unknown = dynamic or "__getattr__" in names
    return Module(
        None if unknown else frozenset(names), frozenset(_imported_by(tree)), frozenset(_imported_within(tree))
    )


def _at_the_top(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes of a module but for what is inside of functions, classes and lambdas."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def _bound_by(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.Import(names=aliases):
            yield from (alias.asname or alias.name.split(".")[0] for alias in aliases)
        case ast.ImportFrom(names=aliases):
            yield from (alias.asname or alias.name for alias in aliases)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name


def _imported_by(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name.split(".")[0] for alias in aliases)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.split(".")[0]


def _imported_within(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                yield from ((0, alias.name) for alias in aliases if "." in alias.name)
            case ast.ImportFrom(module=module, level=level, names=aliases):
                above = f"{module}." if module else ""
                yield from ((level, f"{above}{alias.name}") for alias in aliases if alias.name != "*")
                if module:
                    yield level, module


def imported_as(outline: Outline, path: str, level: int, name: str) -> str | None:
    """Return the whole name of what the file at a path imports; None when it is relative to no package."""
    if not level:
        return name
    folder = path
    for _ in range(level):
        folder = dirname(folder)
    if f"{folder}/{INIT}" not in outline.names:
        return None
    return f"{outline.module_name(f'{folder}/{INIT}')}.{name}"


def names_distributions(path: str) -> bool:
    """Whether a file is one that names the distributions that a repository needs."""
    name = basename(path)
    in_folder = basename(dirname(path)) == "requirements" and name.endswith((".txt", ".in"))
    return name in {"pyproject.toml", "setup.cfg"} or in_folder or _REQUIREMENTS.fullmatch(name) is not None


def modules_named_by(path: str, text: str) -> frozenset[str]:
    """Return the top-level modules of the distributions that a file names, as far as their names tell."""
    name = basename(path)
    if name == "pyproject.toml":
        found = set(_in_pyproject(text))
    elif name == "setup.cfg":
        found = set(_SETUP_REQUIRES.findall(text))
    else:
        lines = (line for line in text.splitlines() if not line.lstrip().startswith(("#", "-")))
        found = {match[1] for line in lines if (match := _DISTRIBUTION.match(line))}
    return frozenset(module for distribution in found for module in _modules_of(distribution))


def _in_pyproject(text: str) -> Iterator[str]:
    try:
        declared = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    for requirement in _requirements(declared):
        if isinstance(requirement, str) and (match := _DISTRIBUTION.match(requirement)):
            yield match[1]


def _requirements(declared: Mapping[str, Any]) -> Iterator[object]:
    project = _table(declared, "project")
    yield from _list(project.get("dependencies"))
    for group in (*_table(project, "optional-dependencies").values(), *_table(declared, "dependency-groups").values()):
        yield from _list(group)
    poetry = _table(_table(declared, "tool"), "poetry")
    yield from _table(poetry, "dependencies")
    yield from _table(poetry, "dev-dependencies")
    for group in _table(poetry, "group").values():
        yield from _table(group, "dependencies")


def _table(value: object, name: str) -> Mapping[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _modules_of(distribution: str) -> Iterator[str]:
    plain = re.sub(r"[-_.]+", "_", distribution).lower()
    yield from _IMPORTED_AS.get(plain, ())
    yield plain
    # As its project writes it, such as IPython.
    yield re.sub(r"[-.]+", "_", distribution)
    yield from (plain.removeprefix("python_"), plain.removesuffix("_python"))
    if (namespace := plain.split("_")[0]) in _NAMESPACES:
        yield namespace
