"""A request to stop, on a loop whose minutes are seconds."""

import time
from collections.abc import Awaitable, Callable

import anyio
import pytest

from enrich.api.errors import UnavailableError
from enrich.asking.stopping import Stopping
from enrich.protocol.effects import StopRequested
from tests.faults.fast_loop import run_fast

SPEED = 50.0


async def sleep(seconds: float) -> str:
    await anyio.sleep(seconds)
    return "done"


def timed(act: Callable[[Stopping], Awaitable[object]]) -> float:
    """Ask for a stop after 10 s of an action; gives how many seconds it takes in all."""

    async def run() -> float:
        stopping = Stopping()
        begun = anyio.current_time()

        async def stop() -> None:
            await anyio.sleep(10)
            stopping.requested.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop)
            await act(stopping)
            ended = anyio.current_time()
        return ended - begun

    return run_fast(run, SPEED)


def test_what_ends_before_a_stop_gives_its_result() -> None:
    async def act(stopping: Stopping) -> None:
        assert await stopping.until_stop(lambda: sleep(3)) == "done"

    assert timed(act) == pytest.approx(3, abs=1.5)


def test_an_error_comes_out_as_it_is() -> None:
    async def fail() -> None:
        raise UnavailableError("busy", status=503)

    async def act(stopping: Stopping) -> None:
        with pytest.raises(UnavailableError, match="busy"):
            await stopping.until_stop(fail)

    timed(act)


def test_a_wait_ends_with_the_request_to_stop_and_no_other_begins() -> None:
    begun: list[str] = []

    async def begin() -> None:
        begun.append("again")

    async def act(stopping: Stopping) -> None:
        with pytest.raises(StopRequested):
            await stopping.until_stop(lambda: sleep(600))
        with pytest.raises(StopRequested):
            await stopping.until_stop(begin)

    assert timed(act) == pytest.approx(10, abs=2)
    assert begun == []


def test_what_is_read_has_a_little_longer() -> None:
    async def act(stopping: Stopping) -> None:
        assert await stopping.until_stop(lambda: sleep(15), grace_s=20) == "done"

    assert timed(act) == pytest.approx(15, abs=2)


def test_all_that_is_read_after_a_request_to_stop_has_that_time_together() -> None:
    async def act(stopping: Stopping) -> None:
        assert await stopping.until_stop(lambda: sleep(20), grace_s=20) == "done"
        with pytest.raises(StopRequested):
            await stopping.until_stop(lambda: sleep(600), grace_s=20)
        with pytest.raises(StopRequested):  # its time is over before it begins
            await stopping.until_stop(lambda: sleep(600), grace_s=20)

    assert timed(act) == pytest.approx(30, abs=3)


@pytest.mark.anyio
async def test_who_hears_of_a_stop_when_the_time_for_it_is_over_ends_at_once() -> None:
    """Of thousands that wait, the last hear of it late: here, after the loop did something else."""
    stopping = Stopping()
    ended: list[str] = []

    async def wait(name: str) -> None:
        with pytest.raises(StopRequested):
            await stopping.until_stop(lambda: sleep(60), grace_s=0.01)
        ended.append(name)

    async def be_busy() -> None:
        await stopping.requested.wait()
        time.sleep(0.1)  # noqa: ASYNC251 — the loop is held up

    async with anyio.create_task_group() as tasks:
        for act, *given in ((wait, "first"), (be_busy,), (wait, "last")):
            tasks.start_soon(act, *given)
            await anyio.wait_all_tasks_blocked()
        stopping.requested.set()
    assert sorted(ended) == ["first", "last"]


@pytest.mark.anyio
async def test_thousands_sleep_until_a_stop() -> None:
    stopping = Stopping()
    woken: list[int] = []

    async def nap(n: int) -> None:
        with pytest.raises(StopRequested):
            await stopping.sleep(60)
        woken.append(n)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for n in range(2000):
                tasks.start_soon(nap, n)
            await anyio.wait_all_tasks_blocked()
            stopping.requested.set()
    assert len(woken) == 2000
    with pytest.raises(StopRequested):
        await stopping.sleep(0.01)
