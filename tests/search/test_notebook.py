"""What a notebook shows of shapes, collections and search results."""

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from adacross.data.collection.collection import Collection
from adacross.data.rendering.notebook import figure_html
from adacross.data.shape import Mesh, PointCloud, Shape
from adacross.search.index import SearchIndex

HOSTILE = "<script>alert('x')</script> & \"quoted\""


class Parsed(HTMLParser):
    """The elements of a piece of HTML, its text, and its images, which must be data URIs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.alternatives: list[str | None] = []
        self.images: list[np.ndarray] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag == "img":
            values = dict(attrs)
            self.alternatives.append(values["alt"])
            start, _, data = str(values["src"]).partition(",")
            assert start == "data:image/png;base64"
            self.images.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")))
        elif tag not in ("br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_collection_shows_counts_classes_and_a_strip(toy_collection: Collection) -> None:
    page = Parsed(toy_collection._repr_html_())
    words = " ".join(page.text)
    info = toy_collection.info
    assert info.name in words
    assert f"{len(toy_collection):,} (train {info.splits['train']}" in words
    assert info.classes[0] in words
    assert page.tags.count("figure") == len(page.images) == 8
    np.testing.assert_array_equal(page.images[0], toy_collection.view(0, 0))
    np.testing.assert_array_equal(page.images[-1], toy_collection.view(len(toy_collection) - 1, 0))
    assert toy_collection.ids[0] in words


def test_search_results_show_the_query_and_similarities(
    search_index: SearchIndex, toy_collection: Collection
) -> None:
    neighbors = search_index.search(5, top=3)
    page = Parsed(neighbors._repr_html_())
    assert len(page.images) == 4
    for image, i in zip(page.images, [5, *neighbors.indices], strict=True):
        np.testing.assert_array_equal(image, toy_collection.view(int(i), 0))
    for word in (*neighbors.ids, *(f"{value:.3f}" for value in neighbors.similarities)):
        assert word in page.text
    assert repr(neighbors) == f"Neighbors(of {toy_collection.ids[5]!r}: {', '.join(neighbors.ids)})"
    assert len(repr(search_index)) < 200


def test_shapes_are_rendered(toy_collection: Collection) -> None:
    box = trimesh.creation.box((10, 20, 30))
    mesh = Mesh(box.vertices + 100, box.faces.astype(np.int64))
    cloud = PointCloud(toy_collection.points(np.array([3]))[0] * 50)
    shape = toy_collection[3]
    for one, words in (
        (mesh, ["12 triangles", "10 × 20 × 30"]),
        (cloud, [f"{len(cloud.points)} points"]),
        (shape, [f"{len(shape.points)} points", shape.id, shape.split]),
    ):
        page = Parsed(one._repr_html_())
        (image,) = page.images
        assert 0.05 < (image < 250).any(axis=2).mean() < 0.9  # there is something, on white
        assert all(word in " ".join(page.text) for word in words)


@pytest.mark.parametrize(
    "shape",
    [
        Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)),
        Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])),
        Mesh(np.full((3, 3), np.nan), np.array([[0, 1, 2]])),
        PointCloud(np.zeros((0, 3), np.float32)),
        PointCloud(np.zeros((1, 3), np.float32)),
        PointCloud(np.full((2, 3), np.inf, np.float32)),
        PointCloud(np.array([[-3e38, 0, 0], [3e38, 0, 0]], np.float32)),
        Shape("a", np.zeros((4, 3), np.float32), "test", None, None, np.zeros((0, 8, 8, 3), np.uint8)),
    ],
)
def test_shapes_that_cannot_be_rendered_show_no_error(shape: Mesh | PointCloud | Shape) -> None:
    assert len(Parsed(shape._repr_html_()).images) == 1


def test_names_are_text(toy_collection: Collection, search_index: SearchIndex, tmp_path: Path) -> None:
    page = Parsed(figure_html(np.zeros((4, 4, 3), np.uint8), HOSTILE, value=HOSTILE, name=HOSTILE))
    assert "script" not in page.tags
    assert page.text == [HOSTILE] * 3
    assert page.alternatives == [HOSTILE]
    own = Collection.open(toy_collection.folder)
    own.ids = [f"{HOSTILE}{i}" for i in range(len(own))]
    own.info.classes[0] = HOSTILE
    assert "script" not in Parsed(own._repr_html_()).tags
