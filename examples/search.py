"""Find shapes by a mesh, a cloud, an image or another shape, without the page of `adacross search`.

    python examples/search.py demo/shapes demo/run-seed0 [photo.png]

Features are computed once and cached; images can be queries if the run has an image tower.
"""

import sys

from adacross.search.index import SearchIndex


def main(collection: str, run: str, *files: str) -> None:
    index = SearchIndex(collection, run)
    for query in files or (0,):  # a file, or the collection's first shape
        neighbors = index.search(query, top=5)
        print(f"nearest to {neighbors.query.name}, compared as {neighbors.space}")
        for name, cosine in zip(neighbors.ids, neighbors.similarities, strict=True):
            print(f"  {cosine:.3f}  {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
