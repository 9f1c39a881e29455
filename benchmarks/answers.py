"""The answers of the stub: five fields with their basis, rendered before anything is served."""

import msgspec

from benchmarks.prose import Prose

POOL = 8192
_CONFIDENCES = ("high",) * 18 + ("medium", "low")  # one answer in ten is doubtful


def render_outputs(seed: int = 0, pool: int = POOL) -> list[bytes]:
    """`pool` different outputs as JSON: about 3.4 KB each, so 4 KB with the run around it."""
    prose = Prose(seed)
    return [msgspec.json.encode(_output(prose)) for _ in range(pool)]


def _output(prose: Prose) -> dict[str, object]:
    values = {
        "headquarters": f"{prose.word().title()}, {prose.word().title()}",
        "founded_year": prose.random.randrange(1850, 2024),
        "industry": f"{prose.word()} and {prose.word()}",
        "key_products": [prose.word() for _ in range(prose.random.randrange(2, 6))],
        "employees": prose.random.randrange(1, 500_000),
    }
    return {"type": "json", "content": values, "basis": [_basis(prose, name) for name in values]}


def _basis(prose: Prose, name: str) -> dict[str, object]:
    citations = [
        {"url": prose.address(), "title": prose.piece(30), "excerpts": [prose.piece(prose.random.randrange(60, 180))]}
        for _ in range(2)
    ]
    return {
        "field": name,
        "reasoning": prose.piece(prose.random.randrange(80, 220)),
        "citations": citations,
        "confidence": prose.random.choice(_CONFIDENCES),
    }
