"""Find shapes by a mesh, a cloud, a picture or another shape, without the page of `adacross search`.

    python examples/search.py demo/shapes demo/run-seed0 [photo.png]

Features are computed once and kept; pictures can be queries where the run has an image tower.
"""

import sys

from adacross.search import SearchIndex


def main(collection: str, run: str, *files: str) -> None:
    index = SearchIndex.build(collection, run)
    for query in files or (0,):  # a file, or the collection's first shape
        found = index.nearest(query, top=5)
        print(f"nearest to {found.query.name}, compared as {found.compared}")
        for name, cosine in zip(found.ids, found.similarities, strict=True):
            print(f"  {cosine:.3f}  {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
