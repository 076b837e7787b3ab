"""Ours against PyTorch, and against the same model without each of our measures, in one table.

    python -m benchmarks.run

matmul    What the machine multiplies at most, by the library that is best at it: the peak that
          all others are held against.
pair      A photo and a painting encoded, given each other's statistics, decoded.
photos    A folder of photos in one style, from files to files.
training  A step of the decoder's training.
large     Time and memory of large photos, from file to file.

Every contender has a process of its own, and they take turns. Times are medians after a first turn
that does not count; products of matrices are at their best. Memory is the highest above that of the
import. That all compute the same on the same random weights is checked before the clock starts.
Every turn is told when it is measured, with the time left; one whose turns took two minutes has no
more of them. After Ctrl-C table and JSON have what was measured. Needs the extra `bench`.
"""

import contextlib
import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

import numpy as np

from benchmarks import parser_of
from benchmarks.measure import Job, Worker, interleaved
from benchmarks.parts import PARTS, Contender, Part, Row, smaller
from tf_style.cli.bar import time_left
from tf_style.files import write_atomically

# A contender whose turns took so many seconds has no more of them.
ENOUGH = 120

# Modules of contenders that need a library that may not be installed.
OPTIONAL = {"torch_adain": "torch"}

Answers = dict[Contender, list[dict]]


def compare(
    part: Part, folder: Path, runs: int, **pictures: str
) -> Iterator[tuple[Contender, Answers]]:
    """Measure all contenders of a part in turns.

    Yields:
        After every turn whose it was, and what all have answered so far.
    """
    work = {c: part.work_of(c) for c in part.contenders}
    jobs = {
        (size, count): Job.create(folder / f"{count}x{size}", size, count, **pictures)
        for size, count in set(work.values())
    }
    with contextlib.ExitStack() as stack:
        workers = {
            c: stack.enter_context(Worker(c.module, c.run, jobs[work[c]])) for c in part.contenders
        }
        answers = {c: [] for c in part.contenders}
        for c, answer in interleaved(
            workers,
            lambda c: workers[c](save=not answers[c]),
            lambda c: turns_left(part, runs, answers[c]),
        ):
            answers[c].append(answer)
            yield c, answers
            if all(len(found) == 1 for found in answers.values()):
                well = [c for c, [first] in answers.items() if "fault" not in first]
                check_same(part, {c: np.load(workers[c].path) for c in well})


def turns_left(part: Part, runs: int, found: list[dict]) -> int:
    """Turns that a contender still has, by what it has answered.

    Example:
        >>> [turns_left(PARTS["pair"], 5, [{"seconds": 50}] * n) for n in range(5)]
        [6, 5, 4, 0, 0]
    """
    if found and "fault" in found[0]:
        return 0
    if len(found) > part.warm_up and sum(x["seconds"] for x in found) > ENOUGH:
        return 0
    return min(runs, part.most) + part.warm_up - len(found)


def seconds_left(parts: list[Part], runs: int, answers: Answers, passed: float) -> float:
    """Estimate the seconds that the rest of the measurements will take.

    A turn takes what the contender's last took; its first what its FLOPs take at the rate of all so
    far; what a part takes besides, such as its processes' start, is the mean of those begun.

    Args:
        parts: All of the run.
        runs: Turns that count.
        answers: Of all parts, so far.
        passed: Seconds so far.
    """
    flops = {c: part.flops(c, *part.work_of(c)) for part in parts for c in part.contenders}
    done = sum(len(found) * flops[c] for c, found in answers.items())
    busy = sum(x.get("seconds", 0.0) for found in answers.values() for x in found)
    begun = sum(any(c in answers for c in part.contenders) for part in parts)
    total = (passed - busy) * (len(parts) - begun) / begun
    for part in parts:
        for c in part.contenders:
            found = answers.get(c, [])
            if left := turns_left(part, runs, found):
                each = found[-1]["seconds"] if found else flops[c] * busy / done
                total += left * each
    return total


def measured(part: Part, answers: Answers) -> Part:
    """The part with the contenders of which something can be told: a turn that counts, a fault."""
    told = [
        c for c, found in answers.items()
        if len(found) > part.warm_up or (found and "fault" in found[0])
    ]  # fmt: skip
    return dataclasses.replace(part, contenders=tuple(told))


