"""The report of a run: one HTML file with its scores, figures and exports, readable offline."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, PackageLoader

from dltemplates.deploy.report import load_run_report
from dltemplates.runs import Run, atomic_write, load_run, shown
from dltemplates.tasks.load_for import data_note

# Heading and caption of each figure, in the order of the report; other figures of a task follow, titled by file name.
FIGURES = {
    "curves": (
        "Training",
        "Each metric after each epoch. Where the validation loss rises while the training loss still falls, the "
        "network overfits.",
    ),
    "confusion_matrix": (
        "Confusion matrix",
        "Rows are true classes, columns are predicted ones. Correct predictions lie on the diagonal; a cell is darker, "
        "the larger its share of the row.",
    ),
    "confused_pairs": (
        "Most-confused pairs",
        "The most frequent mistakes. Look here first for wrong labels and for classes that need more examples.",
    ),
    "coefficients": (
        "Coefficients",
        "The weight of each input, per standard deviation. A bar to the right raises the output, a bar to the left "
        "lowers it.",
    ),
    "boundary": (
        "Decision boundary",
        "The predicted class at each point of the plane, and the examples. The boundary is where the colours meet; a "
        "single neuron can only draw a straight line.",
    ),
    "reconstructions": (
        "Reconstructions",
        "The input above, the reconstruction of the autoencoder below it, and for a noisy input the clean image. "
        "Details missing in the output did not fit into the latent vector.",
    ),
    "codes": (
        "Latent vectors",
        "The input, its latent vector as bars, and the reconstruction from these numbers alone.",
    ),
    "samples_by_epoch": (
        "Samples, epoch by epoch",
        "Images generated from the same noise after each epoch.",
    ),
    "samples": (
        "Samples",
        "Images generated from noise that was not used in training.",
    ),
    "plane": (
        "Latent plane",
        "The decoded image at each point of the latent space. Neighbours look alike, and every point gives an image.",
    ),
    "latent_codes": (
        "Latent vectors of examples",
        "The latent vectors of the test split, coloured by class. The encoder was trained without the classes.",
    ),
    "walks": (
        "Interpolations",
        "Each row moves in a straight line through the latent space, from one example (left) to another (right).",
    ),
    "scores": (
        "Anomaly scores",
        "Histogram of the scores of normal examples and of anomalies. Where the two overlap, no threshold can separate "
        "them.",
    ),
    "roc": (
        "ROC curve",
        "Each point is a threshold. A lower one finds more anomalies and raises more false alarms. The area under the "
        "curve is the probability that an anomaly scores higher than a normal example.",
    ),
    "timeline": (
        "Scores in order",
        "The score of each test example, in time order for a series. It should be above the line at labeled anomalies "
        "and below it elsewhere.",
    ),
    "hidden_units": (
        "Hidden units",
        "The weights of each hidden unit: light where a pixel activates it, dark where a pixel inhibits it. Trained on "
        "digits, they look like strokes.",
    ),
    "dreams": (
        "Gibbs chains",
        "Each row is a chain of samples between the visible and the hidden layer. It soon forgets its start, and a "
        "well-trained machine produces images like the examples.",
    ),
    "predictions": (
        "Predictions",
        "Each point is an example. The closer it is to the line, the better the prediction.",
    ),
    "forecast": (
        "Forecasts",
        "Above, forecasts one step and several steps ahead; below, some whole forecasts. A forecast that follows the "
        "truth with a delay only repeats the last value.",
    ),
    "error_by_step": (
        "Error by step",
        "The mean absolute error for each step ahead, compared with naive forecasts.",
    ),
    "examples": (
        "Examples",
        "The worst examples first, in red, then others. The mistakes often show what misled the network.",
    ),
    "grad_cam": (
        "Grad-CAM",
        "The redder a place, the more it supports the predicted class (Selvaraju 2017). Heat beside the object reveals "
        "a shortcut. With dense layers after the feature maps the result is rough.",
    ),
    "filters": (
        "First-layer filters",
        "The kernels of the first convolution, each scaled around zero. Well-trained ones show edges, spots and "
        "colours; noise means too little training or too little regularization.",
    ),
    "feature_maps": (
        "Feature maps by depth",
        "The outputs of single filters on two images, bright where they respond. Early layers detect edges; deep ones "
        "respond to larger parts of an object, and locate them less precisely.",
    ),
}

PICTURES = (".png", ".gif")


def write_report(run: Run | str | Path, *, tell: Callable[[str | None], None] = lambda note: None) -> Path:
    """Write the `report.html` of a run.

    Args:
        run: A finished run, or its folder.
        tell: Called with one line on how its data changed since training; None if it did not.

    Returns:
        The path of the report.

    Raises:
        ValueError: If the run is incomplete.
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
    """Return the heading, caption and picture of each figure of a run, in reading order."""
    paths = {path.stem: path for path in sorted(run.figures_path.glob("*")) if path.suffix in PICTURES}
    ordered = [name for name in FIGURES if name in paths] + [name for name in paths if name not in FIGURES]
    figures = []
    for name in ordered:
        heading, caption = FIGURES.get(name, (name.replace("_", " ").capitalize(), ""))
        figures.append({"heading": heading, "caption": caption, "url": _inline(paths[name])})
    return figures


def _inline(path: Path) -> str:
    """Return a picture as a data URL."""
    return f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"
