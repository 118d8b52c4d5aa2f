"""Few-shot image classification: a table and an example episode."""

import base64

from adacross.evaluation.images.result import NAMES, EpisodeScore, Example, ImageFewShotResult, Query, Setting
from adacross.report.html import Html, Section, image, join, percent, plural, table, tag
from adacross.report.inputs import RunData

_MOST = 10  # classes of the episode that are drawn
_SIDE = 96  # pixels of an image


def image_few_shot(data: RunData, result: ImageFewShotResult) -> Section:
    """Return the accuracy of every setting, and the first episode as images."""
    lead = (
        "The image tower was trained on rendered images of the shapes. "
        "Here it classifies photographs from a few examples of each class."
    )
    tables = [part for setting in result.settings for part in _setting(result, setting)]
    body = [tag("p", lead), *tables, tag("p", _note(result), class_="note"), *_episode(result.example)]
    return Section("images", "Few-shot image classification", join(body))


def _setting(result: ImageFewShotResult, setting: Setting) -> list[Html]:
    rows = []
    for arm, name in NAMES.items():
        score: EpisodeScore = getattr(setting, arm)
        bar = tag("span", style=f"width:{100 * score.accuracy.mean:.1f}%")
        mean = tag("b", percent(score.accuracy.mean))
        rows.append([name, mean, tag("span", bar, class_="bar", aria_hidden="true"), *_uncertain(score)])
    gain = f"{100 * setting.gain.accuracy.mean:+.1f} points".replace("-", "−")
    rows.append(["gain", tag("b", gain), "", *_uncertain(setting.gain)])
    rows.append(["chance", percent(1 / setting.ways), "", "–", "–", "–"])
    columns = ("features", "accuracy", "", "95 % interval", "std over seeds", "each seed, %")
    caption = f"Few-shot image classification on {result.data}, {setting.name}"
    return [tag("h3", setting.name), table(caption, columns, rows, class_="probe")]


def _note(result: ImageFewShotResult) -> str:
    towers = f" of {', '.join(result.encoders)}" if len(result.encoders) > 1 else ""
    return (
        f"Episodes are drawn from {result.source} of “{result.data}”, resized to {result.size} pixels: "
        f"{result.episodes:,} a seed, {plural(result.queries, 'query')} a class. Image tower{towers}: "
        f"{result.network}; {result.classifier}. {result.spread}. Gain: pre-trained minus untrained, episode "
        f"by episode. {verdict(result)}"
    )


def _uncertain(score: EpisodeScore) -> list[str]:
    interval = 100 * sum(score.interval) / len(score.interval)
    each = score.accuracy.each.replace(" ", " · ").replace("-", "−")
    return [f"± {interval:.1f}", f"{100 * score.accuracy.std:.1f}", each]


def verdict(result: ImageFewShotResult) -> str:
    """Return one sentence on the gain."""
    better = [row.name for row in result.settings if row.gain.accuracy.mean > 2 * row.gain.accuracy.std]
    beaten = [row.name for row in result.settings if row.pretrained.accuracy.mean <= row.pixels.accuracy.mean]
    if len(result.seeds) < 2:
        first = "One seed only, so the spread is unknown."
    elif better:
        first = f"The gain is more than twice its spread over seeds in {' and '.join(better)}."
    else:
        first = "Pre-training did not help here: no gain is more than twice its spread over seeds."
    return f"{first} Plain pixels do as well or better in {' and '.join(beaten)}." if beaten else first


def _episode(example: Example) -> list[Html]:
    shown = example.classes[:_MOST]
    queries = {name: [query for query in example.queries if query.truth == name] for name in shown}
    count = min((len(found) for found in queries.values()), default=0)
    support = [
        _card(found, name, f"learnt from: {name}", "", "")
        for row in zip(*example.support[:_MOST], strict=False)
        for name, found in zip(shown, row, strict=True)
    ]
    asked = [_query(queries[name][place]) for place in range(count) for name in shown]
    text = (
        f"The first {example.setting} episode, chosen at random, classified by the pre-trained tower: "
        f"{percent(example.accuracy, 0)} of its queries are correct. A column is a class: the support set "
        "above the line, some queries of the class with their predictions below it."
    )
    legend = tag(
        "p",
        tag("span", tag("i", class_="swatch right"), "✓ right"),
        tag("span", tag("i", class_="swatch wrong"), "✗ another class"),
        class_="legend",
    )
    style = f"--ways:{len(shown)}"
    grids = [
        tag("div", *cards, class_="episode", style=style, role="group", aria_label=label)
        for cards, label in ((support, "support set"), (asked, "queries"))
    ]
    box = tag("div", *grids, class_="scroll", tabindex="0", role="region", aria_label="Example episode")
    return [tag("h3", "An episode"), tag("p", text), legend, box]


def _query(query: Query) -> Html:
    right = query.truth == query.predicted
    kind, mark = ("right", "✓") if right else ("wrong", "✗")
    said = "right" if right else f"taken for {query.predicted}"
    return _card(query.picture, query.predicted, f"{query.truth}, {said}", kind, mark)


def _card(encoded: str, name: str, alt: str, kind: str, mark: str) -> Html:
    label = [tag("span", f"{mark} ", class_="mark")] if mark else []
    return tag(
        "figure",
        image(base64.b64decode(encoded), alt, _SIDE),
        tag("figcaption", *label, name),
        class_=f"card {kind}".strip(),
    )
