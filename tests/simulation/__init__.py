"""The submission protocol under simulated time, network, disk and service.

The scripts, the course and the till of `enrich.protocol` and the ledger are the ones that run in production; the
simulation is another driver for them. One seed is one story: commands that are killed, stopped, rebooted and lied to,
until one of them ends by itself. Then the service's bill is held against the ledger.
"""
