"""The application and run on whose account calls to models are made."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Account:
    """Application and Dagster run; empty where there is none."""

    app: str = ""
    run_id: str = ""


_ACCOUNT: ContextVar[Account | None] = ContextVar("account", default=None)


@contextmanager
def on_account_of(app: str) -> Iterator[None]:
    """Count what is called in the block as calls of an application, outside of a Dagster run."""
    before = _ACCOUNT.set(Account(app))
    try:
        yield
    finally:
        _ACCOUNT.reset(before)


def current_account() -> Account:
    """Return the account of the step of a Dagster run that calls, else the one of `on_account_of`."""
    compute: Any = sys.modules.get("dagster._core.execution.context.compute")
    context = compute.current_execution_context.get() if compute is not None else None
    if context is None:
        return _ACCOUNT.get() or Account()
    inner = getattr(context, "op_execution_context", context)
    return Account(inner.op.name.split("__")[0], inner.run_id)
