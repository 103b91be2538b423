"""Rows out of a text, by patterns: what kind of document it is, and its references, parties, dates and amounts."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PDF_NOTE: Final = "No model was asked: the offline analyst reads what the text of a prompt holds, and no attached PDF."
_MOST: Final = 20
_MAX_CHARACTERS: Final = 200_000
_LONGEST_LINE: Final = 1_000
_TYPES: Final = {
    "invoice": re.compile(r"\b(?:invoice|rechnung|facture)\b", re.IGNORECASE),
    "contract": re.compile(r"\b(?:contract|agreement|vertrag)\b", re.IGNORECASE),
    "receipt": re.compile(r"\b(?:receipt|paid with|quittung)\b", re.IGNORECASE),
    "order": re.compile(r"\b(?:purchase order|order confirmation|order no|order number|bestellung)\b", re.IGNORECASE),
    "letter": re.compile(r"\b(?:dear|sincerely|kind regards|best regards)\b", re.IGNORECASE),
}
_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_MONTH: Final = "|".join(name[:3] + f"(?:{name[3:]})?" if name[3:] else name for name in _MONTHS)
_DATE: Final = re.compile(
    rf"\b(?P<y1>\d{{4}})-(?P<m1>\d{{2}})-(?P<d1>\d{{2}})\b|\b(?P<d2>\d{{1,2}})\.(?P<m2>\d{{1,2}})\.(?P<y2>\d{{4}})\b"
    rf"|\b(?P<d3>\d{{1,2}})\.? (?P<m3>{_MONTH})\.? (?P<y3>\d{{4}})\b"
    rf"|\b(?P<m4>{_MONTH})\.? (?P<d4>\d{{1,2}}),? (?P<y4>\d{{4}})\b",
    re.IGNORECASE,
)
_DATE_KINDS: Final = {
    "due": re.compile(r"\b(?:due|payable|pay by|zahlbar)\b", re.IGNORECASE),
    "starts": re.compile(r"\b(?:starts?|begins?|effective|commenc\w+|from)\b", re.IGNORECASE),
    "ends": re.compile(r"\b(?:ends?|expires?|until|terminat\w+)\b", re.IGNORECASE),
    "delivered": re.compile(r"\bdeliver\w*\b", re.IGNORECASE),
    "issued": re.compile(r"\b(?:date|dated|issued|signed|datum)\b", re.IGNORECASE),
}
_SYMBOLS: Final = {"€": "EUR", "$": "USD", "£": "GBP"}
_CODES: Final = "EUR|USD|GBP|CHF|JPY|SEK|DKK|NOK|PLN"
_NUMBER: Final = r"\d{1,3}(?:[.,' ]\d{3})+(?:[.,]\d{2})?|\d+(?:[.,]\d{1,2})?"
_AMOUNT: Final = re.compile(
    rf"(?P<before>[€$£]|\b(?:{_CODES})) ?(?P<n1>{_NUMBER})(?!\d)"
    rf"|(?<![\d.,])(?P<n2>{_NUMBER}) ?(?P<after>[€$£]|(?:{_CODES})\b)"
)
_AMOUNT_KINDS: Final = {
    "tax": re.compile(r"\b(?:vat|tax|mwst|ust)\b", re.IGNORECASE),
    "net": re.compile(r"\b(?:net|subtotal|netto)\b", re.IGNORECASE),
    "total": re.compile(r"\b(?:total|amount due|sum|gesamt|brutto|gross)\b", re.IGNORECASE),
}
_REFERENCE: Final = re.compile(
    r"\b(?P<kind>invoice|contract|agreement|order|customer)\b[ \t]*(?:no|number|nr|id|#)?[.:#]*[ \t|]*"
    r"(?P<value>[A-Z]{0,6}[-/]?\d[\w/-]{2,})",
    re.IGNORECASE,
)
_PARTY: Final = re.compile(
    r"^[\s|*>-]*(?P<role>seller|supplier|vendor|from|bill(?:ed)? to|buyer|customer|client|to)\b"
    r"[*]*\s*[:|][*\s|]*(?P<name>[^|*]+)",
    re.IGNORECASE,
)
_SELLERS: Final = ("seller", "supplier", "vendor", "from")
_EMAIL: Final = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")


def extract(language: str, text: str) -> tuple[list[dict[str, Any]], str]:
    """The records of a document, one or none, and what of it could not be read; every quote is a line of it.

    `text` is the document without line numbers.
    """
    if language.lower() == "pdf":
        return [], PDF_NOTE
    if len(text) > _MAX_CHARACTERS:
        return [], f"No model was asked: the offline analyst reads at most {_MAX_CHARACTERS} characters."
    lines = [line.strip() for line in text.split("\n") if line.strip() and len(line) <= _LONGEST_LINE]
    if not lines:
        return [], ""
    record = {
        "document_type": _document_type(lines),
        "references": list(_references(lines))[:_MOST],
        "parties": list(_parties(lines))[:_MOST],
        "contacts": list(_contacts(lines))[:_MOST],
        "dates": list(_dates(lines))[:_MOST],
        "amounts": list(_amounts(lines))[:_MOST],
    }
    return [record], ""


def _document_type(lines: list[str]) -> dict[str, str]:
    # The line that names the kind first says it; most documents begin with it.
    for line in lines:
        for value, pattern in _TYPES.items():
            if pattern.search(line):
                return {"value": value, "evidence": line}
    return {"value": "other", "evidence": lines[0]}


def _references(lines: list[str]) -> Iterator[dict[str, str]]:
    seen = set[str]()
    for line in lines:
        for found in _REFERENCE.finditer(line):
            named, value = found["kind"].lower(), found["value"]
            if value not in seen and not _DATE.fullmatch(value):
                seen.add(value)
                kind = "contract" if named == "agreement" else named
                yield {"kind": f"{kind}_number", "value": value, "evidence": line}


def _parties(lines: list[str]) -> Iterator[dict[str, str]]:
    for line in lines:
        found = _PARTY.match(line)
        if found and (name := _EMAIL.sub("", found["name"]).strip(" ,;<>()")):
            role = "seller" if found["role"].lower() in _SELLERS else "buyer"
            yield {"role": role, "name": name, "evidence": line}


def _contacts(lines: list[str]) -> Iterator[dict[str, str]]:
    seen = set[str]()
    for line in lines:
        for email in _EMAIL.findall(line):
            if email not in seen:
                seen.add(email)
                yield {"email": email, "evidence": line}


def _dates(lines: list[str]) -> Iterator[dict[str, str]]:
    for line in lines:
        start = 0
        for found in _DATE.finditer(line):
            day = _day(found)
            if day is not None:
                yield {"kind": _kind(_DATE_KINDS, line[start : found.start()]), "date": day, "evidence": line}
            start = found.end()


def _day(found: re.Match[str]) -> str | None:
    year, month, day = next(
        (found[f"y{form}"], found[f"m{form}"], found[f"d{form}"]) for form in range(1, 5) if found[f"y{form}"]
    )
    if not month.isdigit():
        month = str(1 + next(index for index, name in enumerate(_MONTHS) if name.startswith(month.lower()[:3])))
    try:
        return dt.date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None


def _amounts(lines: list[str]) -> Iterator[dict[str, str]]:
    for line in lines:
        start = 0
        for found in _AMOUNT.finditer(line):
            currency = found["before"] or found["after"]
            yield {
                "kind": _kind(_AMOUNT_KINDS, line[start : found.start()]),
                "amount": _decimal(found["n1"] or found["n2"]),
                "currency": _SYMBOLS.get(currency, currency),
                "evidence": line,
            }
            start = found.end()


def _decimal(number: str) -> str:
    whole, mark, cents = number, "", ""
    if match := re.fullmatch(r"(.*)([.,])(\d{1,2})", number):
        whole, mark, cents = match[1], ".", match[3]
    return re.sub(r"[.,' ]", "", whole) + mark + cents


def _kind(kinds: dict[str, re.Pattern[str]], before: str) -> str:
    """The kind whose word stands last before a date or an amount."""
    last = {kind: found[-1].start() for kind, pattern in kinds.items() if (found := list(pattern.finditer(before)))}
    return max(last, key=lambda kind: last[kind]) if last else "other"
