"""Search and features for other programs, over HTTP."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any, no_type_check

from fastapi import APIRouter, File, HTTPException, Query, UploadFile
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from adacross.data.shape import Axis
from adacross.errors import UserError
from adacross.search.calibrate import explained
from adacross.search.index import Orientation, SearchIndex
from adacross.search.query import Query as Shape
from adacross.search.query import read_query
from adacross.version import __version__

TIMEOUT = 60.0  # seconds for reading a file


class Match(BaseModel):
    """A shape that was found."""

    id: str
    class_name: str | None
    similarity: float  # cosine
    likeness: str  # same, very like, like or unlike; "" in a collection too small to say
    path: str  # of its file in the collection's source; "" if not known


class Found(BaseModel):
    """The shapes nearest to a query, best first."""

    query: str
    space: str  # what was compared: shapes, or images with shapes
    measured: str  # how often such queries find their own shape in this collection
    results: list[Match]


class Features(BaseModel):
    """Features of a shape or an image, of length 1."""

    name: str
    features: list[float]


def uploaded(index: SearchIndex, name: str, content: Any, up: Axis | None) -> Shape:
    """Read the open file `content` of somebody else, called `name`, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"query{Path(name).suffix.lower()}"
        with path.open("wb") as file:
            shutil.copyfileobj(content, file)
        size = index.image_size
        return read_query(path, points=index.points, size=size, up=up, name=name, timeout=TIMEOUT)


def api(index: SearchIndex) -> APIRouter:
    """Return the routes `POST /api/search`, `POST /api/embed` and `GET /openapi.json`."""
    router = APIRouter()

    @router.post("/api/search")
    @no_type_check  # FastAPI hands Starlette's UploadFile over where its own is declared
    def search(
        file: Annotated[UploadFile | None, File(description="a mesh, a point cloud or an image")] = None,
        shape: Annotated[str | None, Query(description="id of a shape, instead of a file")] = None,
        top: Annotated[int, Query(ge=1, le=1000)] = 10,
        classes: Annotated[list[str] | None, Query(description="search only in these")] = None,
        up: Annotated[Axis | None, Query(description="the axis that points up in the file")] = None,
        orientation: Orientation = "up",
    ) -> Found:
        """Find the shapes nearest to a file or to a shape of the collection."""
        try:
            if file is not None and shape is None:
                given = uploaded(index, file.filename or "", file.file, up)
            elif file is None and shape in index.collection.ids:
                given = index.query(index.collection.ids.index(shape))
            else:
                raise UserError("expected a file, or the id of a shape of the collection.")
            found = index.search(given, top, classes=classes, orientation=orientation)
        except UserError as error:
            raise HTTPException(422, str(error)) from None
        found = explained(index, found)
        rows = zip(found.indices.tolist(), found.similarities.tolist(), found.likeness, strict=True)
        return Found(
            query=found.query.name,
            space=found.space,
            measured=found.scale.summary() if found.scale else "",
            results=[
                Match(
                    id=index.collection.ids[i],
                    class_name=index.class_of(i),
                    similarity=similarity,
                    likeness=likeness,
                    path=index.facts.paths[i],
                )
                for i, similarity, likeness in rows
            ],
        )

    @router.post("/api/embed")
    @no_type_check
    def embed(file: UploadFile, up: Axis | None = None) -> Features:
        """Return the features that a file is compared by, of an image those of the image tower."""
        try:
            query = index.encode(uploaded(index, file.filename or "", file.file, up))
        except UserError as error:
            raise HTTPException(422, str(error)) from None
        return Features(name=query.name, features=[] if query.vectors is None else query.vectors[0].tolist())

    @router.get("/openapi.json", include_in_schema=False)
    def description() -> dict[str, Any]:
        return get_openapi(title="adacross search", version=__version__, routes=router.routes)

    return router
