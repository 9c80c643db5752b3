"""The simulated retailer: customers with known reasons to buy, fade and leave; orders; card payments, some of them
fraud; deliveries with known faults.

`models.simulation.shop.Shop` produces any day on its own; `models.simulation.bayes_optimal` and `bayes_optimal_fraud`
compute how well churn and fraud can be predicted at best.
"""
