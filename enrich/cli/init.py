import typer


def init(context: typer.Context) -> None:
    """Soon."""
