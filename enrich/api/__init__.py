"""The service's HTTP API as typed calls: what is sent, what came back, and what an error proves.

Knows no tables, no tasks and no ledger. Every outcome of a call that may cost money is one of three: it took
effect, it provably did not (`NotSentError`, a refusal), or it isn't known (`UnknownOutcomeError`).
"""
