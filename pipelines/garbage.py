"""Garbage collection around loading: what is loaded lives as long as the process."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Objects that a process of ours may make before the newest are looked at (Python's own: 700), then how many such
#: looks before the older ones are.
_YOUNG, _MIDDLE, _OLD = 50_000, 10, 10


def collect_rarely() -> None:
    """Let this process collect garbage rarely: a command mostly loads libraries, which stay until it ends."""
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)


@contextmanager
def not_collected() -> Iterator[None]:
    """Collect no garbage inside, and never look again at what is alive at the end.

    Loading makes many objects and next to no garbage: the collector would walk all of them again and again, and once
    more when the process ends.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if "duckdb" not in sys.modules:  # it complains on stderr about objects that outlive it
            gc.freeze()
        if was_enabled:
            gc.enable()


@contextmanager
def kept_once_opened() -> Iterator[Callable[[], None]]:
    """Yield what a service calls once it has opened its models: until the end, the collector leaves them alone.

    A full collection looks at each of some 350,000 objects, and every request waits for it: 0.2 s.
    """

    def keep() -> None:
        gc.collect()
        gc.freeze()

    try:
        yield keep
    finally:
        gc.unfreeze()
