"""Every harmful change of a table's day, by application."""

from collections.abc import Mapping, Sequence

from benchmarks.reliability import demand_mutations, order_mutations, payment_mutations, support_mutations
from benchmarks.reliability.mutation import AppName, Mutation

MUTATIONS: Mapping[AppName, Sequence[Mutation]] = {
    "churn": (*order_mutations.ORDERS, *order_mutations.CUSTOMERS),
    "fraud": (*payment_mutations.PAYMENTS, *payment_mutations.LABELS),
    "demand": demand_mutations.DEMAND,
    "support": (*support_mutations.TICKETS, *support_mutations.LABELS),
}
