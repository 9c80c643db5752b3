"""The page of metrics, from their registry."""

from __future__ import annotations

from models.metrics import METRICS, Origin

_ORIGINS: dict[Origin, str] = {
    "service": "Counted by the service since it began",
    "home": "Looked up in the home when the service is scraped",
    "run": "Of the last run of each job (`metrics/run_<job>.prom` of the home)",
    "stream": "Of each stream's worker (`metrics/stream_<app>.prom` of the home)",
}


def metrics_page() -> str:
    """Return the page: one table for each origin."""
    lines = [
        "# Metrics",
        "",
        "`GET /metrics` of `tessera serve` exposes them all, in the text format of Prometheus. Rules and dashboards",
        "are in `deploy/observability/`: [observability.md](observability.md).",
    ]
    for origin, about in _ORIGINS.items():
        lines += ["", f"## {about}", "", "| metric | kind | labels | |", "|---|---|---|---|"]
        found = (one for one in METRICS.values() if one.origin == origin)
        lines += [f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} | {one.help} |" for one in found]
    return "\n".join(lines) + "\n"
