"""Draw mutants by a seed and try them: python -m tests.mutants --help"""

import argparse
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from . import judged
from .choice import record, recorded
from .sites import Mutant, mutants_of
from .tree import trees
from .trying import Tried, try_out

ROOT = Path(__file__).parents[2]
MAP = Path(".mutants") / "tests.json"

# What costs money or data.
DEFAULT = (
    *("enrich/protocol", "enrich/asking", "enrich/ledger", "enrich/planning", "enrich/inputs", "enrich/answers"),
    *("enrich/outputs", "enrich/upkeep", "enrich/host/files.py", "enrich/spec/canonical.py", "enrich/spec/identity.py"),
    *("enrich/spec/money.py", "enrich/config/gate.py", "enrich/records.py"),
)


def main(argv: Sequence[str] | None = None, *, root: Path = ROOT) -> int:
    """0 when all are killed or judged, 1 when one survives, 2 when it cannot be told."""
    options = _options(argv)
    begun = time.monotonic()
    drawn = draw(root, options.modules or DEFAULT, options.seed, options.count)
    harmless = judged.judged(judged.README.read_text())
    known = [mutant for mutant in drawn if any(one.is_of(mutant) for one in harmless)]
    asked = [mutant for mutant in drawn if mutant not in known]
    say(f"{len(drawn)} mutants drawn with seed {options.seed}, {len(known)} of them judged before")
    if options.list:
        print(*(f"{m.file}:{m.line} {m.operator}: {m.before}  →  {m.after}" for m in drawn), sep="\n")
        return 0
    tried: list[Tried] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with trees(root, options.jobs) as places:
            if options.record:
                (root / MAP).unlink(missing_ok=True)
            record(places[0], root / MAP, jobs=options.jobs, say=say)
            tests = recorded(root / MAP)
            if tests.broken:
                say(f"{len(tests.broken)} tests fail without a mutant and are left out: {', '.join(tests.broken)}")
            tried.extend(try_out(asked, tests, places, say))
    except KeyboardInterrupt:
        say(f"interrupted; {len(asked) - len(tried)} mutants are not known")
    survivors = [one.mutant for one in tried if one.killed_by is None]
    print(report(tried, known))
    say(f"{time.monotonic() - begun:.0f} s")
    if options.json is not None:
        options.json.write_text(json.dumps([_record(one) for one in tried], indent=1, ensure_ascii=False))
    return 2 if len(tried) < len(asked) else int(bool(survivors))


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=sys.modules[__package__].__doc__)
    parser.add_argument("--seed", type=int, default=0, help="which mutants are drawn (default: %(default)s)")
    parser.add_argument("--count", type=int, default=50, help="how many (default: %(default)s)")
    parser.add_argument(
        "--modules", nargs="+", metavar="M", help="enrich.join, a file or a folder (default: see README)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: %(default)s)")
    parser.add_argument("--record", action="store_true", help="see again what all tests enter")
    parser.add_argument("--list", action="store_true", help="only show what is drawn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    return parser.parse_args(argv)


def draw(root: Path, modules: Sequence[str], seed: int, count: int) -> list[Mutant]:
    """So many mutants of these modules, each as likely as any other; the same as long as the source is the same."""
    sources = {str(file.relative_to(root)): file for name in modules for file in files(root, name)}
    sites = [mutant for _, file in sorted(sources.items()) for mutant in mutants_of(root, file)]
    random.Random(seed).shuffle(sites)
    valid = (mutant for mutant in sites if mutant.is_valid(sources[mutant.file].read_bytes()))
    return list(islice(valid, count))


def files(root: Path, name: str) -> list[Path]:
    """The files of a module or a package, by its dotted name or by its path."""
    path = root / name
    if not path.exists():
        path = root / name.replace(".", "/")
    if path.is_dir():
        return sorted(path.rglob("*.py"))
    if not path.suffix:
        path = path.with_suffix(".py")
    if not path.is_file():
        raise SystemExit(f"{name}: no such module, file or folder")
    return [path]


def report(tried: Sequence[Tried], known: Sequence[Mutant]) -> str:
    """Markdown: the survivors as rows to be judged, and the score of each module."""
    survivors = sorted(one.mutant for one in tried if one.killed_by is None)
    lines = [f"{m.file}:{m.line} {m.operator}\n{judged.row(m)}" for m in survivors]
    lines += ["", "| module | killed | survived | judged | score |", "| --- | --- | --- | --- | --- |"]
    killed = Counter(one.mutant.file for one in tried if one.killed_by is not None)
    alive, harmless = Counter(m.file for m in survivors), Counter(m.file for m in known)
    rows = [(file, killed[file], alive[file], harmless[file]) for file in sorted({*killed, *alive, *harmless})]
    rows.append(("all", killed.total(), alive.total(), harmless.total()))
    for file, good, bad, judged_before in rows:
        score = f"{100 * good / (good + bad):.0f}%" if good + bad else "-"
        lines.append(f"| {file} | {good} | {bad} | {judged_before} | {score} |")
    return "\n".join(lines)


def _record(one: Tried) -> dict[str, object]:
    mutant = one.mutant
    return {
        "file": mutant.file,
        "line": mutant.line,
        "function": mutant.function,
        "operator": mutant.operator,
        "before": mutant.before,
        "after": mutant.after,
        "killed_by": one.killed_by,
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
