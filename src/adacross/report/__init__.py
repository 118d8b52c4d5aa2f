"""One HTML file about one run: what was trained, what it is worth, and what it looks like."""

from pathlib import Path

from adacross.errors import check_ending
from adacross.io.files import check_free, whole_file
from adacross.report.inputs import RunData

__all__ = ["RunData", "render", "write_report"]


def write_report(
    run: str | Path,
    *,
    collection: str | None = None,
    output: str | Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Path:
    """Write a run's report: one self-contained HTML file.

    Sections whose data are not there yet say which command makes them.

    Args:
        run: a run folder.
        collection: folder or URL of the run's collection, if it has moved; needed for a URL, since an address
            that is read in a file is not opened.
        output: HTML file to write; `report.html` in the run by default.
        seed: random seed for the choice of shapes, masks and the map.
        overwrite: replace an existing output file; the run's own report is always replaced.

    Returns:
        The path of the report.

    Raises:
        UserError: `run` is not a run, one of its files cannot be read, or the report is there already or
            cannot be written.
    """
    target = Path(run) / "report.html"
    if output is not None:
        target = check_ending(output, (".html", ".htm"), "a report is a page of HTML")
        check_free(target, overwrite)
    from adacross.report.gather import read_run

    text = render(read_run(Path(run), collection=collection, seed=seed))
    with whole_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")  # of names that are no text
    return target


def render(data: RunData) -> str:
    """Return the report of `data` as an HTML document."""
    from adacross.report.confusion import confusion
    from adacross.report.curves import curves
    from adacross.report.embedding import embedding
    from adacross.report.names import encoder_name, method_name
    from adacross.report.overview import overview
    from adacross.report.page import page
    from adacross.report.pictures import pictures
    from adacross.report.reconstruction import reconstruction
    from adacross.report.setup import setup
    from adacross.report.shapes import shapes
    from adacross.report.tasks import task_sections

    first = (overview, curves, reconstruction, embedding, pictures, confusion)
    sections = [section for make in first if (section := make(data)) is not None]
    sections += [*task_sections(data), shapes(data), setup(data)]
    title = (
        f"{method_name(data)} · {encoder_name(data)} · {data.facts.name if data.facts else data.folder.name}"
    )
    version, date = data.environment.get("adacross"), data.environment.get("date")
    kicker = f"adacross report · {data.folder.resolve().name}" + (
        f" · {str(date)[:16].replace('T', ' ')}" if date else ""
    )
    footer = f"Made by adacross{f' {version}' if version else ''}. This file is complete: it loads nothing."
    return page(title, kicker, sections, footer)
