"""The scores of a template on several splits, beside the simple models."""

from texts import write_korean

from conftest import load_tool

tool = load_tool("bench_folds")


def test_each_seed_has_a_row_with_the_baselines(tmp_path, capsys):
    data = write_korean(tmp_path / "korean.tsv")
    settings = ["train.steps=2", "train.batch_size=8", "dataset.text.tokenizer=characters", "model.filters=4"]
    tool.main(["text_classification", str(data), "--seeds", "2", "--set", *settings])
    table = capsys.readouterr().out.splitlines()[-5:]
    names, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table if "---" not in line]
    assert names[1] == "network"
    assert len(names) >= 3
    assert [row[0] for row in rows] == ["seed 0", "seed 1", "mean"]
    assert all(0 <= float(cell) <= 1 for row in rows for cell in row[1:])
