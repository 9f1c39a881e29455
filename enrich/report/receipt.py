"""The receipt: what came in, what went out, what it cost; an error when it does not add up. Pure.

    rows in        = complete + review + withheld + failed + skipped + pending
    answers wanted = accepted + human + kept + review + withheld + not_found + invalid + failed + skipped
                     + pending
    runs paid      = sum over processors; dollars = sum over processors of runs, each at the price it was asked at

`to_text` is what the command prints, `to_json` what the manifest stores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from enrich.errors import ReceiptError
from enrich.text.figures import count_text, counted, usd_and_unpriced, usd_each_text, usd_text
from enrich.text.hostile import clean

if TYPE_CHECKING:
    from enrich.spec import Json

__all__ = [
    "ANSWER_STATUSES",
    "DOUBTFUL",
    "ROW_STATUSES",
    "DoubleCharge",
    "Onward",
    "Receipt",
    "by_question",
    "charged_text",
    "next_steps",
]

ROW_STATUSES: Final = ("complete", "review", "withheld", "failed", "skipped", "pending")
ANSWER_STATUSES: Final = (
    "accepted",
    "human",
    "kept",
    "review",
    "withheld",
    "not_found",
    "invalid",
    "failed",
    "skipped",
    "pending",
)

DOUBTFUL: Final = ("review", "withheld", "invalid")  # answers with a line in the review file

_GUTTER: Final = "    "
_Line = tuple[str, str, str]  # label, number, dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleCharge:
    """One question that the service ran, and billed, more than once; `usd` is what was paid too much."""

    task_key: str
    run_ids: tuple[str, ...]  # the one that counts is among them, where it is known
    usd: Decimal
    runs: int = 1  # that were too many
    unpriced: int = 0  # of them, those whose price is not known: they are not in `usd`

    def to_text(self) -> str:
        """One line."""
        return (
            f"{usd_and_unpriced(self.usd, self.unpriced)} too much for task {self.task_key}: {', '.join(self.run_ids)}"
        )

    def and_more(self, other: DoubleCharge) -> DoubleCharge:
        """This and another charge for the same question as one."""
        run_ids = tuple(dict.fromkeys((*self.run_ids, *other.run_ids)))
        return replace(
            self,
            run_ids=run_ids,
            usd=self.usd + other.usd,
            runs=self.runs + other.runs,
            unpriced=self.unpriced + other.unpriced,
        )

    def to_json(self) -> dict[str, Json]:
        """The charge as plain JSON."""
        charge: dict[str, Json] = {"task_key": self.task_key, "run_ids": list(self.run_ids), "usd": float(self.usd)}
        return charge | ({"runs_unpriced": self.unpriced} if self.unpriced else {})


def by_question(charges: Iterable[DoubleCharge]) -> tuple[DoubleCharge, ...]:
    """Double charges with one entry a question, however many runs of it were paid too much."""
    merged: dict[str, DoubleCharge] = {}
    for one in charges:
        other = merged.get(one.task_key)
        merged[one.task_key] = one if other is None else other.and_more(one)
    return tuple(merged.values())


def charged_text(charges: Sequence[DoubleCharge]) -> str:
    """What double charges add up to: runs, questions and dollars."""
    runs = counted(sum(charge.runs for charge in charges), "run")
    questions = counted(len({charge.task_key for charge in charges}), "question that was", "questions that were")
    usd = sum((charge.usd for charge in charges), start=Decimal(0))
    money = usd_and_unpriced(usd, sum(charge.unpriced for charge in charges))
    return f"{runs} paid for {questions} paid already, {money} too much"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The books of one run of the command. Money in US dollars."""

    rows_in: int
    rows: Mapping[str, int]  # by row status
    answers_wanted: int
    answers: Mapping[str, int]  # by answer status
    runs_paid: int
    usd: Decimal
    runs_by_processor: Mapping[str, int]  # of the runs paid
    usd_by_processor: Mapping[str, Decimal]  # each run at the price it was asked at
    distinct_inputs: int
    runs_submitted: int
    runs_failed: int  # not billed
    usd_at_stake: Decimal  # in flight, or sent with an unknown outcome
    table_runs_paid: int = 0  # so far, for the answers of this table, by all commands
    table_usd: Decimal = Decimal(0)
    ledger_runs_paid: int = 0  # by all commands that ever used this ledger
    ledger_usd: Decimal = Decimal(0)
    runs_unpriced: int = 0  # of the runs paid, those whose price is not known: they are in no sum of dollars
    table_runs_unpriced: int = 0
    ledger_runs_unpriced: int = 0
    double_charges: tuple[DoubleCharge, ...] = ()

    @property
    def accepted(self) -> int:
        """Answers to rely on: accepted, or decided by a person."""
        return sum(self.answers.get(status, 0) for status in ("accepted", "human"))

    @property
    def usd_per_accepted(self) -> Decimal | None:
        """What the table has cost so far for each accepted answer; None while there is none."""
        return self.table_usd / self.accepted if self.accepted else None

    def so_far_text(self) -> str:
        """What the table has cost so far, by all commands: `$19.025 for 446 runs, $0.011 per accepted answer`."""
        each = self.usd_per_accepted
        share = "" if each is None else f", {usd_each_text(each)} per accepted answer"
        unpriced = _unpriced(self.table_runs_unpriced)
        return f"{usd_text(self.table_usd)} for {counted(self.table_runs_paid, 'run')}{unpriced}{share}"

    def check(self) -> None:
        """Raise ReceiptError, naming every sum that is wrong."""
        faults = [*self._wrong_sums(), *self._wrong_dollars()]
        if faults:
            raise ReceiptError(
                "the receipt does not add up: " + "; ".join(faults) + ". This is a fault of ours: nothing is lost, "
                "every result is in the ledger"
            )

    def to_text(
        self,
        width: int = 80,
        *,
        title: str = "",
        files: Mapping[str, str] | None = None,
        steps: Sequence[str] = (),
    ) -> str:
        """The printed receipt, at most `width` wide where names allow it.

        `files` maps each file written to what it is; `steps` says what to do next (see `next_steps`).
        """
        parts = [[clean(title)]] if title else []
        parts += [self._books(width), self._notes()]
        if self.double_charges:
            parts.append(self._double_charges())
        if files:
            parts.append(["files", *_aligned(files)])
        if steps:
            parts.append(["next", *(f"  {clean(step)}" for step in steps)])
        return "\n\n".join("\n".join(line.rstrip() for line in part) for part in parts) + "\n"

    def to_json(self) -> dict[str, Json]:
        """The receipt as plain JSON; dollars are numbers, exact to the tenth of a cent."""
        return {
            "rows_in": self.rows_in,
            "rows": {status: self.rows.get(status, 0) for status in ROW_STATUSES},
            "answers_wanted": self.answers_wanted,
            "answers": {status: self.answers.get(status, 0) for status in ANSWER_STATUSES},
            "distinct_inputs": self.distinct_inputs,
            "runs_submitted": self.runs_submitted,
            "runs_failed": self.runs_failed,
            "runs_paid": self.runs_paid,
            "runs_by_processor": dict(self.runs_by_processor),
            "usd": float(self.usd),
            "usd_at_stake": float(self.usd_at_stake),
            "table_runs_paid": self.table_runs_paid,
            "table_usd": float(self.table_usd),
            "usd_per_accepted": None if self.usd_per_accepted is None else round(float(self.usd_per_accepted), 6),
            "ledger_runs_paid": self.ledger_runs_paid,
            "ledger_usd": float(self.ledger_usd),
            "runs_unpriced": self.runs_unpriced,
            "table_runs_unpriced": self.table_runs_unpriced,
            "ledger_runs_unpriced": self.ledger_runs_unpriced,
            "double_charges": [charge.to_json() for charge in self.double_charges],
        }

    def _wrong_sums(self) -> list[str]:
        sums: tuple[tuple[str, int, Mapping[str, int], Sequence[str] | None], ...] = (
            ("rows in", self.rows_in, self.rows, ROW_STATUSES),
            ("answers wanted", self.answers_wanted, self.answers, ANSWER_STATUSES),
            ("runs paid", self.runs_paid, self.runs_by_processor, None),
        )
        faults = []
        for name, total, parts, allowed in sums:
            if sum(parts.values()) != total or min(parts.values(), default=0) < 0:
                listed = " + ".join(f"{part} {number}" for part, number in parts.items()) or "nothing"
                faults.append(f"{name} {total}, but {listed} = {sum(parts.values())}")
            if allowed is not None and not parts.keys() <= set(allowed):
                faults.append(f"{name}: no such status: {', '.join(sorted(parts.keys() - set(allowed)))}")
        return faults

    def _wrong_dollars(self) -> list[str]:
        expected = sum(self.usd_by_processor.values(), start=Decimal(0))
        return [] if expected == self.usd else [f"dollars {self.usd}, but the runs paid come to {expected}"]

    def _books(self, width: int) -> list[str]:
        blocks = [
            _block("rows in", self.rows_in, self.rows, ROW_STATUSES),
            _block("answers wanted", self.answers_wanted, self.answers, ANSWER_STATUSES),
            _runs_block(self),
        ]
        return _side_by_side(blocks, width)

    def _notes(self) -> list[str]:
        lines = [
            f"{counted(self.distinct_inputs, 'distinct input')}; "
            f"{counted(self.runs_submitted, 'run')} submitted, "
            f"{count_text(self.runs_failed)} failed (not billed)"
        ]
        if self.table_runs_paid:
            lines.append(f"this table so far: {self.so_far_text()}")
        if self.ledger_runs_paid > max(self.runs_paid, self.table_runs_paid):
            lines.append(
                f"with earlier commands the ledger has {counted(self.ledger_runs_paid, 'paid run')}, "
                f"{usd_text(self.ledger_usd)} in all{_unpriced(self.ledger_runs_unpriced)}"
            )
        if self.runs_unpriced:
            lines.append(f"of the runs paid, {count_text(self.runs_unpriced)} at a price that is not known any more")
        if self.usd_at_stake:
            lines.append(f"{usd_text(self.usd_at_stake)} at stake: sent, and not answered yet")
        return lines

    def _double_charges(self) -> list[str]:
        lines = {
            f"task {charge.task_key}": f"{usd_and_unpriced(charge.usd, charge.unpriced)}  {', '.join(charge.run_ids)}"
            for charge in by_question(self.double_charges)
        }
        return [f"DOUBLE CHARGE: {charged_text(self.double_charges)}", *_aligned(lines)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """What can follow a command: complete commands in backquotes, or words; empty where there is no such thing."""

    again: str = "the same command"
    retry: str = ""  # asks again what failed
    rest: str = ""  # asks about the rows that were not chosen
    review: str = ""  # takes the decisions of people
    price: str = ""  # says what the service would cost, after a rehearsal


def next_steps(
    receipt: Receipt, onward: Onward, *, review_file: str = "", lines: int = 0, stopped: bool = False
) -> tuple[str, ...]:
    """What a person can do now, in the order in which it matters.

    `stopped` says whether the run ended early; `review_file` has so many `lines`, each for one doubtful answer of an
    input.
    """
    steps = []
    pending, failed = receipt.rows.get("pending", 0), receipt.rows.get("failed", 0)
    if pending:
        steps.append(f"{onward.again} goes on with {counted(pending, 'pending row')}; nothing is paid for twice")
    elif stopped:
        steps.append(f"{onward.again} goes on; nothing is paid for twice")
    if lines and review_file:
        steps.append(f"{counted(lines, 'line')} of {review_file} {_wait_text(receipt, lines)}")
        steps.append(f"{onward.review} takes the decisions, and {onward.again} writes them into the table")
    if failed:
        steps.append(f"{counted(failed, 'row')} failed: the column enrich_detail says why")
    if failed and onward.retry:
        steps.append(f"{onward.retry} asks them again without waiting")
    if onward.rest and not (pending or stopped):
        steps.append(f"{onward.rest} asks about the rows that were not chosen")
    if onward.price and not (pending or stopped):
        steps.append(f"{onward.price} says what the service itself would cost")
    return tuple(steps)


def _wait_text(receipt: Receipt, lines: int) -> str:
    """`wait for a decision, for 82 answers: 63 review, 19 withheld; rows with the same input share a line`."""
    doubtful = {status: receipt.answers.get(status, 0) for status in DOUBTFUL}
    answers = sum(doubtful.values())
    parts = ", ".join(f"{count_text(number)} {status}" for status, number in doubtful.items() if number)
    shared = "; rows with the same input share a line" if answers > lines else ""
    verb = "waits" if lines == 1 else "wait"
    return f"{verb} for a decision, for {counted(answers, 'answer')}: {parts}{shared}"


def _unpriced(runs: int) -> str:
    """What stands behind a count of paid runs whose price is not known of all of them."""
    return f" ({count_text(runs)} of them at a price that is not known any more)" if runs else ""


def _block(title: str, total: int, parts: Mapping[str, int], order: Sequence[str]) -> list[_Line]:
    lines = [(f"  {status}", count_text(parts[status]), "") for status in order if parts.get(status)]
    return [(title, count_text(total), ""), *lines]


def _runs_block(receipt: Receipt) -> list[_Line]:
    lines = [
        (f"  {clean(name)}", count_text(runs), usd_text(receipt.usd_by_processor.get(name, Decimal(0))))
        for name, runs in receipt.runs_by_processor.items()
    ]
    return [("runs paid", count_text(receipt.runs_paid), usd_text(receipt.usd)), *lines]


def _side_by_side(blocks: Sequence[Sequence[_Line]], width: int) -> list[str]:
    columns = [_columns(block) for block in blocks]
    if sum(len(column[0]) for column in columns) + len(_GUTTER) * (len(columns) - 1) > width:
        return [line for column in columns for line in ("", *column)][1:]
    blanks = [" " * len(column[0]) for column in columns]
    return [
        _GUTTER.join(cell or blank for cell, blank in zip(cells, blanks, strict=True))
        for cells in zip_longest(*columns, fillvalue="")
    ]


def _columns(block: Sequence[_Line]) -> list[str]:
    labels, numbers, dollars = (max(len(line[part]) for line in block) for part in range(3))
    gap = "  " if dollars else ""
    return [f"{label:<{labels}}  {number:>{numbers}}{gap}{usd:>{dollars}}" for label, number, usd in block]


def _aligned(lines: Mapping[str, str]) -> list[str]:
    cleaned = {clean(name): clean(text) for name, text in lines.items()}
    widest = max(map(len, cleaned), default=0)
    return [f"  {name:<{widest}}  {text}" for name, text in cleaned.items()]
