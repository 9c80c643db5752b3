"""Feast entities: the keys that features belong to."""

from feast import Entity, ValueType

customer = Entity(
    name="customer",
    join_keys=["customer_id"],
    value_type=ValueType.STRING,
    description="A customer of the shop, by pseudonymous id.",
)
