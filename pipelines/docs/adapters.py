"""The page of the documentation that lists the adapters of every port and what each of them lacks."""

from collections.abc import Iterable, Iterator, Mapping

from resources.conformance.capabilities import CAPABILITIES, Gap, gaps_of, tested_of
from resources.stack.adapters import adapter_class, kinds_of
from resources.stack.table import KINDS

_INTRODUCTION = """\
# Adapters

The adapters of each port that ship with Tessera, and those that installed packages offer. Ours keep the promises of
their port, which `tests/conformance` tests; those of a package are tested there. What only some of them can do is a
declared capability: ✓ has it; a number is a declared gap, whose test must fail in the declared way. To test an
adapter of yours: [swapping.md](swapping.md#adding-one).
"""


def adapters_page(ports: Mapping[str, Iterable[str]] | None = None) -> str:
    """Markdown: per port, its adapters, their capabilities, and the gaps with their reasons."""
    parts = [_INTRODUCTION]
    for port, kinds in (ports or {port: kinds_of(port) for port in KINDS}).items():
        gaps = {kind: gaps_of(adapter_class(port, kind)) for kind in kinds}
        parts += [f"## {port}\n", *_table(CAPABILITIES.get(port, {}), gaps, KINDS.get(port, {})), ""]
        parts += [f"`{kind}` is {says}.\n" for kind in kinds if (says := tested_of(adapter_class(port, kind)))]
    return "\n".join(parts)


def _table(
    capabilities: Mapping[str, str], gaps: Mapping[str, Mapping[str, Gap]], ours: Iterable[str]
) -> Iterator[str]:
    """The table, then its numbered gaps; equal reasons share a number."""
    reasons = list(dict.fromkeys(gap.reason for kind in gaps.values() for gap in kind.values()))
    yield f"| | {' | '.join(f'`{kind}`' for kind in gaps)} |"
    yield f"|---|{'---|' * len(gaps)}"
    yield f"| the port's promises | {' | '.join('✓' if kind in ours else 'its package' for kind in gaps)} |"
    for name, statement in capabilities.items():
        cells = [str(reasons.index(kind[name].reason) + 1) if name in kind else "✓" for kind in gaps.values()]
        yield f"| `{name}`: {statement} | {' | '.join(cells)} |"
    if reasons:
        yield ""
        yield from (f"{number}. {reason[0].upper()}{reason[1:]}." for number, reason in enumerate(reasons, 1))
