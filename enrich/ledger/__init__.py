"""The durable record: what was asked, sent, accepted and answered. Nothing else touches its tables.

`store.Ledger` opens and checks it, `transitions` is the only place that writes its tables, `questions` and `accounts`
say what they hold, in the nouns of `enrich.records`. `recorder` is the one writer of a run, `lock` keeps a second
instance out, `worklist` is the scratch table of a plan.
"""
