"""Puts the measured figures into docs/performance.md: tables between its markers, curves beside it.

    python benchmarks/page.py [--results benchmarks/results] [--page docs/performance.md]

A marker is a pair of comments, `<!-- table: dgcnn -->` and `<!-- end -->`; what is between them is replaced.
"""

import argparse
import json
import re
from pathlib import Path

import accuracy_per_minute
import curves as cost_curves

from adacross.io.files import whole_file

ROOT = Path(__file__).parent.parent
MARKED = re.compile(r"(<!-- (table|curves|machine|extra): (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def seconds(value: float) -> str:
    """Three digits, in a unit that suits."""
    return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"


def table(found: dict) -> str:
    """A benchmark's rows that have a goal (all, if none has) as Markdown, without empty columns."""
    rows = []
    for row in [row for row in found["rows"] if row["met"] is not None] or found["rows"]:
        memory, aim = row["memory_ratio"], row["memory_goal"]
        mib = f"{row['plain_mib']:,.0f} / {row['ours_mib']:,.0f}" if memory else ""
        rows.append({
            "": row["what"],
            "published": seconds(row["plain"]["median"]),
            "ours": seconds(row["ours"]["median"]),
            "faster": f"**{row['ratio']:.1f}x**",
            "goal": f"{row['goal']:g}x" if row["goal"] else "",
            "MiB": mib + (f" ({memory:.1f}x of {aim:g}x)" if memory and aim else ""),
            "floor": seconds(row["floor"]) if row["floor"] else "",
        })  # fmt: skip
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *([row[name] for name in names] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def curves(found: dict) -> str:
    """The ends of the cost curves as a Markdown table."""
    text = "| from, to | published | ours |\n|---|---:|---:|\n"
    for name, points in found["curves"].items():
        ends = (points[0], points[-1])
        cells = [f"{name}: {' to '.join(format(end['x'], ',') for end in ends)}"]
        for way in ("published", "ours"):
            times = (seconds(end[way]["median"]) if way in end else "not tried" for end in ends)
            cells.append(" to ".join(times))
        text += f"| {' | '.join(cells)} |\n"
    return text


def machine(found: dict) -> str:
    """Where the figures come from, in one line."""
    parts = found["machine"]
    versions = ", ".join(f"{name} {parts[name]}" for name in ("python", "torch", "numpy", "scikit-learn"))
    return f"Measured on {parts['cores']} cores of an {parts['processor']}, {versions}.\n"


def extra(found: dict) -> str:
    """What a benchmark says of itself beside its rows."""
    return found["words"] + "\n"


PICTURES = {
    "curves": (cost_curves.picture, "cost-curves.svg"),
    "accuracy": (accuracy_per_minute.picture, "accuracy-per-minute.svg"),
}
FILLERS = {"table": table, "curves": curves, "machine": machine, "extra": extra}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    options = parser.parse_args()

    def filled(match: re.Match[str]) -> str:
        path = options.results / f"{match[3]}.json"
        if not path.exists():
            return f"{match[1]}Not measured yet.\n{match[4]}"
        return match[1] + FILLERS[match[2]](json.loads(path.read_text(encoding="utf-8"))) + match[4]

    text = MARKED.sub(filled, options.page.read_text(encoding="utf-8"))
    with whole_file(options.page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    for name, (draw, file) in PICTURES.items():
        path = options.results / f"{name}.json"
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            with whole_file(options.page.parent / "images" / file) as temporary:
                temporary.write_text(draw(found["curves"]), encoding="utf-8")


if __name__ == "__main__":
    main()
