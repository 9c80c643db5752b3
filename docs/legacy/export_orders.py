"""Write the orders of this home as the CSV file that the old script reads: `export_orders.py orders.csv LAST_DAY`."""

import sys
from datetime import date

import pyarrow.csv as csv

from resources.stack.ports import active_ports

if __name__ == "__main__":
    file, last = sys.argv[1], date.fromisoformat(sys.argv[2])
    columns = ["customer_id", "order_id", "ordered_at", "quantity", "unit_price", "is_return", "country"]
    orders = active_ports().lake.scan("orders", last=last).to_table(columns=columns)
    csv.write_csv(orders, file)
    print(f"{orders.num_rows:,} order lines up to {last} in {file}")
