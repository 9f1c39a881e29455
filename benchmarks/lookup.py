"""Single look-ups in a ledger at rest: one input's result, wherever it is.

python -m benchmarks.lookup LEDGER
"""

import json
import random
import sqlite3
import statistics
import sys
import time
from contextlib import closing
from pathlib import Path

from enrich.ledger.store import Ledger
from enrich.planning.results import Results

LOOKUPS = 300


def main(path: Path) -> None:
    """Prints the median and the slowest microseconds of a look-up as JSON."""
    with closing(sqlite3.connect(path)) as plain:
        (inputs,) = plain.execute("SELECT count(*) FROM run").fetchone()
        (submissions,) = plain.execute("SELECT max(submission_id) FROM submission").fetchone()
        chance = random.Random(1)
        keys = [
            row[0]
            for _ in range(LOOKUPS)
            if (
                row := plain.execute(
                    "SELECT input_key FROM run WHERE submission_id = ? AND n = ?",
                    (chance.randrange(1, submissions + 1), chance.randrange(min(inputs, 1000))),
                ).fetchone()
            )
        ]
    times = []
    with closing(Ledger.reader(path)) as ledger:
        for key in keys:
            began = time.perf_counter()
            results = Results(ledger)
            for held in ledger.held([key])[key]:
                results(held)
            times.append((time.perf_counter() - began) * 1e6)
    print(json.dumps({"lookup_us": statistics.median(times), "lookup_worst_us": max(times)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
