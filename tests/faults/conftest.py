"""Scenes for one test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.promises import Scene, serving


@pytest.fixture
def make_scene(tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """A scene with these faults; `settings` are the sandbox's, `options` the scene's."""
    with ExitStack() as stack:

        def make(*faults: str, settings: dict[str, Any] | None = None, **options: Any) -> Scene:
            service = stack.enter_context(serving(*faults, **(settings or {})))
            return Scene(tmp_path, service, **options)

        yield make
