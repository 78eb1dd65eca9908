"""ETTh1: hourly load and oil temperature of an electricity transformer in China, 2016 to 2018.

Zhou et al.: "Informer: Beyond Efficient Transformer for Long Sequence Time-Series Forecasting", AAAI 2021,
https://arxiv.org/abs/2012.07436. The data is under CC BY-ND 4.0.
"""

from __future__ import annotations

from dltemplates.datasets.series.csv_series import series_dataset
from dltemplates.datasets.series.windows import WindowSource
from dltemplates.datasets.source import SPLITS, Dataset
from dltemplates.datasets.storage.locate import Origin, locate
from dltemplates.datasets.tables.csv_file import read_csv
from dltemplates.settings import ALL_COLUMNS, DatasetSettings

ETTH1 = Origin(
    ("ett/ETTh1.csv", "ETT-small/ETTh1.csv", "ETTh1.csv"),
    urls=("https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv",),
    md5="8381763947c85f4be6ac456c508460d6",
)
MONTH = 30 * 24  # rows
ENDS = (12 * MONTH, 16 * MONTH, 20 * MONTH)  # of train, validation and test, as in the papers


def etth1(settings: DatasetSettings) -> Dataset:
    """Load ETTh1: 6 loads and the oil temperature OT, each hour.

    The splits are those of the papers: 12, 4 and 4 months of 30 days. The last 3,020 of the 17,420 rows are not used. A
    forecast may read the rows of the split before. Without `dataset.target`, all 7 columns are forecast.
    """
    table = read_csv(locate("etth1", ETTH1)).table.iloc[: ENDS[-1]]
    dataset = series_dataset(table, settings.model_copy(update={"target": settings.target or ALL_COLUMNS}))
    whole = dataset.split("train")
    assert isinstance(whole, WindowSource)
    splits, start = {}, 0
    for split, end in zip(SPLITS, ENDS, strict=True):
        if end - start < whole.need - whole.reach or end < whole.need:
            whole.raise_too_short(split, f"{end - start} rows in {split}")
        splits[split] = whole.cut(split, max(0, start - whole.reach), end)
        start = end
    sizes = {split: len(source) for split, source in splits.items()}
    return Dataset(dataset.spec.model_copy(update={"sizes": sizes}), splits)
