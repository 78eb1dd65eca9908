"""The figures of ideas: their numbers, and that they are drawn."""

import sys

import numpy as np
import pytest
from PIL import Image


def run(tool, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["draw_ideas.py", *map(str, arguments)])
    tool.main()


@pytest.mark.parametrize(
    ("kernels", "weights"),
    [([(5, 5)], 25), ([(3, 3), (3, 3)], 18), ([(3, 3)], 9), ([(1, 3), (3, 1)], 6)],
)
def test_the_cost_of_convolutions_follows_from_their_kernels(tool, kernels, weights):
    channels, size = 5, 8
    summary = tool.cost(size, channels, [(kernel, channels) for kernel in kernels])
    assert summary.parameters == weights * channels**2
    assert summary.macs == weights * channels**2 * size**2
    assert len(summary.rows) == len(kernels)


def test_the_reduction_matches_googlenet(tool):
    directly, reduced = tool.reductions().values()
    costs = [tool.cost(28, 192, convolutions) for convolutions in (directly, reduced)]
    assert [cost.parameters for cost in costs] == [192 * 25 * 32, 192 * 16 + 16 * 25 * 32]
    assert [cost.macs for cost in costs] == [cost.parameters * 28**2 for cost in costs]


@pytest.mark.parametrize(
    ("kernels", "height", "width"),
    [([(5, 5)], 5, 5), ([(3, 3), (3, 3)], 5, 5), ([(1, 3), (3, 1)], 3, 3), ([(3, 1)], 3, 1), ([], 1, 1)],
)
def test_an_output_sees_the_middle_of_the_map(tool, kernels, height, width):
    expected = np.zeros((7, 7), bool)
    expected[3 - height // 2 : 4 + height // 2, 3 - width // 2 : 4 + width // 2] = True
    np.testing.assert_array_equal(tool.reach(kernels), expected)


@pytest.mark.parametrize(("name", "by_hand"), [("maximum", np.max), ("average", np.mean), ("minimum", np.min)])
def test_pooling_takes_one_value_of_each_window(tool, name, by_hand):
    image = np.random.default_rng(0).normal(size=(6, 9, 2)).astype(np.float32)
    windows = image.reshape(
        2, 3, 3, 3, 2
    )  # window row, row in the window, window column, column in the window, channel
    np.testing.assert_allclose(tool.POOLINGS[name](image, 3), by_hand(windows, axis=(1, 3)), rtol=1e-5)


def test_figures_of_layers_are_drawn(tool, tmp_path, monkeypatch, capsys):
    names = ["factorized", "reduction", "pooling"]
    run(tool, monkeypatch, *names, "--output", tmp_path / "new" / "folder")
    paths = sorted((tmp_path / "new" / "folder").iterdir())
    assert [path.name for path in paths] == sorted(f"{name}.png" for name in names)
    for path in paths:
        with Image.open(path) as image:
            assert image.width > 1000
            assert len(image.convert("L").getcolors()) > 10
    output = capsys.readouterr().out
    assert "73,728   72.0% = 36,864 + 36,864" in output
    assert "12,443,648   10.3% = 2,408,448 + 10,035,200" in output


@pytest.mark.slow
def test_one_and_two_hidden_layers_are_drawn_side_by_side(tool, capsys):
    figure = tool.hidden_layers({"train.epochs": 1})
    titles = [axes.get_title() for axes in figure.axes]
    # 2 x 20 and 20 x 1 weights, 21 biases; 2 x 10, 10 x 10 and 10 x 1 weights, 21 biases
    assert ["81 parameters" in titles[0], "151 parameters" in titles[1]] == [True, True]
    for axes, line in zip(figure.axes, capsys.readouterr().out.splitlines(), strict=True):
        points = sum(len(collection.get_offsets()) for collection in axes.collections[1:])
        assert points == 200
        accuracy = float(line.split()[-1])
        assert 0.5 < accuracy <= 1
        assert f"{accuracy:.1%}" in axes.get_title()


def test_a_diverging_training_is_drawn_until_it_diverges(tool):
    axes = tool.Figure().subplots()
    tool.draw_losses(axes, "title", {"whole": [2.0, 1.0, 0.5], "broken": [2.0, 9.0], "never": []}, epochs=3)
    *curves, guessing = axes.get_legend().get_texts()
    assert [text.get_text() for text in curves] == ["whole", "broken (diverged)", "never (diverged)"]
    assert guessing.get_text() == "guessing one of ten"
    crosses = [line.get_xydata().tolist() for line in axes.lines if line.get_marker() == "x"]
    assert crosses[0] == [[2, 9.0]]


def test_only_known_figures_are_drawn(tool, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(tool, monkeypatch, "pooling", "poling")
    assert "must be one of factorized, reduction, pooling, hidden_layers, residuals, batch_norm. Received: poling." in (
        capsys.readouterr().err
    )


@pytest.mark.slow
def test_trainings_are_drawn(tool, capsys):
    """Draw both figures with networks of 8 layers for two epochs; the curve of a residual network falls."""
    residuals = tool.residuals(depths=(8,), epochs=2)
    normalized = tool.batch_norm(depth=8, epochs=2)
    for figure in (residuals, normalized):
        assert len(figure.axes) == 2
    curve = residuals.axes[1].lines[0].get_ydata()
    assert len(curve) == 2
    assert curve[1] < curve[0]
    assert capsys.readouterr().out.count("loss by epoch") == 6


@pytest.mark.slow
def test_a_training_may_diverge(tool, capsys):
    losses = tool.training_losses({"depth": 8, "batch_norm": False}, 1e9, epochs=2)
    assert losses == []
    assert "must stay finite" in capsys.readouterr().out
