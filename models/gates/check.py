"""One answer of the gate."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GateCheck:
    """One question and its answer. `value` is compared with `threshold`; None where no single number decides."""

    name: str
    passed: bool
    value: float | None
    threshold: float | None
    says: str
