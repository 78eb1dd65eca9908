"""The tables of a template: the settings of data, model and export, with their ranges.

The settings of training are in `train_settings.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    field_validator,
    model_validator,
)

from dltemplates import catalog

Count = Annotated[int, Field(gt=0, strict=True)]
Whole = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
OpenShare = Annotated[float, Field(gt=0, lt=1, strict=True)]
AUTO: Final = "auto"  # a setting that depends on the data


class SettingsTable(BaseModel):
    """A table of the template. Unknown keys are errors; values do not change.

    The value `none` unsets a setting whose default is None, since TOML has no null. One with an example in its field
    is a text of the user's, which may be `none`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _unset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        unset = {key for key, field in cls.model_fields.items() if field.default is None and not field.examples}
        return {key: value for key, value in values.items() if not (value == "none" and key in unset)}


class Named(BaseModel):
    """A name with its options; `"x"` is short for `{ name = "x" }`.

    Attributes:
        name: A name of the catalog, or your own `package.module:name`. `dlt show NAME` lists its options.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The options, without the name."""
        return dict(self.model_extra or {})


FRESH = "fresh"


class ModelSettings(Named):
    """The network: its name, the options of its builder, and its initial weights.

    Attributes:
        weights: Initial weights: `fresh` for random ones, the folder of a run, `imagenet` (downloaded by Keras; for
            `efficientnet_lite0` from a package), or a `.h5` file of ImageNet weights. The architecture must be the
            same; only the last layer may have another number of outputs. Resuming a training reads them again.
    """

    weights: Annotated[str, Field(min_length=1)] = FRESH


