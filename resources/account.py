"""The application and run on whose account calls to models are made."""

import sys
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Account:
    """Application and Dagster run; empty where there is none."""

    app: str = ""
    run_id: str = ""


_ACCOUNT: ContextVar[Account | None] = ContextVar("account", default=None)


class on_account_of:
    """Count what is called in the block as calls of an application, outside of a Dagster run."""

    def __init__(self, app: str) -> None:
        self._app = app

    def __enter__(self) -> None:
        self._before = _ACCOUNT.set(Account(self._app))

    def __exit__(self, *_: object) -> None:
        _ACCOUNT.reset(self._before)


def current_account() -> Account:
    """Return the account of the step of a Dagster run that calls, else the one of `on_account_of`."""
    compute: Any = sys.modules.get("dagster._core.execution.context.compute")
    context = compute.current_execution_context.get() if compute is not None else None
    if context is None:
        return _ACCOUNT.get() or Account()
    inner = getattr(context, "op_execution_context", context)
    return Account(inner.op.name.split("__")[0], inner.run_id)
