"""Every harmful change of a table's day, by application."""

from collections.abc import Mapping, Sequence

from benchmarks.reliability import (
    demand_mutations,
    misplaced_mutations,
    order_mutations,
    partial_order_mutations,
    partial_payment_mutations,
    partial_support_mutations,
    payment_mutations,
    storefront_mutations,
    support_mutations,
)
from benchmarks.reliability.mutation import AppName, Mutation

#: Changes to a part of a day, to the precision of its values, or to the rows that they stand on.
PARTIAL: Mapping[AppName, Sequence[Mutation]] = {
    "churn": (*partial_order_mutations.PARTS, *partial_order_mutations.REGISTERS, *misplaced_mutations.ORDERS),
    "fraud": (*partial_payment_mutations.PARTS, *partial_payment_mutations.LABELS, *misplaced_mutations.PAYMENTS),
    "demand": (),
    "support": (*partial_support_mutations.PARTS, *partial_support_mutations.LABELS, *misplaced_mutations.SUPPORT),
    "personalization": (*storefront_mutations.SESSIONS, *storefront_mutations.STOCK, *misplaced_mutations.STOREFRONT),
}
MUTATIONS: Mapping[AppName, Sequence[Mutation]] = {
    "churn": (*order_mutations.ORDERS, *order_mutations.CUSTOMERS, *PARTIAL["churn"]),
    "fraud": (*payment_mutations.PAYMENTS, *payment_mutations.LABELS, *PARTIAL["fraud"]),
    "demand": demand_mutations.DEMAND,
    "support": (*support_mutations.TICKETS, *support_mutations.LABELS, *PARTIAL["support"]),
    "personalization": PARTIAL["personalization"],
}
