"""The report of a run: one HTML file with its figures, scores and exports, nothing to fetch."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, PackageLoader

from dltemplates.deploy.report import load_run_report
from dltemplates.runs import Run, atomic_write, load_run, shown
from dltemplates.tasks.load_for import data_note

# Heading and caption of each figure, in the order of the report; a task's own others come after, as they are named.
FIGURES = {
    "curves": (
        "Training",
        "Each figure after each epoch: where validation turns away from training, the network learns its examples by "
        "heart.",
    ),
    "confusion_matrix": (
        "Confusion matrix",
        "A row is a true class and a column what it was taken for, the darker the larger the share of the row: a good "
        "network leaves all on the diagonal.",
    ),
    "confused_pairs": (
        "Most-confused pairs",
        "Which class is most often taken for which: look here first for labels that are wrong, classes that need more "
        "examples, and pairs that even people mix up.",
    ),
    "coefficients": (
        "Coefficients",
        "What each input is worth, all on one scale: to the right it speaks for, to the left against.",
    ),
    "boundary": (
        "The plane",
        "The class that each place of the plane is given, and the examples: where the colours meet the network changes "
        "its mind; one neuron can only draw a straight line.",
    ),
    "reconstructions": (
        "Reconstructions",
        "Above what was given, below what came out of the code, and under that, of what was given with noise, what it "
        "was without: what the two differ in is what the code does not hold.",
    ),
    "codes": (
        "Codes",
        "What was given, the numbers that are all the network keeps of it, as bars up or down, and what it makes of "
        "these alone: the shorter the code, the more it must know of what all examples share.",
    ),
    "samples_by_epoch": (
        "Samples, epoch by epoch",
        "What the generator makes of the same noise after each epoch.",
    ),
    "samples": (
        "Samples",
        "What the generator makes of noise that it was not trained on.",
    ),
    "plane": (
        "The plane of codes",
        "What the decoder makes of each place: neighbours are alike, and any place makes an example.",
    ),
    "latent_codes": (
        "Codes of examples",
        "Where the encoder puts the examples of the test split: it was never told their classes.",
    ),
    "walks": (
        "Walks",
        "What lies on the straight way from the code of one example, left, to that of another, right.",
    ),
    "scores": (
        "Scores",
        "How often each score occurs, of normal examples and of anomalies: where the two overlap no threshold tells "
        "them apart.",
    ),
    "roc": (
        "Found against false alarms",
        "Each point is a threshold: the lower it is, the more anomalies are found, and the more normal examples with "
        "them; the area under the curve is the chance that an anomaly has a higher score than a normal example.",
    ),
    "timeline": (
        "Scores in order",
        "The score of each example of the test split, of a series from its past to its future: it should be above the "
        "line where an anomaly is marked, and nowhere else.",
    ),
    "hidden_units": (
        "Hidden units",
        "What each unit looks for, light where a pixel speaks for it and dark where against: strokes, once it learned.",
    ),
    "dreams": (
        "Dreams",
        "Chains that go back and forth between the layers, a row each: where they begin is soon forgotten, and what a "
        "well-trained machine comes to looks like the examples.",
    ),
    "predictions": (
        "Predictions",
        "Each point is an example: the nearer to the line, the nearer the prediction to the truth.",
    ),
    "forecast": (
        "Forecasts",
        "Above, what was said of each row a step ahead, and as far ahead as it goes; below, some whole forecasts: what "
        "follows the truth with a delay has learned little more than to repeat it.",
    ),
    "error_by_step": (
        "Error by step",
        "How far off a forecast is, the further it looks ahead, beside what could be said without a network.",
    ),
    "examples": (
        "Examples",
        "The worst examples first, in red, then others: often it is easy to see what misled the network.",
    ),
    "grad_cam": (
        "Where it looks",
        "Grad-CAM (Selvaraju 2017): the redder a place, the more its features spoke for the predicted class; heat "
        "beside the object betrays a shortcut, and where fully connected layers follow the maps it is rough.",
    ),
    "filters": (
        "First-layer filters",
        "The kernels that read the pixels, each on a scale of its own with zero in the middle: well trained they are "
        "edges, spots and colours, while noise means too little training or too little regularization.",
    ),
    "feature_maps": (
        "Feature maps by depth",
        "What single filters make of two images, bright where they respond: the first layers mark edges in detail, "
        "later ones respond to ever larger parts, and tell less of where and more of what.",
    ),
}

PICTURES = (".png", ".gif")


def write_report(run: Run | str | Path, *, tell: Callable[[str | None], None] = lambda line: None) -> Path:
    """Write the `report.html` of a run.

    Args:
        run: A finished run, or its folder.
        tell: Called with how its data differs from what it was trained on, a line; None where it does not.

    Returns:
        The path of the report.

    Raises:
        ValueError: If the run is not whole.
    """
    if not isinstance(run, Run):
        run = load_run(run)
    exports = load_run_report(run)
    note = data_note(run)
    tell(note)
    environment = Environment(loader=PackageLoader("dltemplates", "reports"), autoescape=True, trim_blocks=True)
    environment.filters["shown"] = shown
    environment.filters["kilobytes"] = lambda size: f"{size / 1000:,.1f} kB"
    page = environment.get_template("report.html").render(
        run=run,
        record=run.record,
        template_text=run.template_path.read_text(encoding="utf-8"),
        figures=_figures(run),
        exports=exports,
        data_note=note,
        exports_are_its_own=exports is not None and exports.is_of(run),
    )
    atomic_write(run.report_path, page)
    return run.report_path


def _figures(run: Run) -> list[dict[str, str]]:
    """The heading, caption and picture of each figure of a run, in the order in which they are to be read."""
    drawn = {path.stem: path for path in sorted(run.figures_path.glob("*")) if path.suffix in PICTURES}
    ordered = [name for name in FIGURES if name in drawn] + [name for name in drawn if name not in FIGURES]
    shown = []
    for name in ordered:
        heading, caption = FIGURES.get(name, (name.replace("_", " ").capitalize(), ""))
        shown.append({"heading": heading, "caption": caption, "url": _inline(drawn[name])})
    return shown


def _inline(path: Path) -> str:
    """A picture as a data URL."""
    return f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"
