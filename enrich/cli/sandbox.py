import typer


def sandbox(context: typer.Context) -> None:
    """Soon."""
