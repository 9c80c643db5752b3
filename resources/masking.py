"""Texts without the values of secrets and without e-mail addresses: all that stay or travel go through here.

The texts are those that outlive the moment: logs, events and metadata of runs, notices, and what a command says on
standard error. A secret is what a profile takes by `{env: NAME}`: its value is known here from the moment at which it
is looked up, and so are the parts of an address that a library may quote (the password, a token in a path).
"""

import base64
import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, cast
from urllib.parse import unquote

#: As forms go, an e-mail address is sure; a number that passes for a card may be the id of a payment.
_EMAIL = re.compile(r"[\w.!#$%&'*+?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}")
EMAIL = "[e-mail]"
_ADDRESS = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?:(?P<user>[^:/@\s\[]*):(?P<password>.+)@)?(?P<rest>.*)", re.S
)
_PAIR = re.compile(r"(?i)(?:password|passwd|pwd|token|key|secret|sig)\w*=([^,;&\s]+)")
#: A token in place of a user, without a password; and values in the query of an HTTP address, whatever their names.
_ALONE = re.compile(r"https?://([^:/@?#\s]+)@", re.I)
_QUERIED = re.compile(r"[?&][^=&#\s]+=([^&#\s]+)")
_SIGNS = re.compile(r"[/?#@:%&=,;\s]+")
#: Schemes of addresses whose path is the name of a database, which is no secret; of others it may be a token.
_DATABASES = ("postgres", "redis", "mysql", "sqlite", "mongodb")
#: Shorter values are words and numbers of other texts.
_SHORTEST, _SHORTEST_PART = 4, 6
#: No real passwords: they would hide the programs' names.
_WORDS = {
    "admin",
    "basic",
    "bearer",
    "dagster",
    "localhost",
    "mlflow",
    "password",
    "postgres",
    "redis",
    "root",
    "secret",
    "tessera",
    "test",
}

_names: dict[str, str] = {}
_pattern: re.Pattern[str] | None = None


def remember(name: str, value: str) -> None:
    """From now on, no text shows the value of the environment variable `name`: it shows `{env: NAME}`."""
    global _pattern
    new = {text for text in _shapes(value) if text.lower() not in _WORDS} - _names.keys()
    if new:
        _names.update(dict.fromkeys(new, name))
        _pattern = re.compile("|".join(map(re.escape, sorted(_names, key=len, reverse=True))))
    install()


def without_secrets(text: str) -> str:
    """Return `text` with the names of secrets in place of their values."""
    return text if _pattern is None else _pattern.sub(lambda found: f"{{env: {_names[found[0]]}}}", text)


def masked(text: str) -> str:
    """Return `text` without secrets and e-mail addresses."""
    text = without_secrets(text)
    return _EMAIL.sub(EMAIL, text) if "@" in text else text


def masked_values(value: Any) -> Any:
    """Return plain data (as of JSON) with every text in it masked, keys of mappings excepted."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {key: masked_values(item) for key, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [masked_values(item) for item in cast(list[Any], value)]
    return value


def install() -> None:
    """Mask what this process logs by Python's logging, and tracebacks of exceptions that nothing catches."""
    if not isinstance(logging.getLogRecordFactory(), _Records):
        logging.setLogRecordFactory(_Records(logging.getLogRecordFactory()))
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print_masked


class _Records:
    """Makes log records that hold nothing secret, whichever handler writes them."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __call__(self, *given: Any, **named: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._inner(*given, **named)
        try:
            said = record.getMessage()
        except (TypeError, ValueError):  # the handler reports a message that does not fit its arguments
            return record
        if (shown := masked(said)) != said:
            record.msg, record.args = shown, ()
        if record.exc_info:
            told = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if (shown := masked(told)) != told:
                record.exc_text, record.exc_info = shown, None
        return record


def _print_masked(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))


def _shapes(value: str) -> Iterator[str]:
    """Yield the texts as which a library may quote a secret."""
    for text in _parts(value.strip().strip("\"'")):
        for shape in (text, unquote(text), json.dumps(text)[1:-1], repr(text)[1:-1]):
            if len(shape) >= _SHORTEST:
                yield shape


def _parts(value: str) -> Iterator[str]:
    """Yield the value as a whole, and of an address the parts that are secret."""
    yield value
    yield from _PAIR.findall(value)
    found = cast(re.Match[str], _ADDRESS.fullmatch(value))
    if found["password"] is not None:
        yield f"{found['user']}:{found['password']}"
        yield found["password"]
        yield base64.b64encode(unquote(f"{found['user']}:{found['password']}").encode()).decode()
        # A sign that was not escaped cuts the password into what libraries take for a host or a port.
        yield from (part for part in _SIGNS.split(found["password"]) if len(part) >= _SHORTEST_PART)
    yield from _ALONE.findall(value)
    if (found["scheme"] or "").startswith("http"):
        yield from (text for text in _QUERIED.findall(value) if len(text) >= _SHORTEST_PART)
    if found["scheme"] and not found["scheme"].startswith(_DATABASES):
        _, _, path = found["rest"].partition("/") if found["scheme"].startswith("http") else ("", "", found["rest"])
        yield from (part for part in _SIGNS.split(path) if len(part) >= _SHORTEST_PART and not part.isalpha())
