"""The command: `python -m benchmarks`. See docs/performance.md."""

import argparse
import json
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks import cases, official
from benchmarks.cases import Figure

_COLUMNS = (
    ("wall_s", "wall s", "{:.1f}"),
    ("rows_s", "rows/s", "{:,.0f}"),
    ("cpu_us_row", "CPU us/row", "{:.0f}"),
    ("peak_mb", "peak MB", "{:.0f}"),
    ("written_mb", "written MB", "{:,.0f}"),
    ("ledger_mb", "ledger MB", "{:,.1f}"),
    ("ledger_over_results", "ledger/results", "{:.2f}"),
    ("read_over_results", "read/results", "{:.2f}"),
    ("fsyncs_batch", "fsyncs/batch", "{:.1f}"),
    ("lookup_us", "look-up us", "{:.0f}"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases, print the table, keep it if asked."""
    options = _options(arguments)
    cli = None if options.without_official else official.find()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="enrich-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    try:
        for figure in _measured(options, folder, cli):
            figures.append(figure)
            told = (f"{name}={value:.4g}" for name, value in figure.values.items() if value)
            print("  ".join([*_label(figure), *told]), file=sys.stderr, flush=True)
            if options.json is not None:
                options.json.write_text(json.dumps(_document(figures), indent=1) + "\n")
    finally:
        if options.folder is None:
            shutil.rmtree(folder)
    print(_table(_medians(figures)))
    for line in _ratios(_medians(figures)):
        print(line)
    if cli is None and not options.without_official:
        print("without the official CLI: pip install 'enrich[bench]', or name its parallel-cli in $PARALLEL_CLI")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure enrich beside the official CLI.")
    parser.add_argument("--short", action="store_true", help="10,000 rows once: under a minute")
    parser.add_argument("--rows", default="10000,100000", help="sizes of the tables (default: %(default)s)")
    parser.add_argument("--formats", default="csv,parquet", help="formats of the tables (default: %(default)s)")
    parser.add_argument("--duplicates", default="0,0.5", help="shares of duplicate rows (default: %(default)s)")
    parser.add_argument("--plan-rows", default="", help="sizes of tables that are only planned")
    parser.add_argument("--repeat", type=int, default=3, help="times each is measured, for a median (default: 3)")
    parser.add_argument("--json", type=Path, help="keep every figure in this file")
    parser.add_argument("--folder", help="where tables and ledgers go (default: a temporary folder)")
    parser.add_argument("--without-official", action="store_true", help="measure enrich alone")
    options = parser.parse_args(arguments)
    if options.short:
        options.rows, options.formats, options.duplicates, options.repeat = "10000", "csv", "0", 1
    return options


def _measured(options: argparse.Namespace, folder: Path, cli: Path | None) -> Iterator[Figure]:
    sizes = [int(size) for size in options.rows.split(",") if size]
    yield from cases.ceiling(folder, min(100_000, max(sizes, default=10_000)))
    for _ in range(options.repeat):
        for size in sizes:
            for kind in options.formats.split(","):
                for share in options.duplicates.split(","):
                    yield from cases.road(folder, f".{kind}", size, float(share), cli)
                yield from cases.planning(folder, f".{kind}", size)
    for size in options.plan_rows.split(","):
        if size:
            yield from cases.planning(folder, ".parquet", int(size))


def _medians(figures: Sequence[Figure]) -> list[Figure]:
    order = {figure.key: place for place, figure in reversed(list(enumerate(figures)))}
    medians = []
    for _, group in groupby(sorted(figures, key=lambda figure: order[figure.key]), key=lambda figure: figure.key):
        same = list(group)
        names = [name for name, value in same[0].values.items() if value is not None]
        values: dict[str, float | None] = {
            name: statistics.median(figure.values[name] or 0.0 for figure in same) for name in names
        }
        first = same[0]
        medians.append(Figure(first.case, first.program, first.table, first.rows, first.duplicates, values))
    return medians


def _ratios(medians: Sequence[Figure]) -> Iterator[str]:
    by_key = {figure.key: figure.values for figure in medians}
    for (case, program, *table), theirs in by_key.items():
        ours = by_key.get((case, "enrich", *table))  # type: ignore[arg-type]
        if program != "official" or ours is None:
            continue
        faster = (ours["rows_s"] or 0) / (theirs["rows_s"] or 1)
        cpu = (ours["cpu_us_row"] or 0) / (theirs["cpu_us_row"] or 1)
        memory = (ours["peak_mb"] or 0) / (theirs["peak_mb"] or 1)
        rows, share = int(table[1]), float(table[2])
        yield (
            f"{rows:,} rows, {share:.0%} duplicates: {faster:.1f} times the rows a second of the official CLI, "
            f"{cpu:.2f} of its CPU a row, {memory:.2f} of its memory"
        )


def _label(figure: Figure) -> list[str]:
    of = [figure.table, f"{figure.rows:,}", f"{figure.duplicates:.0%}"]
    return [figure.case, figure.program, *of]


def _table(medians: Sequence[Figure]) -> str:
    head = ["case", "program", "table", "rows", "dup.", *(title for _, title, _ in _COLUMNS)]
    lines = [head]
    for figure in medians:
        cells = ["" if (value := figure.values.get(name)) is None else form.format(value) for name, _, form in _COLUMNS]
        lines.append([*_label(figure), *cells])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 3 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _document(figures: Sequence[Figure]) -> dict[str, object]:
    return {
        "schema": "enrich.benchmarks/1",
        "machine": {"platform": platform.platform(), "python": platform.python_version()},
        "figures": [
            {
                "case": figure.case,
                "program": figure.program,
                "table": figure.table,
                "rows": figure.rows,
                "duplicates": figure.duplicates,
                **figure.values,
            }
            for figure in figures
        ],
    }


if __name__ == "__main__":
    main()
