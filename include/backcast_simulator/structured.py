"""Structured outputs: which JSON schemas the API takes, and values that follow one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from backcast_simulator.chance import draw

if TYPE_CHECKING:
    from collections.abc import Iterator

EnumCasing = Literal["exact", "varied"]
Schema = dict[str, Any]

_FIELD = "output_config.format.schema"
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_UNSUPPORTED = {
    "object": ("minProperties", "maxProperties", "patternProperties", "propertyNames", "dependentRequired"),
    "array": ("maxItems", "uniqueItems", "contains", "minContains", "maxContains", "prefixItems"),
    "string": ("minLength", "maxLength"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_COMBINED = ("anyOf", "allOf")
_FEWEST_ITEMS = (0, 1)
_DEEPEST = 64


def requested_schema(params: dict[str, Any]) -> Schema | None:
    """The JSON schema that these parameters ask an answer to follow, or None."""
    config = params.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    schema = wanted.get("schema") if isinstance(wanted, dict) else None
    return schema if isinstance(schema, dict) else None


def schema_problem(schema: Schema) -> str | None:
    """Why the API does not take this schema; None when it does."""
    return next(_problems(schema, schema, (), 0), None)


def _problems(schema: object, root: Schema, refs: tuple[str, ...], depth: int) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield f"{_FIELD}: Input should be a valid dictionary"
    elif depth > _DEEPEST:
        yield f"{_FIELD}: Schema is nested too deeply"
    elif "$ref" in schema:
        yield from _problems_of_ref(schema["$ref"], root, refs, depth)
    else:
        yield from _problems_here(schema)
        for child in _children(schema):
            yield from _problems(child, root, refs, depth + 1)


def _problems_of_ref(ref: object, root: Schema, refs: tuple[str, ...], depth: int) -> Iterator[str]:
    target = resolve(ref, root)
    if target is None:
        yield f"{_FIELD}: Reference {ref} cannot be resolved"
    elif ref in refs:
        yield f"{_FIELD}: Circular reference detected: {ref}. Recursive schemas are not supported"
    else:
        yield from _problems(target, root, (*refs, str(ref)), depth + 1)


def _problems_here(schema: Schema) -> Iterator[str]:
    kinds = _types(schema)
    if "oneOf" in schema:
        yield f"{_FIELD}: 'oneOf' is not supported; use 'anyOf'"
    if not kinds and not any(name in schema for name in ("enum", "const", *_COMBINED)):
        yield f"{_FIELD}: Schema must have a 'type', 'enum', 'const', 'anyOf' or '$ref' field"
    if "enum" in schema and not (isinstance(schema["enum"], list) and schema["enum"]):
        yield f"{_FIELD}: 'enum' should be a list with at least 1 item"
    for kind in kinds:
        if kind not in _TYPES:
            yield f"{_FIELD}: Invalid type: {kind}"
            continue
        unsupported = [name for name in _UNSUPPORTED.get(kind, ()) if name in schema]
        if unsupported:
            yield f"{_FIELD}: For '{kind}' type, properties {', '.join(unsupported)} are not supported"
    if "object" in kinds:
        yield from _problems_of_object(schema)
    if "array" in kinds and schema.get("minItems", 0) not in _FEWEST_ITEMS:
        yield f"{_FIELD}: For 'array' type, 'minItems' values other than 0 or 1 are not supported"


def _problems_of_object(schema: Schema) -> Iterator[str]:
    if schema.get("additionalProperties") is not False:
        yield f"{_FIELD}: For 'object' type, 'additionalProperties' must be explicitly set to false"
    if not isinstance(schema.get("properties", {}), dict):
        yield f"{_FIELD}: 'properties' should be a valid dictionary"
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        yield f"{_FIELD}: 'required' should be a list of strings"


def _types(schema: Schema) -> list[str]:
    kind = schema.get("type")
    if kind is None:
        return []
    return [str(one) for one in kind] if isinstance(kind, list) else [str(kind)]


def _children(schema: Schema) -> Iterator[object]:
    for name in ("properties", "$defs", "definitions"):
        group = schema.get(name)
        if isinstance(group, dict):
            yield from group.values()
    if "items" in schema:
        yield schema["items"]
    for name in _COMBINED:
        if name in schema:
            variants = schema[name]
            yield from variants if isinstance(variants, list) and variants else [None]


def resolve(ref: object, root: Schema) -> object:
    """The part of the schema that a reference within it leads to, or None."""
    if not isinstance(ref, str) or not ref.startswith("#"):
        return None
    node: object = root
    for part in ref[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        node = node.get(key) if isinstance(node, dict) else None
    return node


def fit(value: object, schema: Schema, text: str, casing: EnumCasing = "exact") -> object:
    """A value that follows the schema, with as much of `value` as fits; `text` goes where a string is missing."""
    return _Fitter(schema, text, casing).fit(value, schema)


class _Fitter:
    def __init__(self, root: Schema, text: str, casing: EnumCasing) -> None:
        self._root = root
        self._text = text
        self._casing = casing

    def fit(self, value: object, schema: object) -> object:
        if not isinstance(schema, dict):
            return value
        if "$ref" in schema:
            return self.fit(value, resolve(schema["$ref"], self._root))
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._choice(value, schema["enum"])
        for name in _COMBINED:
            if name in schema:
                return self.fit(value, self._variant(value, schema[name]))
        return self._typed(value, schema, _types(schema))

    def _choice(self, value: object, options: list[object]) -> object:
        folded = str(value).casefold()
        chosen = next((option for option in options if option == value), None)
        if chosen is None:
            chosen = next((option for option in options if str(option).casefold() == folded), options[0])
        if self._casing == "varied" and isinstance(chosen, str):
            return (chosen, chosen.upper(), chosen.capitalize())[int(draw("casing", self._text, chosen) * 3)]
        return chosen

    def _variant(self, value: object, variants: list[object]) -> object:
        return next((variant for variant in variants if self._kind_fits(value, variant)), variants[0])

    def _kind_fits(self, value: object, schema: object) -> bool:
        if isinstance(schema, dict) and "$ref" in schema:
            schema = resolve(schema["$ref"], self._root)
        return isinstance(schema, dict) and any(_is(value, kind) for kind in _types(schema))

    def _typed(self, value: object, schema: Schema, kinds: list[str]) -> object:
        kind = next((one for one in kinds if _is(value, one)), kinds[0])
        if kind == "object":
            return self._object(value if isinstance(value, dict) else {}, schema)
        if kind == "array":
            return self._array(value if isinstance(value, list) else [], schema)
        if _is(value, kind):
            return value
        empty: dict[str, object] = {"string": self._text, "integer": 0, "number": 0.0, "boolean": False, "null": None}
        return str(value) if kind == "string" and value is not None else empty[kind]

    def _object(self, value: dict[str, object], schema: Schema) -> dict[str, object]:
        required = schema.get("required", [])
        properties = schema.get("properties", {})
        return {
            name: self.fit(value.get(name), part)
            for name, part in properties.items()
            if name in value or name in required
        }

    def _array(self, value: list[object], schema: Schema) -> list[object]:
        items = schema.get("items")
        fewest = int(schema.get("minItems", 0))
        return [self.fit(item, items) for item in (value or [None] * fewest)]


def _is(value: object, kind: str) -> bool:
    if kind == "null":
        return value is None
    if isinstance(value, bool):
        return kind == "boolean"
    classes: dict[str, tuple[type, ...]] = {
        "object": (dict,),
        "array": (list,),
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
    }
    return isinstance(value, classes.get(kind, ()))
