"""Who runs a command, as this machine knows them."""

import os
import pwd


def user_name() -> str:
    """The name of the account; its number, where it has no name (in a container, say)."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
