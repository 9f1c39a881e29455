"""The ledger beside the service: verify, recover, adopt. None of it can spend money."""
