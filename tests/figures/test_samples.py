import numpy as np
import pytest
from PIL import Image

from dltemplates.figures.outcomes import sheet_of
from dltemplates.figures.run import curves_figure
from dltemplates.figures.samples import join_samples, save_samples
from dltemplates.runs import Run


def images(count=12, channels=1, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (count, 4, 6, channels))


def test_a_sheet_holds_images_row_by_row():
    tiles = images()
    sheet = sheet_of(tiles, side=5)
    assert sheet.shape == (3 * 4, 5 * 6, 1)
    assert sheet.dtype == np.uint8
    np.testing.assert_array_equal(sheet[4:8, 6:12], np.rint(tiles[6]))
    assert not sheet[8:, 12:].any()  # there are only twelve images
    assert sheet_of(images(40), side=3).shape == (14 * 4, 18, 1)
    apart = sheet_of(tiles, side=5, gap=1)
    assert apart.shape == (3 * 5, 5 * 7, 1)
    np.testing.assert_array_equal(apart[5:9, 7:13], np.rint(tiles[6]))
    assert set(apart[4:10:5].ravel()) == set(apart[:10, 6::7].ravel()) == {96}
    assert sheet_of(np.array([[[[-3.0]]], [[[300.0]]]]), side=2).ravel().tolist() == [0, 255]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_sheets_are_enlarged_and_joined(tmp_path, channels, mode):
    run = Run(tmp_path)
    assert join_samples(run) is None
    for epoch in (1, 2, 10):
        save_samples(run, epoch, images(120, channels, seed=epoch))
    first = Image.open(run.sample_path(1))
    assert first.mode == mode
    assert first.size == (70 * 8, 50 * 8)  # the smallest multiple from 560 on
    np.testing.assert_array_equal(
        np.array(first).reshape(400, 560, channels)[::8, ::8], sheet_of(images(100, channels, seed=1), 10, gap=1)
    )
    with Image.open(join_samples(run)) as animation:
        assert animation.n_frames == 3
        durations = []
        for frame in range(3):
            animation.seek(frame)
            durations.append(animation.info["duration"])
        assert durations == [300, 300, 2000]
        last = np.array(animation.convert("L"), int)
    shown = np.array(Image.open(run.sample_path(10)).convert("L"), int)
    assert np.abs(last - shown).mean() < 12  # a palette changes the levels
    assert {path.name for path in run.samples_path.iterdir()} == {f"epoch_{n:03d}.png" for n in (1, 2, 10)}


def frames_of(path):
    with Image.open(path) as animation:
        for frame in range(animation.n_frames):
            animation.seek(frame)
            yield np.array(animation.convert("RGB"), int)


def test_frames_are_in_the_order_of_the_epochs(tmp_path):
    run = Run(tmp_path)
    shades = {9: 40, 99: 80, 101: 120, 999: 160, 1000: 200, 1002: 240}
    for epoch, shade in shades.items():
        save_samples(run, epoch, np.full((1, 4, 6, 1), float(shade)))
    assert [frame[0, 0, 0] for frame in frames_of(join_samples(run))] == list(shades.values())


def test_colours_are_close_and_not_dithered(tmp_path):
    run = Run(tmp_path)
    across, down = np.meshgrid(np.linspace(0, 255, 27), np.linspace(0, 255, 27))
    tiles = np.stack([across, down, (across + down) / 2], axis=-1)[None].repeat(100, axis=0)
    save_samples(run, 1, tiles)
    (frame,) = frames_of(join_samples(run))
    sheet = np.array(Image.open(run.sample_path(1)), int)
    error = np.abs(frame - sheet).mean()
    assert error < 5, error  # dithered with a web palette, three times as much
    pixels = frame.reshape(280, 2, 280, 2, 3)
    assert (pixels == pixels[:, :1, :, :1]).all()


def test_half_written_files_of_a_killed_process_are_removed(tmp_path):
    run = Run(tmp_path)
    save_samples(run, 1, images())
    (run.samples_path / ".partial-1-epoch_002.png").write_bytes(b"half")
    run.sweep()
    assert [path.name for path in run.samples_path.iterdir()] == ["epoch_001.png"]


def test_a_metric_of_validation_only_has_a_curve():
    history = [{"epoch": n, "step": n, "loss": 1 / n, "val_loss": 1.0, "val_fid": 9 - n, "seconds": 1} for n in (1, 2)]
    loss, distance = curves_figure(history, 2).axes
    assert [line.get_label() for line in loss.lines[:2]] == ["training", "validation"]
    assert distance.get_title() == "fid"
    assert distance.lines[0].get_ydata().tolist() == [8, 7]
