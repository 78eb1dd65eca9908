"""Well-known tables of mixed columns, in CSV files: the census of 1994 and the houses of California."""

from __future__ import annotations

import pandas as pd

from dltemplates.datasets.source import Dataset
from dltemplates.datasets.storage.locate import Origin, locate
from dltemplates.datasets.tables.csv_file import AS_TEXT, clean, read_csv
from dltemplates.datasets.tables.csv_table import frame_dataset
from dltemplates.settings import DatasetSettings

ADULT_PAGE = "https://archive.ics.uci.edu/dataset/2/adult"
ADULT_TRAIN = Origin(("tabular/adult-train.csv", "adult/adult.data", "adult.data"), page=ADULT_PAGE)
ADULT_TEST = Origin(("tabular/adult-test.csv", "adult/adult.test", "adult.test"), page=ADULT_PAGE)
ADULT_COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip
HOUSING = Origin(
    ("california_housing/datasets/housing/housing.csv", "california_housing/housing.csv", "housing.csv"),
    page="https://github.com/ageron/handson-ml2/tree/master/datasets/housing",
)


def adult(settings: DatasetSettings) -> Dataset:
    """Load Adult: does a person earn more than 50,000 dollars a year, by 8 categories and 5 numbers (Kohavi 1996)?

    48,842 rows, a third of them for testing. The column `fnlwgt`, a row's weight in the census, is left out: it says
    nothing about the person.
    """
    frames = {}
    for split, origin in (("train", ADULT_TRAIN), ("test", ADULT_TEST)):
        table = clean(pd.read_csv(locate("adult", origin), names=list(ADULT_COLUMNS), comment="|", **AS_TEXT))
        table["income"] = table["income"].str.rstrip(".")
        frames[split] = table
    table_settings = settings.of_table()
    table = table_settings.model_copy(update={"columns": {"fnlwgt": "skip"} | table_settings.columns})
    update = {"table": table, "target": settings.table_target() or "income"}
    return frame_dataset(frames, settings.model_copy(update=update))


def california_housing(settings: DatasetSettings) -> Dataset:
    """Load California Housing: the median house value of a block in 1990, by 9 of its figures (Pace, Barry 1997)."""
    table = read_csv(locate("california_housing", HOUSING)).table
    return frame_dataset(
        {"train": table}, settings.model_copy(update={"target": settings.table_target() or "median_house_value"})
    )
