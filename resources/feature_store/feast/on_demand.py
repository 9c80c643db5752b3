"""Features that are computed when they are asked for: Feast's on-demand feature views, over values already read."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

import pyarrow as pa
from feast import OnDemandFeatureView

from resources.feature_store.feast.service_plan import ServicePlan


def transformed(plan: ServicePlan, entities: pa.Table, columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """`columns` and what the plan's transformations give for them.

    A transformation sees entity keys, request columns and the features of its declared sources, whatever else was
    read; a value that is too old is NULL for it.
    """
    found = dict(columns)
    given = {field.name: entities[field.name].combine_chunks() for field in entities.schema}
    for view in plan.on_demand:
        names = [field.name for source in view.source_feature_view_projections.values() for field in source.features]
        found.update(_outputs(view, pa.table(given | {name: columns[name] for name in names})))
    return {name: _typed(column, plan, name) for name, column in found.items()}


def _outputs(view: OnDemandFeatureView, inputs: pa.Table) -> dict[str, pa.Array]:
    if view.mode == "python":
        outputs = view.transform_dict(inputs.to_pydict())
        return {field.name: pa.array(outputs[field.name]) for field in view.features}
    table = view.transform_arrow(inputs)
    return {field.name: table[field.name].combine_chunks() for field in view.features}


def _typed(column: pa.Array, plan: ServicePlan, name: str) -> pa.Array:
    return column.cast(plan.features.field(name).type) if name in plan.features.names else column
