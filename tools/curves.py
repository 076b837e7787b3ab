"""Draw the table of losses of a model's card.

    python tools/curves.py adain

Reads the table under `## Losses` of tf_style/pretrained/adain/MODEL_CARD.md, whose first column are
steps, and writes docs/adain_losses.svg: every other column a line, both axes logarithmic. A row
without numbers ends a line: behind it the training was another.
"""

import math
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 60, 130, 20, 40
COLOURS = ("#1b6ca8", "#c0392b", "#e67e22", "#27ae60", "#8e44ad", "#555555")


def read(card: str) -> tuple[list[str], list[list[list[float]]]]:
    """Names of the columns, and the rows, in parts."""
    lines = card.split("## Losses", 1)[1].split("\n## ", 1)[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    names, parts = rows[0], [[]]
    for row in rows[2:]:
        if not any(row):
            parts.append([])
        else:
            parts[-1].append([float(cell.replace(",", "") or "nan") for cell in row])
    return names, parts


def draw(names: list[str], parts: list[list[list[float]]]) -> str:
    """The picture as SVG."""
    numbers = [row for part in parts for row in part]
    steps = [row[0] for row in numbers]
    values = [x for row in numbers for x in row[1:] if not math.isnan(x)]
    x_low, x_high = math.log(min(steps)), math.log(max(steps))
    y_low, y_high = math.log(min(values) * 0.9), math.log(max(values) * 1.1)

    def x(step):
        return LEFT + (math.log(step) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def y(value):
        return TOP + (y_high - math.log(value)) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    ticks = [f * 10.0**e for e in range(-3, 6) for f in (1, 2, 5)]
    for tick in ticks:
        if math.exp(y_low) <= tick <= math.exp(y_high):
            out.append(f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
            out.append(
                f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
            )
        if min(steps) <= tick <= max(steps):
            out.append(f'<path d="M{x(tick):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
            label = f'<text x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
            out.append(f"{label}{tick:,.0f}</text>")
    out.append(f'<text x="{(WIDTH - RIGHT + LEFT) / 2}" y="{HEIGHT - 4}">{names[0]}</text>')
    for column, name in enumerate(names[1:], 1):
        colour, last = COLOURS[(column - 1) % len(COLOURS)], None
        for part in parts:
            points = [(x(row[0]), y(row[column])) for row in part if not math.isnan(row[column])]
            if points:
                path = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
                out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
                last = points[-1]
        if last:
            label = f'<text x="{last[0] + 6:.1f}" y="{last[1] + 4:.1f}" fill="{colour}">'
            out.append(f"{label}{name}</text>")
    return "\n".join([*out, "</svg>"]) + "\n"


def main(name: str) -> None:
    """Read the card, write the picture."""
    card = ROOT / "tf_style/pretrained" / name / "MODEL_CARD.md"
    file = ROOT / f"docs/{name}_losses.svg"
    file.write_text(draw(*read(card.read_text("utf-8"))), "utf-8")
    print(file)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
