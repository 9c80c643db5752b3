"""The simulated retailer: customers with known reasons to buy, fade and leave; orders; card payments, some of them
fraud; deliveries with known faults.

`models.shop.shop.Shop` produces any day on its own; `models.shop.reachable` and `reachable_fraud` tell how well churn
and fraud can be known at best.
"""