def installed(part: Part) -> Part:
    """The part without the contenders whose library is not installed."""
    there = (c for c in part.contenders if util.find_spec(OPTIONAL.get(c.module, "numpy")))
    return dataclasses.replace(part, contenders=tuple(there))


def check_same(part: Part, results: dict[Contender, np.ndarray]) -> None:
    """All must have made the same picture, or come to the same loss.

    Raises:
        RuntimeError: One has not.
    """
    ports = [c for c in results if (c.module, c.dtype) == ("torch_adain", "float32")]
    for c, result in results.items():
        reference = results[(ports or list(results))[0]].astype("float64")
        if result.shape != reference.shape:
            continue  # Of another size.
        error = np.abs(result - reference)
        if result.ndim == 0:
            error *= 100 / abs(reference)
        error = error.max() if c.dtype == "float32" else error.mean()
        if not error <= part.tolerance:
            raise RuntimeError(
                f"{part.title}: {c.label} is {error:.3g} off, more than {part.tolerance:.3g}."
            )


def rows_of(part: Part, answers: dict[Contender, list[dict]]) -> list[Row]:
    """The rows of a part from what its contenders answered, the first turn included."""
    rows = []
    for c in part.contenders:
        found, (size, count) = answers[c], part.work_of(c)
        label, fault = c.label.format(size=size, count=count), found[0].get("fault", "")
        row = Row(label, size, c.dtype, pixels=count * size**2, fault=fault)
        if not fault:
            runs = tuple(x["seconds"] for x in found[part.warm_up :])
            row = dataclasses.replace(
                row,
                runs=runs,
                seconds=part.typical(runs),
                peak=max(x["peak"] for x in found),
                flops=part.flops(c, size, count),
            )
        first = rows[0] if rows else row
        time = row.seconds / first.seconds
        if part.per_pixel:
            time *= first.pixels / row.pixels
        rows.append(dataclasses.replace(row, time=time, memory=row.peak / first.peak))
    return rows


HEAD = """\
| | seconds | ÷ ours | MB | ÷ ours | of matmul | bar |
|---|---:|---:|---:|---:|---:|---|"""


def table_of(part: Part, rows: list[Row], peaks: dict[str, float], bars: bool = True) -> str:
    """The lines of a part in the table.

    Args:
        part: What was compared.
        rows: What was found, in the order of the part's contenders.
        peaks: FLOPs a second of a product of matrices, by dtype.
        bars: Whether they are judged.
    """
    lines = [f"| **{part.title.format(size=part.size, count=part.count)}** | | | | | | |"]
    for c, row in zip(part.contenders, rows, strict=True):
        if row.fault:
            lines.append(
                f"| {row.label} | {row.fault} | | | | | {'✗' if bars and c.bars else ''} |"
            )
            continue
        share = row.flops / row.seconds / peaks[row.dtype]
        figures = f"{row.seconds:.3g} | {row.time:.2f} | {row.peak / 1e6:.0f} | {row.memory:.2f}"
        judged = "; ".join(bar.judged(row, rows) for bar in c.bars if bars)
        lines.append(f"| {row.label} | {figures} | {share:.0%} | {judged} |")
    return "\n".join(lines)


def peaks_of(rows: list[Row]) -> dict[str, float]:
    """The best FLOPs a second by dtype, whosever they are."""
    rates = {}
    for row in rows:
        rates[row.dtype] = max(rates.get(row.dtype, 0.0), row.flops / row.seconds)
    return rates


def records_of(name: str, part: Part, rows: list[Row], peaks: dict[str, float]) -> list[dict]:
    """The rows as they go into the JSON, with their bars; what was not measured is null."""
    records = []
    for c, row in zip(part.contenders, rows, strict=True):
        rate = row.flops / row.seconds
        record = {"part": name} | dataclasses.asdict(row)
        record |= {"flops_per_s": rate, "of_matmul": rate / peaks[row.dtype], "bars": []}
        for bar in c.bars:
            fields = {field: getattr(bar, field) for field in ("name", "limit", "at_least")}
            fields |= {"figure": bar.figure(row, rows), "met": bar.met(row, rows)}
            record["bars"].append(fields)
        records.append(record)
    # NaN is no JSON.
    return json.loads(json.dumps(records), parse_constant=lambda name: None)


