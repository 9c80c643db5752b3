"""The request door: published scores, and what applications do on request, over HTTP.

Only `tessera serve` and the generator of `docs/openapi.json` import it.
"""
