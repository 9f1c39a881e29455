"""Who runs a command."""

import os
import pwd

from enrich.host.user import user_name


def test_it_is_the_name_of_the_account() -> None:
    assert user_name() == pwd.getpwuid(os.getuid()).pw_name
