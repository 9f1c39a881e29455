"""Effects and their results as lines of a trace: short, and the same in every process."""

from typing import Any

from enrich.protocol.effects import (
    AddRuns,
    Entrust,
    FollowEvents,
    Now,
    RecordExtraOutcome,
    RecordIntent,
    RecordOutcomes,
)
from enrich.protocol.replies import Followed, Listing, RunsRead
from enrich.records import OpenSubmission

_LONGEST = 300


def said(effect: Any) -> str:
    """What a protocol asks for; empty for what would only fill the trace."""
    match effect:
        case Now():
            return ""
        case FollowEvents(group_id, cursor, _, awaited):
            return f"FollowEvents of {group_id} after {cursor} for {sorted(awaited)}"
        case Entrust():
            return "Entrust"
        case AddRuns(group_id=group_id):
            return f"AddRuns to {group_id}"
        case RecordIntent(intent=intent):
            return f"RecordIntent of {len(intent.tasks)} runs for {intent.group_id}"
        case RecordOutcomes(submission_id=number, outcomes=outcomes):
            ends = [f"{one.run_id} {'completed' if one.completed else 'failed'}" for one in outcomes]
            return f"RecordOutcomes of submission {number}: {', '.join(ends)}"
        case RecordExtraOutcome(run_id=run_id):
            return f"RecordExtraOutcome of {run_id}"
        case _:
            return _cut(str(effect))


def shown(result: Any) -> str:
    """What it is given; empty for nothing."""
    match result:
        case None:
            return ""
        case Exception():
            return f"  -> {result!r}"
        case Followed():
            told = f"ended {sorted(result.ended)}, active {result.active}, {result.count_ended} counted as ended"
            return f"  -> {told}{', failed' if result.failed else ''}{'' if result.told else ', nothing came'}"
        case Listing():
            runs = [run.run_id for run in result.runs]
            return f"  -> {result.before} counted, listed {runs}, {result.after} counted"
        case RunsRead():
            runs = [f"{run.run_id} {run.status}{'' if run.has_output else ' (no output)'}" for run in result.runs]
            return f"  -> {', '.join(runs) or 'nothing'}, {'at its end' if result.reader is None else 'more to come'}"
        case OpenSubmission():
            states = " ".join(state.name for state in result.states)
            return f"  -> submission {result.submission_id}, {result.state}: {states}, tied {result.tied}"
        case _ if hasattr(result, "boot"):
            return ""
        case _:
            return _cut(f"  -> {result}")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
