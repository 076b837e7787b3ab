"""Ours against PyTorch, and against the same model without each of our measures, in one table.

    python -m benchmarks.run

matmul    What the machine multiplies at most: the peak that all others are held against.
pair      A photo and a painting encoded, given each other's statistics, decoded.
photos    A folder of photos in one style, from files to files.
training  A step of the decoder's training.
large     Time and memory of large photos, from file to file.

Every contender has a process of its own, and they take turns. Times are medians after a first turn
that does not count; products of matrices are at their best. Memory is the highest above that of the
import. That all compute the same on the same random weights is checked before the clock starts.
Needs the extra `bench`.
"""

import contextlib
import dataclasses
import json
import os
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np

from benchmarks import parser_of
from benchmarks.measure import Job, Worker, interleaved
from benchmarks.parts import PARTS, Contender, Part, Row, smaller


def compare(part: Part, folder: Path, runs: int, **pictures: str) -> list[Row]:
    """Measure all contenders of a part in turns."""
    work = {c: (c.size or part.size, c.count or part.count) for c in part.contenders}
    jobs = {
        (size, count): Job.create(folder / f"{count}x{size}", size, count, **pictures)
        for size, count in set(work.values())
    }
    with contextlib.ExitStack() as stack:
        workers = {
            c: stack.enter_context(Worker(c.module, c.run, jobs[work[c]])) for c in part.contenders
        }
        answers = {c: [worker(save=True)] for c, worker in workers.items()}
        well = {c: worker for c, worker in workers.items() if "fault" not in answers[c][0]}
        check_same(part, {c: np.load(worker.path) for c, worker in well.items()})
        rounds = min(runs, part.most) - (not part.warm_up)
        for c, found in interleaved(well, rounds).items():
            answers[c] += found
    return rows_of(part, answers)


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
    for c, found in answers.items():
        size, count = c.size or part.size, c.count or part.count
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
        **{name: metadata.version(name) for name in ("tensorflow", "keras", "torch", "numpy")},
    }


def main() -> None:
    """Print the table, part by part, and write the JSON."""
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
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs is 1 or more")

    found = {"machine": machine(), "peaks": {}, "rows": []}
    print(", ".join(f"{name} {value}" for name, value in found["machine"].items()), end="\n\n")
    print(HEAD, flush=True)
    # The matmul's peak is what all others need.
    for name in dict.fromkeys(("matmul", *options.parts)):
        part, runs = PARTS[name], options.runs
        if options.quick:
            part, runs = smaller(part), 1
        with tempfile.TemporaryDirectory() as folder:
            rows = compare(part, Path(folder), runs, photos=options.photos, style=options.style)
        found["peaks"] = found["peaks"] or peaks_of(rows)
        print(table_of(part, rows, found["peaks"], bars=not options.quick), flush=True)
        found["rows"] += records_of(name, part, rows, found["peaks"])
    Path(options.json).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    if not options.quick:
        met = [bar["met"] for row in found["rows"] for bar in row["bars"]]
        print(f"\n{sum(met)} of {len(met)} bars are met; all figures are in {options.json}.")


if __name__ == "__main__":
    main()
