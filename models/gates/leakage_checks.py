"""The checks that look for leaks: features from the future, names of rows, and results too good to be true."""

from models.gates.check import GateCheck
from models.gates.context import CANDIDATE, CHAMPION, GateContext, MissingEvidence, require
from models.gates.leakage import feature_identities

# pyarrow has no static types.
# pyright: basic

#: Rank correlation with the order of the rows from which on a feature is that order.
_ROW_ORDER = 0.98
#: A column of text with no more values than this names no one.
_FEW_VALUES = 20


def recomputed(context: GateContext) -> GateCheck:
    """Every feature has the same value when all that came after its cut-off is removed and it is computed again."""
    found = require(context.evidence.recomputed, "features that were computed again from what was known at the time")
    encoder = context.split.encoder
    missed = [name for name in (*encoder.numeric, *encoder.categories) if name not in found.features]
    problems = [f"{name} in {count} of {found.rows} rows" for name, count in found.differing.items()]
    if found.unmatched:
        problems.append(f"{found.unmatched} rows are there in only one of the two")
    if missed or not found.rows:
        problems.append(f"not computed again: {', '.join(missed) or 'any row'}")
    says = f"{found.rows} rows of {', '.join(found.moments)} computed again without what came later: "
    says += f"another value of {', '.join(problems)}" if problems else "every value is the same"
    return GateCheck("recomputed", not problems, float(len(problems)), 0.0, says)


def identity(context: GateContext) -> GateCheck:
    """No feature names the entity or the row instead of describing it."""
    limit, split = context.config.max_identifying_share, context.split
    train = split.train
    named = feature_identities(split.encoder.feature_names, train.rows, train.groups, train.cutoffs)
    problems = [f"{n.name} names {n.share:.0%} of the entities" for n in named if n.share > limit]
    problems += [f"{n.name} is the order of the rows" for n in named if n.order > _ROW_ORDER]
    entities = len(set(split.holdout.entity_ids))
    for name in split.encoder.categories:
        distinct = len(split.holdout_table.column(name).unique())
        if distinct > max(_FEW_VALUES, limit * entities):
            problems.append(f"{name} has {distinct} values for {entities} entities")
    top = max((n.share for n in named), default=0.0)
    fine = f"the feature most like a name of the entity names {top:.0%} of them"
    return GateCheck("identity", not problems, top, limit, "; ".join(problems) or fine)


def jump(context: GateContext) -> GateCheck:
    """Check that the candidate is not implausibly far ahead of everything known before."""
    limits, metric, held = context.config, context.task.reference, context.holdout
    simple = [
        name for name in require(context.evidence.baselines, "baselines") if name != context.evidence.trained_baseline
    ]
    if not simple:
        raise MissingEvidence("The gate was not given a simple baseline to measure a jump from.")

    def value(name: str) -> float:
        return metric.value(held.labels, context.scores(name), held.groups)

    mine = value(CANDIDATE)
    leads = {name: mine - value(name) for name in simple}
    closest = min(leads, key=lambda name: leads[name])
    measured = [(closest, leads[closest], limits.max_jump)]
    if context.champion is not None:
        measured.append((CHAMPION, mine - value(CHAMPION), limits.max_champion_jump))
    name, lead, limit = max(measured, key=lambda one: one[1] - one[2])
    says = f"{metric.words} {lead:+.4f} over {name} (at most {limit:+g})"
    if lead > limit:
        says += ": too good to be true, until a person passes it with `tessera promote`"
    return GateCheck("jump", lead <= limit, lead, limit, says)


def control_problems(context: GateContext) -> tuple[list[str], str]:
    """Return why the control with shuffled labels closes the gate (nothing if it does not), and its result in words."""
    control = require(context.evidence.control, "the control with shuffled labels")
    words = context.task.reference.words
    if control.z <= context.config.max_control_z:
        return [], f"shuffled labels give {words} {control.value:.3f}"
    return [f"shuffled labels were learned ({words} {control.value:.3f}, {control.z:.1f} standard errors)"], ""
