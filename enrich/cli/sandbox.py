"""`enrich sandbox`: the service's API on this machine, until it is told to stop."""

import os
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from enrich.cli.misuse import whole_number
from enrich.cli.options import console_of

KEY_VARIABLE: Final = "ENRICH_SANDBOX_KEY"

_LATENCY = re.compile(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)")


_PORT = whole_number("a port from 0 to 65535", lowest=0, highest=65_535)
_SEED = whole_number("a whole number", lowest=-(10**18))


def _latency(text: str) -> tuple[float, float]:
    found = _LATENCY.fullmatch(text)
    if found is None or float(found[1]) > float(found[2]):
        raise typer.BadParameter(f"expected MIN:MAX in seconds such as 0.2:2, got {text!r}")
    return float(found[1]), float(found[2])


def sandbox(
    context: typer.Context,
    *,
    port: Annotated[int, typer.Option("--port", metavar="PORT", parser=_PORT, help="0 takes a free one.")] = 8321,
    facts: Annotated[
        Path | None,
        typer.Option("--facts", metavar="FILE", help="What it knows: NDJSON or Parquet; the rest it invents."),
    ] = None,
    latency: Annotated[
        object,
        typer.Option("--latency", metavar="MIN:MAX", parser=_latency, help="How long runs take, in seconds."),
    ] = "0.2:2",
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", parser=_SEED, help="Another seed invents other answers.")
    ] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="NAME[=VALUE]", help="A fault to have; may be given several times."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="FILE", help="Remember groups and runs here, for the next time.")
    ] = None,
    list_faults: Annotated[bool, typer.Option("--list-faults", help="Print the faults it can have, and end.")] = False,
) -> None:
    """Serve the service's API on this machine, free of charge.

    It is strict, and able to be slow, to fail and to lie as networks do. Prints its address; Ctrl-C ends it.
    docs/sandbox.md says what it does, and what it bills.

    \b
      enrich sandbox --facts sample_data/companies.facts.ndjson --latency 1:5
      enrich sandbox --fault response-lost=0.1 --fault rate-limited=5x
    """
    from enrich.backends.opening import sandbox_refusals
    from enrich.sandbox import SandboxSettings, describe_faults, serve

    console = console_of(context)
    if list_faults:
        console.show("".join(f"{kind.usage}\n    {kind.sentence}\n" for kind in describe_faults()))
        return
    assert isinstance(latency, tuple)
    key = os.environ.get(KEY_VARIABLE, "").strip() or None

    def ready(base_url: str) -> None:
        console.show(base_url + "\n")
        word = "any-word" if key is None else f"${KEY_VARIABLE}"
        console.note(f"To use it: export PARALLEL_BASE_URL={base_url} PARALLEL_API_KEY={word}")
        console.note(f"Its bill: curl -H x-api-key:{word} {base_url}/sandbox/bill    Ctrl-C ends it")

    with sandbox_refusals():
        settings = SandboxSettings(
            facts=facts, latency_s=latency, seed=seed, faults=tuple(fault or ()), state=state, api_key=key
        )
        serve(settings, port=port, on_ready=ready)
