"""Linear algebra on one thread: sums of several threads are added up in another order, and float32 shows it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which numpy and scipy multiply and solve on one thread, whatever the environment asks for.

    The same bits follow on one machine with any number of threads, and less CPU: blocks of some hundred customers and
    factors of 32 numbers are too small to be shared out. Another kind of processor has other kernels of OpenBLAS, which
    round differently.
    """
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> Any:
    from importlib import import_module

    from threadpoolctl import ThreadpoolController

    import_module("scipy.linalg")  # its library is looked for among those that are loaded
    return ThreadpoolController()
