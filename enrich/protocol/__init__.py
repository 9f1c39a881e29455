"""Paid once: the decisions of the submission protocol, as generators that yield effects and do no I/O themselves."""
