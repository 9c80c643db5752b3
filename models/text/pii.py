"""Personal data in texts: e-mail addresses, phone numbers, payment cards, bank accounts and IP addresses.

Each kind is found by its form and, where it has one, by its check digits. Names and postal addresses are not found.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from models.errors import TesseraError

PiiKind = Literal["EMAIL", "CARD", "IBAN", "IP", "PHONE"]

_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}")
#: The longest candidate at each beginning of a word; candidates overlap.
_CARD = re.compile(r"(?<![\w.,])(?=(\d(?:[ -]?\d){11,18}))")
_IBAN = re.compile(r"(?<!\w)(?=([A-Za-z]{2}\d{2}(?:[ ]?[A-Za-z0-9]){11,30}))")
_CARD_DIGITS, _IBAN_SIGNS = 12, 15
_IP = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)(?![\w:])")
_PHONE_DIGITS = 7


@dataclass(frozen=True)
class Finding:
    """Personal data at `text[start:end]`."""

    kind: PiiKind
    start: int
    end: int


@dataclass(frozen=True)
class Redacted:
    """A text with placeholders, as `[EMAIL_1]`, and what each of them stands for."""

    text: str
    originals: Mapping[str, str]

    def restore(self, text: str) -> str:
        """Return `text` with what its placeholders stand for."""
        for placeholder, original in self.originals.items():
            text = text.replace(placeholder, original)
        return text


def find_pii(text: str, region: str = "US") -> list[Finding]:
    """Return personal data in a text, in its order, without overlaps.

    Args:
        text: any text.
        region: ISO 3166 code of the country that phone numbers without a country code are of.

    Raises:
        TesseraError: the package `phonenumbers` is not installed.
    """
    found: list[Finding] = []
    for finding in [*_emails(text), *_ibans(text), *_cards(text), *_ips(text), *_phones(text, region)]:
        if all(finding.end <= other.start or finding.start >= other.end for other in found):
            found.append(finding)
    return sorted(found, key=lambda each: each.start)


def redact(text: str, region: str = "US", known: Mapping[str, str] | None = None) -> Redacted:
    """Return the text with placeholders for personal data; equal data has one placeholder.

    Args:
        text: any text.
        region: as `find_pii`.
        known: placeholders of other texts of the same request, which stay the same here.
    """
    originals = dict(known or {})
    names = {original: placeholder for placeholder, original in originals.items()}
    parts: list[str] = []
    place = 0
    for finding in find_pii(text, region):
        original = text[finding.start : finding.end]
        if original not in names:
            names[original] = f"[{finding.kind}_{len(names) + 1}]"
            originals[names[original]] = original
        parts += [text[place : finding.start], names[original]]
        place = finding.end
    return Redacted("".join([*parts, text[place:]]), originals)


def _emails(text: str) -> Iterator[Finding]:
    for match in _EMAIL.finditer(text):
        yield Finding("EMAIL", match.start(), match.end())


def _cards(text: str) -> Iterator[Finding]:
    for start, end in _checked(text, _CARD, _CARD_DIGITS, lambda each: each[0] in "23456" and passes_luhn(each)):
        yield Finding("CARD", start, end)


def _checked(
    text: str, form: re.Pattern[str], shortest: int, passes: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    """Yield the longest part of each candidate that passes its check and ends with a word."""
    for match in form.finditer(text):
        start, longest = match.span(1)
        for end in range(longest, start + shortest - 1, -1):
            is_whole = text[end - 1].isalnum() and not text[end : end + 1].isalnum()
            if is_whole and passes(re.sub("[ -]", "", text[start:end])):
                yield start, end
                break


def passes_luhn(digits: str) -> bool:
    """Return True if the check digit of a card number is right (ISO/IEC 7812-1)."""
    doubled = [int(one) * (1 + place % 2) for place, one in enumerate(reversed(digits))]
    return sum(number - 9 * (number > 9) for number in doubled) % 10 == 0


def _ibans(text: str) -> Iterator[Finding]:
    for start, end in _checked(text, _IBAN, _IBAN_SIGNS, passes_mod_97):
        yield Finding("IBAN", start, end)


def passes_mod_97(iban: str) -> bool:
    """Return True if the check digits of an account number are right (ISO 13616)."""
    if not (15 <= len(iban) <= 34 and iban.isascii() and iban.isalnum()):
        return False
    turned = iban[4:] + iban[:4]
    return int("".join(str(int(one, 36)) for one in turned)) % 97 == 1


def _ips(text: str) -> Iterator[Finding]:
    for match in _IP.finditer(text):
        address = match[0].rstrip(".")
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            continue
        if found.version == 4 or len(address) > 3:
            yield Finding("IP", match.start(), match.start() + len(address))


def _phones(text: str, region: str) -> Iterator[Finding]:
    if sum(one.isdigit() for one in text) < _PHONE_DIGITS:
        return
    try:
        import phonenumbers
    except ImportError:
        raise TesseraError(
            "The package 'phonenumbers' is not installed, which finds phone numbers in texts.",
            expected="the extra `text`",
            todo="Run `make setup-text`.",
        ) from None
    for match in phonenumbers.PhoneNumberMatcher(text, region):
        yield Finding("PHONE", match.start, match.end)
