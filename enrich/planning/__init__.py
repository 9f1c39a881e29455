"""What is due: wanted minus held, why, and what it costs and takes. Reads the ledger, asks nothing."""
