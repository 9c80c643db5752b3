"""The stack: profiles of `stack.yaml`, checked, and the ports as Dagster resources."""
