"""Name and meaning of a feature."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Feature:
    """One numeric feature. `window` says which days before the cut-off it looks at; NULL where it is undefined."""

    name: str
    meaning: str
    unit: str
    window: str
