"""The HTML report of a run."""

from pathlib import Path
from typing import TYPE_CHECKING

from adacross.errors import check_ending
from adacross.io.files import check_free, write_whole

if TYPE_CHECKING:
    from adacross.report.run import RunData

__all__ = ["render", "write_report"]


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
    from adacross.report.run import read_run

    write_whole(target, render(read_run(Path(run), collection=collection, seed=seed)))
    return target


def render(run: "RunData") -> str:
    """Return the report of a run as an HTML document."""
    from adacross.report.completions import completions
    from adacross.report.names import encoder_name, method_name
    from adacross.report.page import page
    from adacross.report.results import result_sections, table_sections
    from adacross.report.sections import feature_map, overview, setup, training
    from adacross.report.shapes import neighbors, point_clouds

    first = (overview, training, completions, feature_map, neighbors)
    sections = [section for make in first if (section := make(run)) is not None]
    sections += [*result_sections(run), *table_sections(run), point_clouds(run), setup(run)]
    method, encoder = method_name(run.method), encoder_name(str(run.config["encoder"]))
    data = run.collection.info.name if run.collection else run.folder.name
    version, date = run.environment.get("adacross"), run.environment.get("date")
    kicker = f"adacross report · {run.folder.resolve().name}"
    kicker += f" · {str(date)[:16].replace('T', ' ')}" if date else ""
    footer = f"Made by adacross{f' {version}' if version else ''}. Self-contained: no network access."
    return page(f"{method} · {encoder} · {data}", kicker, sections, footer)
