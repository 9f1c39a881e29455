"""The service's API served on this machine: free, strict, and honest about inventing its answers.

`running` serves it in a thread of this process, `serve` blocks, `create_app` is the bare ASGI app.
Nothing here imports the rest of `enrich`: a client and a server that share code share mistakes.
"""

from enrich.sandbox.app import create_app
from enrich.sandbox.facts import check_facts
from enrich.sandbox.faults import FaultKind, describe_faults
from enrich.sandbox.quota import parse_quota
from enrich.sandbox.server import running, serve
from enrich.sandbox.settings import Quota, SandboxError, SandboxSettings

__all__ = [
    "FaultKind",
    "Quota",
    "SandboxError",
    "SandboxSettings",
    "check_facts",
    "create_app",
    "describe_faults",
    "parse_quota",
    "running",
    "serve",
]
