"""Check of what a config opens: an adapter has the methods of its port."""

from importlib import import_module

from models.errors import TesseraError

#: Every adapter of every port has it.
_LEAST = frozenset({"check"})
_NAMED = 3


def require_adapter(found: object, port: str, kind: str, interface: str) -> None:
    """Refuse what lacks a method of the port: an adapter of another port, or a config that opens nothing.

    Args:
        found: what the config opened.
        port: its name in stack.yaml, for the message.
        kind: of the adapter, for the message.
        interface: dotted path of the port's class; "" asks for `check` alone.

    Raises:
        TesseraError: it names some of the methods that are missing.
    """
    wanted = _class(interface) if interface else None
    if wanted is not None and isinstance(found, wanted):
        return
    missing = sorted(name for name in _methods(wanted) if not hasattr(found, name))
    if missing:
        others = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise TesseraError(
            f"{kind!r} of port {port!r} opens a {type(found).__name__}, which has no "
            f"{', '.join(f'`{name}`' for name in missing[:_NAMED])}{others}.",
            expected=f"an adapter with the methods of `{interface}`" if interface else "an adapter with `check`",
            todo="Correct `kind`, or `open` of its config class; docs/swapping.md shows what an adapter needs.",
        )


def _class(path: str) -> type:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _methods(wanted: type | None) -> frozenset[str]:
    """Return the abstract methods of an interface, or all public ones of a class that has none."""
    if wanted is None:
        return _LEAST
    abstract: frozenset[str] = getattr(wanted, "__abstractmethods__", frozenset())
    return abstract or frozenset(name for name in vars(wanted) if not name.startswith("_"))