def machine() -> dict[str, str | int | float | bool]:
    """What it was measured on."""
    try:
        fields = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines()]
        cpu = {field[0].strip(): field[1].strip() for field in fields if len(field) == 2}
    except OSError:
        cpu = {}
    return {
        "processor": cpu.get("model name", "unknown"),
        "avx512_bf16": "avx512_bf16" in cpu.get("flags", "").split(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        **{
            name: metadata.version(name)
            for name in ("tensorflow", "keras", "torch", "numpy")
            if util.find_spec(name)
        },
    }


def main(argv: list[str] | None = None) -> int:
    """Print the table, part by part, write the JSON, and return the exit code."""
    parser = parser_of("run", __doc__)
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="which [all]")
    add("--runs", type=int, default=5, help="turns that count; photos at most 3, large 2 [5]")
    add("--quick", action="store_true",
        help="a quarter of sides and numbers, one turn, no bars: to see that it works")  # fmt: skip
    add(
        "--json",
        default="benchmarks/results.json",
        help="where all figures go [benchmarks/results.json]",
    )
    add("--photos", default="examples/content", help="a folder of photos")
    add("--style", default="examples/styles/scream.jpg", help="the painting")
    options = parser.parse_args(argv)
    if options.runs < 1:
        parser.error("--runs is 1 or more")

    # The matmul's peak is what all others need.
    names = dict.fromkeys(("matmul", *options.parts))
    wanted = {name: installed(smaller(PARTS[name]) if options.quick else PARTS[name])
              for name in names}  # fmt: skip
    found = {"machine": machine(), "peaks": {}, "rows": []}
    print(", ".join(f"{name} {value}" for name, value in found["machine"].items()), end="\n\n")
    print(HEAD, flush=True)
    code = 0
    try:
        measure_all(wanted, 1 if options.quick else options.runs, found, options)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    finally:
        write_atomically(options.json, (json.dumps(found, indent=1) + "\n").encode())
    if code:
        print(f"\nstopped; what was measured until then is in {options.json}.")
    elif not options.quick:
        met = [bar["met"] for row in found["rows"] for bar in row["bars"]]
        print(f"\n{sum(met)} of {len(met)} bars are met; all figures are in {options.json}.")
    return code


def measure_all(wanted: dict[str, Part], runs: int, found: dict, options) -> None:
    """Measure part by part, tell every turn, and print and keep the rows, also of a part cut short.

    Args:
        wanted: The parts by name.
        runs: Turns that count.
        found: Where peaks and rows go.
        options: Of the command line.
    """
    began, answers = time.monotonic(), {}
    for name, part in wanted.items():
        now = {}
        try:
            with (
                tempfile.TemporaryDirectory() as folder,
                contextlib.closing(
                    compare(part, Path(folder), runs, photos=options.photos, style=options.style)
                ) as turns,
            ):
                for c, now in turns:
                    passed = time.monotonic() - began
                    left = seconds_left(list(wanted.values()), runs, answers | now, passed)
                    print(told(name, part, runs, c, now[c], left), file=sys.stderr, flush=True)
        finally:
            answers |= now
            if (done := measured(part, now)).contenders:
                rows = rows_of(done, now)
                found["peaks"] = found["peaks"] or peaks_of(rows)
                print(table_of(done, rows, found["peaks"], bars=not options.quick), flush=True)
                found["rows"] += records_of(name, done, rows, found["peaks"])


def told(name: str, part: Part, runs: int, c: Contender, found: list[dict], left: float) -> str:
    """A line on the turn that a contender has just had."""
    size, count = part.work_of(c)
    what = found[-1].get("fault") or f"{found[-1]['seconds']:.3g} s"
    turns = len(found) + turns_left(part, runs, found)
    label = c.label.format(size=size, count=count)
    return f"{name}: {label}: {what}, turn {len(found)} of {turns}, {time_left(left)}"


if __name__ == "__main__":
    raise SystemExit(main())
