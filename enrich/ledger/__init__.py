"""The durable record: what was asked, sent, accepted and answered. Nothing else touches its tables.

`store.Ledger` holds the tables and their transitions, of which `enrich.records` are made, `recorder` is the one writer
of a run, `lock` keeps a second instance out, `worklist` is the scratch table of a plan.
"""