def name_or_table(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def none_or_table(value: Any) -> Any:
    return None if value == "none" else value


NO_DATASET = "none"  # for a task with data of its own
ARRAYS = "arrays"  # for data that a Python program passes


ColumnKind = Literal[
    "number",
    "decimal_point",  # 1,234 is 1234
    "decimal_comma",  # 1,234 is 1.234
    "date",
    "day_first",
    "month_first",
    "year_first",
    "category",
    "skip",
]


class ImageSettings(SettingsTable):
    """Settings of images.

    Attributes:
        size: `(height, width)` of the network's input in pixels. `none` keeps the images' size, if all have the same.
        channels: 1 for grey, 3 for colour. `none` keeps the data's channels.
        resize: `stretch` to the size, `crop` the centre to the same aspect ratio first, or `pad` with black.
        bits: Bits that the values of 16-bit images use, such as 12 of a camera; the highest value becomes white. `none`
            means 16.
        subfolders: For class folders that all have the same subfolders, which may be splits: `ask`, an error; or
            `merge`, so that a class has the images of all its subfolders.
    """

    size: tuple[Count, Count] | None = None
    channels: Literal[1, 3] | None = None
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    bits: Annotated[int, Field(ge=1, le=16)] | None = None
    subfolders: Literal["ask", "merge"] = "ask"


def separator_of(value: Any) -> Any:
    """Turn the word `tab` into a tab."""
    return "\t" if value == "tab" else value


def check_encoding(name: str) -> str:
    """Check that Python knows an encoding."""
    try:
        "".encode(name)
    except LookupError:
        raise ValueError(f"An encoding must be one that Python knows. Received: {name!r}. Try cp949.") from None
    return name


class CsvSettings(SettingsTable):
    """Settings of a CSV file.

    Attributes:
        separator: `,`, `;`, `tab` or `|` between cells, where the detected separator is wrong.
        encoding: Encoding of a file that is not in UTF-8, such as `cp949` or `cp1252`, where it cannot be detected.
    """

    separator: Annotated[Literal[",", ";", "\t", "|"] | None, BeforeValidator(separator_of)] = None
    encoding: Annotated[str, AfterValidator(check_encoding)] | None = None


class TableSettings(CsvSettings):
    """Settings of a table.

    Attributes:
        columns: Kinds of columns by name, where the detected kind is wrong; `skip` leaves a column out. Numbers and
            dates of two meanings have the kinds `decimal_point`, `decimal_comma`, `day_first`, `month_first` and
            `year_first`.
        min_frequency: A category with fewer training rows than this is rare. Files do not store its name, and all rare
            categories share one embedding. Default: 5.
    """

    columns: dict[str, ColumnKind] = {}
    min_frequency: Count | None = None


Fill = Literal["none", "previous", "linear"]
Repeated = Literal["none", "first", "mean"]
CalendarPart = Literal["minute", "hour", "weekday", "day", "yearday", "month"]
ALL_COLUMNS: Final = "*"  # as target: all columns of numbers


def as_tuple(value: Any) -> Any:
    """Turn one text into a tuple of one; `none` into an empty one."""
    return () if value == "none" else (value,) if isinstance(value, str) else value


def as_name(value: Any) -> Any:
    """Return the name of a column; a whole number, which TOML reads from a name such as `3`, is its text."""
    return str(value) if type(value) is int else value


def one_or_tuple(value: Any) -> Any:
    """Turn a list of one text into that text.

    Raises:
        ValueError: If the list is empty, or names a column twice.
    """
    if not isinstance(value, list | tuple):
        return as_name(value)
    if not value or len(set(map(str, value))) < len(value):
        raise ValueError(
            f"columns to predict must be one or more different names. Received: {list(value)}. "
            'Try --set \'dataset.target=["NAME", "OTHER"]\'.'
        )
    return value[0] if len(value) == 1 else tuple(value)


class SeriesSettings(CsvSettings):
    """Settings of a series.

    Attributes:
        window: Number of past rows in the input of a forecast. With `window`, a `.csv` file is a series, else a table.
        horizon: Number of rows to forecast.
        season_length: Number of rows in a season. Forecasts are compared with the last season's values; 1 means no
            season. By default it follows from the dates: a day of hours or minutes, 7 days, 52 weeks, 12 months or 4
            quarters; 1 without dates, and for fewer than four seasons.
        columns: Kinds of columns by name, where the detected kind is wrong; `skip` leaves a column out.
        fill: How to fill empty cells and missing dates: with the `previous` value of the column, which uses no later
            row; or with the `linear` interpolation between the values before and after, which does. `none` stops with
            an error. Rows before the first complete row are left out, and the end repeats the last value.
        repeated: Which row to use of several with the same date: the `first`, or the `mean` of their values. `none`
            stops with an error.
        calendar: Parts of the dates of the forecast rows, as known inputs: `minute`, `hour`, `weekday`, `day` (of the
            month), `yearday` and `month`, each as the sine and cosine of its angle, so that 23:00 is near 0:00.
        known: Columns whose future values are known, such as a planned price, as known inputs. To predict, their
            values stand in the rows after the last value of the others. Known inputs need `window` >= `horizon`.
        sequences: Whether a `.csv` or `.npz` file holds many sequences, each with a class or a number. Without `id`,
            each row of a `.csv` file is a sequence. `.ts` and `.tsv` files always hold sequences.
        id: Column of a `.csv` file with the name of each row's sequence. The other columns are its channels.
    """

    window: Count | None = None
    horizon: Count = 1
    season_length: Count | None = None
    columns: dict[str, ColumnKind] = {}
    fill: Fill = "none"
    repeated: Repeated = "none"
    calendar: Annotated[tuple[CalendarPart, ...], BeforeValidator(as_tuple)] = ()
    known: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = ()
    sequences: StrictBool = False
    id: Annotated[str | None, Field(examples=["recording"])] = None

    @property
    def holds_sequences(self) -> bool:
        """Whether a file holds many sequences."""
        return self.sequences or self.id is not None


class TextSettings(CsvSettings):
    """Settings of texts. With this table, a file or a folder holds texts.

    Attributes:
        tokenizer: What a token is: `characters`, which are syllables in Korean; `words` and punctuation marks; or
            `subwords`, parts of words, which are learned from the training texts.
        column: Column with the texts of a `.csv`, `.tsv` or `.jsonl` file; by default one called text, sentence,
            review or the like, or the only other column than the target.
        lowercase: Whether to convert texts to lower case.
        source: For pairs of texts, the column of the text to read; for a folder of line-aligned files, their suffix,
            such as `de` of train.de.
        target: Likewise, the text to write.
        vocabulary_size: Number of the most frequent tokens to know; by default all that are not rare, and 8,000
            subwords.
        min_frequency: A token with fewer occurrences in the training texts than this is rare. Files do not store it,
            and all rare tokens share one id. Default: 5 for words, 1 for characters.
        max_length: Number of tokens of the longest text; by default that of the data's longest.
        truncate: What to do with a longer text: `no` stops; `end` and `start` cut its end or its start.
        window: Number of tokens that a language model reads. With `window`, a `.txt` file is one text to continue.
    """

    tokenizer: Literal["characters", "words", "subwords"] = "words"
    column: Annotated[str | None, Field(examples=["review"]), BeforeValidator(as_name)] = None
    source: Annotated[str | None, Field(examples=["de"]), BeforeValidator(as_name)] = None
    target: Annotated[str | None, Field(examples=["en"]), BeforeValidator(as_name)] = None
    lowercase: StrictBool = False
    vocabulary_size: Count | None = None
    min_frequency: Count | None = None
    max_length: Count | None = None
    truncate: Literal["no", "end", "start"] = "no"
    window: Count | None = None

    @property
    def holds_pairs(self) -> bool:
        """Whether the data are pairs of texts."""
        return self.source is not None or self.target is not None


def share_or_auto(value: Any) -> Any:
    """Check a share that may be `auto`."""
    if value != AUTO and not (isinstance(value, float) and 0 < value < 1):
        raise ValueError(
            f"a share must be `auto`, or a number greater than 0 and less than 1. Received: {value!r}. Try 0.1."
        )
    return value


KINDS = ("images", "table", "series", "text")  # of data, each with its own table of settings


class DatasetSettings(SettingsTable):
    """The dataset, its splits, and a table of settings for its kind: images, table, series or text.

    Attributes:
        name: A name of the catalog, your own folder, `.npz` or `.csv` file, or `package.module:function`.
        target: Column of a table or a series to predict. By default one called label, target, class or y, in any
            letter case, or the only column of numbers of a series; without one, a task that needs a target stops. For
            a series also a list of columns, or `*` for all columns of numbers.
        images: Settings of images; `none` removes those of a template.
        table: Settings of a table; `none` removes those of a template.
        series: Settings of a series; `none` removes those of a template.
        text: Settings of texts; `none` removes those of a template.
        validation: Share of the training examples used for validation, if the data has no validation split. `auto`
            uses the larger of 10% and 50 examples, at most 25%. `mnist` and `fashion_mnist` always use 5,000.
        test: Share of the examples used for testing, if the data has no test split.
        split_seed: Seed of these splits.
        duplicates: What to do with training examples that are also in the data's own validation or test split, and
            with validation examples that are also in test: `drop` or `keep` them.
        cache: Where to keep decoded images of a folder, so that each file is decoded once: in `memory`, or on `disk`
            in the cache folder, for later runs too. No effect on datasets stored as arrays.
    """

    name: Annotated[str, Field(min_length=1)]
    target: Annotated[str | tuple[str, ...] | None, Field(examples=["price"]), BeforeValidator(one_or_tuple)] = None
    images: Annotated[ImageSettings | None, BeforeValidator(none_or_table)] = None
    table: Annotated[TableSettings | None, BeforeValidator(none_or_table)] = None
    series: Annotated[SeriesSettings | None, BeforeValidator(none_or_table)] = None
    text: Annotated[TextSettings | None, BeforeValidator(none_or_table)] = None
    validation: Annotated[OpenShare | Literal["auto"], BeforeValidator(share_or_auto)] = AUTO
    test: OpenShare = 0.2
    split_seed: Whole = 0
    duplicates: Literal["drop", "keep"] = "drop"
    cache: Literal["none", "memory", "disk"] = "none"

    @model_validator(mode="after")
    def _check_one_kind(self) -> DatasetSettings:
        if len(kinds := [kind for kind in KINDS if getattr(self, kind) is not None]) > 1:
            first, second = kinds[:2]
            raise ValueError(
                f"Data must be of one kind. Received: `dataset.{first}` and `dataset.{second}`. Remove one: "
                f"--set dataset.{first}=none or --set dataset.{second}=none."
            )
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to predict; empty if none is named."""
        return (self.target,) if isinstance(self.target, str) else self.target or ()

    def table_target(self) -> str | None:
        """Return the column of a table to predict; None if none is named.

        Raises:
            ValueError: If several are named.
        """
        if isinstance(self.target, tuple):
            raise ValueError(
                f"A table has one column to predict. Received: {', '.join(self.target)}. Name one in `dataset.target`; "
                "or read a CSV file as a series, --set dataset.series.window=24."
            )
        return self.target

    def of_images(self) -> ImageSettings:
        """Return the settings of images, or the defaults."""
        return self.images or ImageSettings()

    def of_table(self) -> TableSettings:
        """Return the settings of a table, or the defaults."""
        return self.table or TableSettings()

    def of_series(self) -> SeriesSettings:
        """Return the settings of a series, or the defaults."""
        return self.series or SeriesSettings()

    def of_text(self) -> TextSettings:
        """Return the settings of texts, or the defaults."""
        return self.text or TextSettings()


class ExportSettings(SettingsTable):
    """Settings of export.

    Attributes:
        formats: Formats that `dlt export` writes by default.
        max_drop: Largest allowed drop of the score: a number, or a percentage of the float score. `none` uses
            the task's.
        input: Input type of int8 files: `uint8`, a camera's bytes, or `int8`, the bytes less 128.
        calibration: Number of training examples that calibrate the quantization of integer formats.
        string_inputs: Also write a variant to `exports/strings/` that takes a table's categories as text and looks up
            their ids.
        stateful: Also write a streaming form of a sequence network to `exports/stateful/`: one row in, the states in
            and out.
    """

    formats: tuple[str, ...] = tuple(catalog.FORMATS)
    max_drop: StrictFloat | str | None = None
    input: Literal["uint8", "int8"] = "uint8"
    calibration: Count = 256
    string_inputs: StrictBool = False
    stateful: StrictBool = False

    @field_validator("formats")
    @classmethod
    def _check_formats(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for name in formats:
            catalog.check_name("format", name)
        return formats

    @field_validator("max_drop")
    @classmethod
    def _check_drop(cls, max_drop: str | float | None) -> str | float | None:
        if max_drop is not None:
            parse_drop(max_drop)
        return max_drop


def parse_drop(max_drop: str | float) -> tuple[float, bool]:
    """Read an allowed drop such as `0.01` or `"1%"`.

    Returns:
        The drop, and whether it is relative to the float score.

    Raises:
        ValueError: If it is no number or percentage, or negative.
    """
    text = str(max_drop).strip()
    relative = text.endswith("%")
    try:
        value = float(text.rstrip("%")) / (100 if relative else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(
            f"`max_drop` must be a number such as 0.01 or a percentage such as 1%. Received: {max_drop!r}."
        )
    return value, relative
