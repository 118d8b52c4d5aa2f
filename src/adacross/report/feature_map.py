"""A map of the shapes' features, with an image under the pointer."""

import numpy as np

from adacross.data.rendering.palette import palette
from adacross.features.projection import nearest_same_class, project
from adacross.report.figures import scatter
from adacross.report.page import Section, data_uri, missing, plural, section
from adacross.report.run import RunData
from adacross.report.shapes import THUMBNAIL, card


def feature_map(run: RunData) -> Section:
    """Return the encoder's features in two dimensions, a dot a shape."""
    title, features, collection = "Feature map", run.features, run.collection
    if features is None or collection is None:
        return missing("map", title, run.absent.get("features", "The collection holds no shapes."))
    xy, projection = project(features.values, run.seed)
    labels = collection.labels[features.indices]
    cards = [card(collection, int(index), THUMBNAIL) for index in features.indices]
    near, chance = nearest_same_class(features.values, labels) if (labels >= 0).all() else (None, None)
    present = np.unique(labels[labels >= 0])  # classes are in the order of their names
    classes = [collection.info.classes[label] for label in present]
    members = np.full(len(labels), -1)
    for number, label in enumerate(present):
        members[labels == label] = number
    colors = palette(len(classes))
    description = f"Scatter plot of {plural(len(cards), 'shape')}"
    description += f", colored by {plural(len(classes), 'class')}" if classes else ""
    figure = scatter(description, xy, classes, members, [*colors, "var(--muted)"])
    thumbnails = {
        "images": [data_uri(one.image) for one in cards],
        "names": [one.class_name or "" for one in cards],
        "ids": [one.id for one in cards],
    }
    return section(
        "map",
        title,
        script={"map": thumbnails},
        features=features,
        projection=projection,
        figure=figure,
        classes=list(zip(classes, colors, strict=True)),
        near=near,
        chance=chance,
    )
