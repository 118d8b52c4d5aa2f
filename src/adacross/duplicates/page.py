"""The groups of copies as a page with images: one file, no request."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from adacross.data.collection.schema import encode_view
from adacross.data.isolated import TIMEOUT
from adacross.data.rendering.render import load_kernels, orbit, render_cloud, render_mesh
from adacross.data.sampling import unit_sphere
from adacross.data.shape import Mesh
from adacross.data.workers.local import Request, WorkerCrash, each
from adacross.duplicates.groups import Duplicates
from adacross.duplicates.serve import Place, load
from adacross.io.files import whole_file
from adacross.report.page import data_uri, page, section

SIZE = 160  # side of an image in pixels
MOST = 2000  # shapes that get one


def write_page(path: Path, found: Duplicates, places: Mapping[str, Place], workers: int) -> None:
    """Write the page; shapes of the first groups are rendered, up to `MOST`."""
    names = list(dict.fromkeys(copy.id for copy in found.copies))[:MOST]
    requests: list[Request] = [{"place": places[name]} for name in names]
    images: dict[str, str] = {}
    if requests:
        with closing(
            each(f"{__name__}:serve_image", requests, min(workers, len(requests)), TIMEOUT)
        ) as answers:
            for number, answer in answers:
                if not isinstance(answer, WorkerCrash):
                    images[names[number]] = data_uri(answer)
    body = section("copies", "Groups of copies", groups=found.groups, images=images, skipped=found.skipped)
    footer = (
        "Distances are the largest between two surfaces, aligned and of one size, in percent of the "
        "diagonal. Nothing was deleted."
    )
    with whole_file(path) as temporary:
        temporary.write_text(page("Duplicates", found.summary(), [body], footer), encoding="utf-8")


def before_serve_image() -> None:
    """Load what draws before memory is limited. Runs in a worker process."""
    load_kernels()


def serve_image(request: Request) -> bytes:
    """Render a shape. Runs in a worker process."""
    shape = load(request["place"])
    cameras = orbit(1)
    if isinstance(shape, Mesh):
        corners = shape.vertices[np.unique(shape.faces)]
        middle = (corners.min(0) + corners.max(0)) / 2
        reach = float(np.linalg.norm(corners - middle, axis=1).max())
        mesh = replace(shape, vertices=(shape.vertices - middle) / reach)
        return encode_view(render_mesh(mesh, cameras, SIZE)[0])
    return encode_view(render_cloud(replace(shape, points=unit_sphere(shape.points)[0]), cameras, SIZE)[0])
