"""WITH WHAT it runs: one package per port, one file per adapter. The only room that imports a vendor's client."""
