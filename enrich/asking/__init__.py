"""Does what the protocol yields, against the real service, ledger and clock: the only spender."""
