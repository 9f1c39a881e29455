"""The ways into a web-research service: what is sent, what comes back, and how its shapes are read."""
