import typer


def status(context: typer.Context) -> None:
    """Soon."""
