"""The memory task: its sequences, its gradients, its table and its figure."""

import keras
import numpy as np
import pytest
from PIL import Image


def test_the_first_symbol_is_of_its_own_alphabet_and_is_the_target(tool):
    x, y = (part.numpy() for part in tool.sequences(3, 200, 6))
    assert x.shape == (200, 7, 8)
    symbols = x.argmax(axis=2)
    np.testing.assert_array_equal(symbols[:, 0], y)
    assert set(y) == {0, 1, 2, 3}
    assert set(symbols[:, 1:].ravel()) == {4, 5, 6, 7}
    assert not np.array_equal(tool.sequences(4, 200, 6)[0], x)


def test_the_gradient_of_a_linear_recurrence_is_a_power_of_its_weight(tool):
    inputs = keras.Input((6, 2))
    h = keras.layers.SimpleRNN(1, activation=None)(inputs)
    network = keras.Model(inputs, keras.layers.Dense(2)(h))
    weights = [[[3], [4]], [[0.5]], [0], [[1, 0]], [0, 0]]
    network.set_weights([np.array(weight, np.float32) for weight in weights])
    x, _ = tool.sequences(0, 4, 5)
    norms = tool.gradient_norms(network, x[:, :, :2])
    np.testing.assert_allclose(norms, 5 * 0.5 ** np.arange(5, -1, -1), rtol=1e-5)


def test_a_table_has_the_mean_the_range_and_the_steps(tool):
    results = {("lstm", 10): [(1.0, 50), (0.5, 75)], ("lstm, gates open", 10): [(1.0, 25), (1.0, 25)]}
    assert tool.table(results, [10]).splitlines() == [
        "| network | 10 steps |",
        "| --- | --- |",
        "| `lstm` | 0.75 (0.50-1.00), 50-75 |",
        "| `lstm`, gates open | 1.00 (1.00-1.00), 25 |",
    ]


@pytest.mark.slow
def test_the_page_gets_the_table_and_the_figure(tool, tmp_path, capsys):
    page = tmp_path / "memory.md"
    page.write_text("before\n<!-- memory task -->\nold\n<!-- end -->\nafter\n", encoding="utf-8")
    arguments = ["--lengths", "2", "--drawn", "2", "--seeds", "1", "--steps", "25", "--units", "2"]
    assert tool.main([*arguments, "--output", str(tmp_path)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- memory task -->\n| network | 2 steps |\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    assert all(name.partition(",")[0] in text for name in tool.networks())
    with Image.open(tmp_path / "memory_gradient.png") as image:
        assert image.width > 1000
    assert "minutes" in capsys.readouterr().out
