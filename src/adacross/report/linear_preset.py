"""The linear probe in the protocol of a paper."""

from adacross.evaluation.linear import LinearResult
from adacross.report.html import Section, count, join, plural, table, tag
from adacross.report.inputs import RunData
from adacross.report.names import METHODS


def linear_preset(data: RunData, result: LinearResult) -> Section:
    """Return a table of both encoders under a paper's C and points."""
    paper = METHODS.get(result.protocol, result.protocol)
    rows = [
        [
            name,
            tag("b", f"{100 * score.mean:.1f} ± {100 * score.std:.1f}\u00a0%"),
            " · ".join(f"{100 * value:.1f}" for value in score.accuracy),
            " · ".join(f"{c:.3g}" for c in dict.fromkeys(score.C)),
        ]
        for name, score in (("pre-trained", result.pretrained), ("untrained", result.untrained))
    ]
    note = (
        f"{result.classifier[0].upper()}{result.classifier[1:]}; {count(result.points)} points; fitted on "
        f"{plural(result.train, 'training shape')}, scored on {plural(result.test, 'test shape')} of "
        f"“{result.data}”. {result.spread[0].upper()}{result.spread[1:]}."
    )
    shown = table(
        f"Linear probe as {paper}, on {result.data}",
        ("features of", "accuracy", "each, %", "C"),
        rows,
        note=note,
        class_="numbers",
    )
    intro = f"For comparison with {paper}'s published figures only: C is fixed, as in its program."
    title = f"Linear probe, as {paper} measures"
    return Section(f"linear-{result.protocol}", title, join([tag("p", intro), shown]))
