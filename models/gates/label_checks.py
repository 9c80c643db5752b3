"""The check that compares labels, and what features say of them, with the record of the champion's evaluation."""

from collections.abc import Iterator
from math import hypot, inf

from models.gates.check import GateCheck
from models.gates.config import GateConfig
from models.gates.context import GateContext
from models.gates.label_record import LabelRecord, label_record, mean_error, relation_error

#: Standard errors that a difference to the record must exceed: 6 in 100,000 by chance, for each of some 30 features.
_BEYOND_CHANCE = 4.0
#: Features that a sentence names.
_NAMED = 3


def labels_as_before(context: GateContext) -> GateCheck:
    """Check that labels are as frequent, and features say as much of them, as when the champion was evaluated.

    A candidate and the champion's settings are trained on the same rows: a mistake in these rows helps both.
    """
    name, standing = "labels_as_before", context.champion
    if standing is None or standing.recorded is None:
        says = context.no_champion or f"version {getattr(standing, 'version', '?')} kept no record of its labels"
        return GateCheck(name, True, None, None, says)
    return compared(standing.recorded, label_record(context.split), context.config, standing.version)


def compared(before: LabelRecord, now: LabelRecord, limits: GateConfig, version: str) -> GateCheck:
    """Return the check of a candidate's labels against those that the champion `version` recorded."""
    changes = _changes(before, now)
    found = sorted(_beyond(before, now, limits.max_relation_change, limits.max_relation_gain), key=lambda one: -one[0])
    problems = [says for _, says in found[:_NAMED]]
    if len(found) > _NAMED:
        problems.append(f"{len(found) - _NAMED} other features likewise")
    factor = _factor(before, now)
    if factor > limits.max_label_factor and _differs(before, now):
        problems.insert(0, f"{_labels(now)}, {_labels(before)} then ({factor:.2g} times)")
    worst = max(changes.values(), default=0.0)
    fine = f"{_labels(now)}, {_labels(before)} then; no feature's relation to them differs by more than {worst:.2f}"
    says = f"against the evaluation of champion version {version}: {'; '.join(problems) or fine}"
    if problems:
        says += ". Look for labels of another source, turned round or known to a feature; a person passes it with "
        says += "`tessera promote`"
    return GateCheck("labels_as_before", not problems, worst, limits.max_relation_change, says)


def _changes(before: LabelRecord, now: LabelRecord) -> dict[str, float]:
    shared = before.relations.keys() & now.relations.keys()
    return {name: abs(now.relations[name] - before.relations[name]) for name in shared}


def _beyond(before: LabelRecord, now: LabelRecord, max_change: float, max_gain: float) -> Iterator[tuple[float, str]]:
    """Yield the change of each feature's relation that is beyond a limit and chance, and a sentence.

    Relations of weak features grow with a home's history, those of strong ones hardly: a leak is stronger than all.
    """
    strongest = max(map(abs, before.relations.values()), default=1.0)
    for name, change in _changes(before, now).items():
        was, is_now = before.relations[name], now.relations[name]
        chance = _BEYOND_CHANCE * hypot(relation_error(was, before), relation_error(is_now, now))
        leaks = abs(is_now) > strongest + max_gain
        if change > chance and (leaks or change > max_change):
            kind = "a leak of the label?" if leaks else "turned round" if was * is_now < 0 else "another relation"
            yield change, f"feature {name} {_relation(is_now, now)}, {_relation(was, before)} then ({kind})"


def _relation(value: float, record: LabelRecord) -> str:
    return f"has AUC {(value + 1) / 2:.2f}" if record.binary else f"has the rank correlation {value:.2f}"


def _labels(record: LabelRecord) -> str:
    return f"{record.mean:.1%} of the labels are positive" if record.binary else f"the mean label is {record.mean:.3g}"


def _factor(before: LabelRecord, now: LabelRecord) -> float:
    """Return the factor, at least 1, between odds of the positive class, or mean labels; infinite for another sign."""
    one, other = (record.mean / (1 - record.mean) if record.binary else record.mean for record in (before, now))
    if one * other <= 0:
        return 1.0 if one == other else inf
    return max(other / one, one / other)


def _differs(before: LabelRecord, now: LabelRecord) -> bool:
    return abs(now.mean - before.mean) > _BEYOND_CHANCE * hypot(mean_error(before), mean_error(now))
