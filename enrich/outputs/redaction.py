"""What the ledger holds as it may be written out: without the key, should the service have repeated it.

The ledger keeps results as they came, and only its owner reads it. Tables, review files and reports go to others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from enrich.api.secret import Secret
from enrich.ledger.store import Ledger
from enrich.planning.results import Results
from enrich.records import Held, Ruled
from enrich.text.weight import why_too_heavy

__all__ = ["WithoutKey"]


class WithoutKey:
    """Reads a ledger for an output. Without a key that can be recognised it gives all as it is."""

    def __init__(self, ledger: Ledger, key: Secret | None) -> None:
        self._ledger = ledger
        self._key = key if key is not None and key.is_recognisable else None
        self._results = Results(ledger)
        self._changed: dict[tuple[int, int], Held] = {}  # runs whose id held the key, as the ledger has them

    def held(self, input_keys: Sequence[bytes]) -> dict[bytes, list[Held]]:
        """The runs that the ledger holds, by input."""
        held = self._ledger.held(input_keys)
        if self._key is None:
            return held
        self._changed.clear()
        return {input_key: [self._shown(run) for run in runs] for input_key, runs in held.items()}

    def decisions(self, input_keys: Sequence[bytes]) -> Mapping[bytes, Mapping[str, Ruled]]:
        """People's decisions, by input and field: an answer that was accepted is the service's word too."""
        decisions = self._ledger.decisions(input_keys)
        key = self._key
        if key is None:
            return decisions
        return {
            input_key: {
                field_id: replace(
                    one,
                    value=key.redact_body(one.value),
                    run_id=_redacted(key, one.run_id),
                    note=_redacted(key, one.note),
                )
                for field_id, one in made.items()
            }
            for input_key, made in decisions.items()
        }

    def result(self, held: Held) -> bytes:
        """The result of a completed run. Raises LedgerError where another one stands in its place.

        One that is too heavy to be read is given as it is: nothing of it is written.
        """
        raw = self._results(self._changed.get((held.submission_id, held.n), held))
        return raw if self._key is None or why_too_heavy(raw) else self._key.redact_body(raw)

    def _shown(self, run: Held) -> Held:
        assert self._key is not None
        run_id, error = (None if text is None else _redacted(self._key, text) for text in (run.run_id, run.error))
        if (run_id, error) == (run.run_id, run.error):
            return run
        self._changed[run.submission_id, run.n] = run
        return msgspec.structs.replace(run, run_id=run_id, error=error)


def _redacted(key: Secret, text: str) -> str:
    return key.redact_body(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
