"""The use cases; each takes its ledger, its API client and its clock as arguments."""
