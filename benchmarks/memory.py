"""How much memory a picture takes: where the numbers of `tf_style/memory.py` come from.

    python -m benchmarks.memory

Stylises squares of growing sides, each in a process of its own, and fits a line to the peaks
above what the process held before.
"""

import json
import resource
import subprocess
import sys

import numpy as np

SIDES = (256, 512, 768, 1024, 1536, 2048)


def measure(side: int, precision: str) -> dict[str, float]:
    """Peak resident bytes before and after one picture of `side` px, in this process."""
    from tf_style.inference.style_transfer import load

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    stylize = load("adain", precision)
    picture = np.random.default_rng(0).random((side, side, 3), "float32")
    statistics = stylize.encode_style(picture[:64, :64])
    before = peak()
    stylize.transfer(picture, statistics)
    return {"side": side, "before": before, "after": peak()}


def main() -> None:
    """Print a table for each precision, and the line that fits it."""
    for precision in ("float32", "bfloat16"):
        print(f"{precision}\n  side    peak above the process's own    bytes per pixel")
        points = []
        for side in SIDES:
            command = [sys.executable, "-m", "benchmarks.memory", str(side), precision]
            lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found = json.loads(lines.splitlines()[-1])
            taken = found["after"] - found["before"]
            points.append((side**2, taken))
            print(f"  {side:5d}  {taken / 2**20:10.0f} MiB  {taken / side**2:25.0f}", flush=True)
        slope, base = np.polyfit(*np.transpose(points), 1)
        print(f"  fit: {base / 2**20:.0f} MiB + {slope:.0f} bytes per pixel")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]), sys.argv[2])))
    else:
        main()
