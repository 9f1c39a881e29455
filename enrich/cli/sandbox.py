"""`enrich sandbox`: the service's API on this machine, until it is told to stop."""

import os
import re
from pathlib import Path
from typing import Annotated, Final, NamedTuple, TypeAlias

import typer

from enrich.cli.misuse import whole_number
from enrich.cli.options import console_of

KEY_VARIABLE: Final = "ENRICH_SANDBOX_KEY"

_NUMBER = r"(\d+(?:\.\d+)?)"
_LATENCY = re.compile(rf"{_NUMBER}:{_NUMBER}(?:,{_NUMBER}%:{_NUMBER}(?::{_NUMBER})?)?")


_PORT = whole_number("a port from 0 to 65535", lowest=0, highest=65_535)
_SEED = whole_number("a whole number", lowest=-(10**18))


class Latency(NamedTuple):
    """How long runs take, in seconds, and how long a share of them takes in place of that."""

    usual_s: tuple[float, float]
    slow_share: float = 0.0
    slow_s: tuple[float, float] = (0.0, 0.0)


def _latency(text: str) -> Latency:
    found = _LATENCY.fullmatch(text)
    numbers = [None if part is None else float(part) for part in found.groups()] if found is not None else []
    match numbers:
        case [float(low), float(high), None, None, None] if low <= high:
            return Latency((low, high))
        case [float(low), float(high), float(share), float(least), most] if low <= high and share <= 100:
            longest = least if most is None else most
            if least <= longest:
                return Latency((low, high), share / 100, (least, longest))
    raise typer.BadParameter(
        f"expected MIN:MAX in seconds such as 0.2:2, or with a share of slow runs 10:30,1%:300, got {text!r}"
    )


def _quota(text: str) -> object:
    from enrich.sandbox import SandboxError, parse_quota

    try:
        return parse_quota(text)
    except SandboxError as error:
        raise typer.BadParameter(str(error)) from None


_Port: TypeAlias = Annotated[int, typer.Option("--port", metavar="PORT", parser=_PORT, help="0 picks a free port.")]
_Facts: TypeAlias = Annotated[
    Path | None,
    typer.Option("--facts", metavar="FILE", help="The facts it knows, NDJSON or Parquet; it invents the rest."),
]
_Latency: TypeAlias = Annotated[
    object,
    typer.Option("--latency", metavar="MIN:MAX", parser=_latency, help="How long runs take, in seconds; 10:30,1%:300."),
]
_Quota: TypeAlias = Annotated[
    object,
    typer.Option("--quota", metavar="RUNS/SECONDS", parser=_quota, help="Runs that may be created in a window."),
]
_Seed: TypeAlias = Annotated[
    int, typer.Option("--seed", metavar="N", parser=_SEED, help="Another seed invents other answers.")
]
_Faults: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--fault", metavar="NAME[=VALUE]", help="A fault to inject; repeatable."),
]
_State: TypeAlias = Annotated[
    Path | None, typer.Option("--state", metavar="FILE", help="Store groups and runs in this file, for the next time.")
]
_ListFaults: TypeAlias = Annotated[bool, typer.Option("--list-faults", help="List the faults, and exit.")]


def sandbox(
    context: typer.Context,
    *,
    port: _Port = 8321,
    facts: _Facts = None,
    latency: _Latency = "0.2:2",
    quota: _Quota = None,
    seed: _Seed = 0,
    fault: _Faults = None,
    state: _State = None,
    list_faults: _ListFaults = False,
) -> None:
    """Serve the service's API on this machine, free of charge.

    The server validates strictly, and can be slow, fail and lie as networks do. Prints its address; Ctrl-C ends it.
    docs/sandbox.md describes what it does and bills.

    \b
      enrich sandbox --facts sample_data/companies.facts.ndjson --latency 1:5
      enrich sandbox --fault response-lost=0.1 --fault rate-limited=5x
    """
    from enrich.backends.opening import sandbox_refusals
    from enrich.sandbox import Quota, SandboxSettings, describe_faults, serve

    console = console_of(context)
    if list_faults:
        console.show("".join(f"{kind.usage}\n    {kind.sentence}\n" for kind in describe_faults()))
        return
    assert isinstance(latency, Latency)
    assert isinstance(quota, Quota | None)
    key = os.environ.get(KEY_VARIABLE, "").strip() or None

    def ready(base_url: str) -> None:
        console.show(base_url + "\n")
        word = "any-word" if key is None else f"${KEY_VARIABLE}"
        console.note(f"To use it: export PARALLEL_BASE_URL={base_url} PARALLEL_API_KEY={word}")
        console.note(f"Its bill: curl -H x-api-key:{word} {base_url}/sandbox/bill    Ctrl-C ends it")

    with sandbox_refusals():
        settings = SandboxSettings(
            facts=facts,
            latency_s=latency.usual_s,
            slow_share=latency.slow_share,
            slow_s=latency.slow_s,
            quota=quota,
            seed=seed,
            faults=tuple(fault or ()),
            state=state,
            api_key=key,
        )
        serve(settings, port=port, on_ready=ready)
