"""The tables of a template: what can be said of the data, the training and the export, and within which limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
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

Share = Annotated[float, Field(ge=0, lt=1, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
Count = Annotated[int, Field(gt=0, strict=True)]
Whole = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
OpenShare = Annotated[float, Field(gt=0, lt=1, strict=True)]


class Part(BaseModel):
    """A table of the template: unknown keys are errors, values are fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Named(BaseModel):
    """A name and the options of what it names; `"x"` is short for `{ name = "x" }`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """All but the name."""
        return dict(self.model_extra or {})


FRESH = "fresh"


class ModelSettings(Named):
    """The network: its name, the options of its builder, and what it begins with.

    Attributes:
        weights: What it begins with: `fresh`, random ones; the folder of a run; `imagenet`, which Keras downloads; or a
            `.h5` file of such weights. They must be of the same architecture, the last layer aside where it has
            another number of outputs. They are read again when the training is resumed.
    """

    weights: Annotated[str, Field(min_length=1)] = FRESH


def name_or_table(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def none_or_table(value: Any) -> Any:
    return None if value == "none" else value


def number_or_table(value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {"name": "constant", "value": value} if is_number else name_or_table(value)


NO_DATASET = "none"  # the name where a task brings data of its own


ColumnKind = Literal["number", "date", "category", "skip"]


class ImageSettings(Part):
    """How images become the network's input.

    Attributes:
        size: `(height, width)` of the network's input in pixels; None keeps the size that all images share.
        channels: 1 for grey, 3 for colour; None takes what the data has.
        resize: `stretch` to the size, `crop` the middle of its aspect ratio first, or `pad` with black.
    """

    size: tuple[Count, Count] | None = None
    channels: Literal[1, 3] | None = None
    resize: Literal["stretch", "crop", "pad"] = "stretch"


class TableSettings(Part):
    """How the columns of a table are read.

    Attributes:
        columns: Kinds of columns by name, where they are not what they look like; `skip` leaves a column out.
    """

    columns: dict[str, ColumnKind] = {}


class SeriesSettings(Part):
    """How a series is cut into windows.

    Attributes:
        window: Rows that a forecast is computed from; a `.csv` is a series where it is given, else a table.
        horizon: Rows that are forecast.
        season_length: Rows of a season; forecasts are compared with the values of the last one. 1 where there are none.
        columns: Kinds of columns by name, where they are not what they look like; `skip` leaves a column out.
    """

    window: Count | None = None
    horizon: Count = 1
    season_length: Count = 1
    columns: dict[str, ColumnKind] = {}


KINDS = ("images", "table", "series")  # of data, each with a table of settings of its own


class DatasetSettings(Part):
    """Which data, how it is split, and in tables of their own the settings that one kind of data uses.

    Attributes:
        name: A name of the catalog, a folder, `.npz` or `.csv` of the user's, or `package.module:function`.
        target: The column of a table, or a series, that is to be predicted; by default the last.
        images: How images are read; `none` is as if left out, so that a setting can undo that of a template.
        table: How a table is read; likewise.
        series: How a series is read; likewise.
        validation: Share of the training examples set apart where the data has no validation split; `mnist` and
            `fashion_mnist` always set 5,000 apart.
        test: Share set apart where the data has no test split.
        split_seed: Seed of these splits.
        cache: Keep the decoded images of a folder, to decode each file once: in `memory`, or on `disk` in the cache
            folder, for later runs too. Datasets that are arrays are decoded anyway: it has no effect on them.
    """

    name: Annotated[str, Field(min_length=1)]
    target: str | None = None
    images: Annotated[ImageSettings | None, BeforeValidator(none_or_table)] = None
    table: Annotated[TableSettings | None, BeforeValidator(none_or_table)] = None
    series: Annotated[SeriesSettings | None, BeforeValidator(none_or_table)] = None
    validation: OpenShare = 0.1
    test: OpenShare = 0.2
    split_seed: Whole = 0
    cache: Literal["none", "memory", "disk"] = "none"

    @model_validator(mode="after")
    def _of_one_kind(self) -> DatasetSettings:
        if len(given := [kind for kind in KINDS if getattr(self, kind) is not None]) > 1:
            first, second = given[:2]
            raise ValueError(
                f"Data is of one kind. Received: `dataset.{first}` and `dataset.{second}`. Leave one out: "
                f"--set dataset.{first}=none or --set dataset.{second}=none."
            )
        return self

    def of_images(self) -> ImageSettings:
        """Return how images are read, the defaults where nothing is given."""
        return self.images or ImageSettings()

    def of_table(self) -> TableSettings:
        """Return how a table is read, the defaults where nothing is given."""
        return self.table or TableSettings()

    def of_series(self) -> SeriesSettings:
        """Return how a series is read, the defaults where nothing is given."""
        return self.series or SeriesSettings()


class SGD(Part):
    """Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's (Sutskever 2013).

    Attributes:
        initial_momentum: That of the first `initial_epochs` epochs, while steps are large (Hinton 2010, section 9).
        initial_epochs: How many.
    """

    name: Literal["sgd"] = "sgd"
    momentum: Share = 0.0
    nesterov: StrictBool = False
    initial_momentum: Share | None = None
    initial_epochs: Count = 5

    @model_validator(mode="after")
    def _rises(self) -> SGD:
        if self.initial_momentum is not None and (self.nesterov or self.initial_momentum >= self.momentum):
            raise ValueError(
                "`initial_momentum` must be below `momentum`, which is not to be Nesterov's. Received: "
                f"{self.initial_momentum}, momentum {self.momentum}, nesterov {self.nesterov}. Try 0.5 below 0.9."
            )
        return self


class Adagrad(Part):
    """Adagrad (Duchi 2011)."""

    name: Literal["adagrad"]
    initial_accumulator_value: NonNegative = 0.1
    epsilon: Positive = 1e-7


class RMSprop(Part):
    """RMSprop (Hinton 2012)."""

    name: Literal["rmsprop"]
    rho: Share = 0.9
    momentum: Share = 0.0
    epsilon: Positive = 1e-7


class Adam(Part):
    """Adam (Kingma 2015)."""

    name: Literal["adam"]
    beta_1: Share = 0.9
    beta_2: Share = 0.999
    epsilon: Positive = 1e-7


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov 2019); `weight_decay` here is its own, not the L2 penalty."""

    name: Literal["adamw"]  # type: ignore[assignment]
    weight_decay: NonNegative = 0.004


class Constant(Part):
    """The same learning rate throughout."""

    name: Literal["constant"]
    value: Positive


class Cosine(Part):
    """A linear warm-up to `peak`, then half a cosine down to `final` (Loshchilov 2017)."""

    name: Literal["cosine"]
    peak: Positive
    warmup_epochs: NonNegative = 0.0
    final: NonNegative = 0.0

    @model_validator(mode="after")
    def _falls(self) -> Cosine:
        if self.final > self.peak:
            raise ValueError(f"`final` must be at most `peak`. Received: {self.final} over {self.peak}.")
        return self


class OneCycle(Part):
    """Linearly from `peak / 25` to `peak` over `warmup` of the training, then a cosine to nearly 0 (Smith 2018)."""

    name: Literal["one_cycle"]
    peak: Positive
    warmup: Share = 0.3


class Step(Part):
    """`value`, multiplied by `factor` at each of the epochs `at` (He 2016 section 4.2)."""

    name: Literal["step"]
    value: Positive
    at: Annotated[tuple[Count, ...], Field(min_length=1)]
    factor: Positive = 0.1

    @field_validator("at")
    @classmethod
    def _increasing(cls, at: tuple[int, ...]) -> tuple[int, ...]:
        if list(at) != sorted(set(at)):
            raise ValueError(f"epochs must increase. Received: {list(at)}. Try {sorted(set(at))}.")
        return at


class RandAugment(Part):
    """Some of 14 operations, drawn anew for each image (Cubuk 2020).

    Attributes:
        operations: How many, one after the other; the paper's N.
        magnitude: How strong, from 0 (as good as nothing) to 10; the paper's M on the scale of its 0..10.
    """

    operations: Count = 2
    magnitude: Annotated[float, Field(ge=0, le=10, strict=True)] = 9.0


class Augment(Part):
    """Random changes of the training images, in this order.

    Attributes:
        random_crop: Bring the image to a canvas of its size (`dataset.images.size`) over this share, and cut out a
            window of that size at a random place; 0.875 makes 256 of 224. Other splits show the whole image.
        flip: Mirror every second image, left to right.
        crop_padding: Pad by this many black pixels and crop back at a random place.
        randaugment: Some of 14 operations; `{}` takes 2 of magnitude 9.
        rotation: Turn by up to this many degrees either way.
        brightness: Add up to this share of 255 either way.
        contrast: Stretch about the image's mean by a factor of 1 plus or minus up to this.
        cutout: Side in pixels of a black square at a random place (DeVries 2017); 0 for none.
        mixup: Mix pairs of images and their targets by a share drawn from Beta(mixup, mixup) (Zhang 2018); 0 for none.
        cutmix: Put a box of one image into the other, its area drawn from Beta(cutmix, cutmix) (Yun 2019); 0 for none.
            With `mixup` given too, each pair takes one of the two.
    """

    random_crop: OpenShare | None = None
    flip: StrictBool = False
    crop_padding: Whole = 0
    randaugment: RandAugment | None = None
    rotation: Annotated[float, Field(ge=0, le=180, strict=True)] = 0.0
    brightness: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.0
    contrast: Share = 0.0
    cutout: Whole = 0
    mixup: NonNegative = 0.0
    cutmix: NonNegative = 0.0


class Pretrain(Part):
    """A training of each restricted Boltzmann machine of a network by itself, from the first on, before that of all.

    Attributes:
        epochs: For each machine.
        learning_rate: Of stochastic gradient descent.
        optimizer: That, with its momentum.
        weight_decay: Times half the squared norm of the machine's weights.
        gibbs_steps: Steps of Gibbs sampling per update; the k of CD-k.
    """

    epochs: Count = 10
    learning_rate: Positive = 0.1
    optimizer: SGD = SGD(momentum=0.9, initial_momentum=0.5)
    weight_decay: NonNegative = 2e-4
    gibbs_steps: Annotated[int, Field(ge=1, le=25, strict=True)] = 1


class TrainSettings(Part):
    """How it is trained.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Examples per step.
        optimizer: One of `sgd`, `adagrad`, `rmsprop`, `adam`, `adamw`, with its options.
        learning_rate: A number, or one of the schedules `constant`, `cosine`, `one_cycle`, `step`.
        weight_decay: L2 penalty on every kernel: half of this times its squared norm is added to the loss, so that its
            gradient is this times the kernel, as in the papers.
        auxiliary_weight: Weight in the loss of each auxiliary classifier that the network has (Szegedy 2015: 0.3).
        clip_norm: Gradients whose norm over all variables is greater are scaled down to it; None leaves them.
        precision: What the network computes in: `float32`, `mixed_bfloat16`, `mixed_float16` (with a loss scale), or
            `auto`, which is mixed_bfloat16 on GPUs that compute in it and float32 elsewhere. Exports are float32.
        class_weight: `balanced` weighs each class by the inverse of how often it occurs.
        augment: Random changes of the training images.
        pretrain: A training of each restricted Boltzmann machine of the network before, or `none`; `epochs` do not
            count it.
        labels: How many of the training examples have a label that is used, drawn at random by `dataset.split_seed`;
            the others serve `pretrain` alone. None uses all.
        keep: Which weights become the run's: those of the `best` epoch on validation, or the `last`, where the loss has
            one lowest point and training goes there.
        early_stopping: Stop after this many epochs without a better monitored figure; None never does.
        deterministic: The same bits on every run on the same machine. On a GPU steps are compiled by XLA without it.
        checkpoint_seconds: Least time between two checkpoints; 0 writes one after every step. Where writing one takes
            more than a fiftieth of that, they are written more rarely.
        checkpoints: How many are kept, the newest; one that turns out to be broken is passed over.
    """

    epochs: Count = 20
    batch_size: Count = 64
    optimizer: Annotated[
        SGD | Adagrad | RMSprop | Adam | AdamW, Field(discriminator="name"), BeforeValidator(name_or_table)
    ] = Adam(name="adam")
    learning_rate: Annotated[
        Constant | Cosine | OneCycle | Step, Field(discriminator="name"), BeforeValidator(number_or_table)
    ] = Constant(name="constant", value=1e-3)
    weight_decay: NonNegative = 0.0
    auxiliary_weight: NonNegative = 0.3
    clip_norm: Positive | None = None
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    class_weight: Literal["none", "balanced"] = "none"
    augment: Augment = Augment()
    pretrain: Annotated[Pretrain | None, BeforeValidator(none_or_table)] = None
    labels: Count | None = None
    keep: Literal["best", "last"] = "best"
    early_stopping: Count | None = None
    deterministic: StrictBool = True
    checkpoint_seconds: NonNegative = 60.0
    checkpoints: Count = 2

    @model_validator(mode="after")
    def _stops_at_the_best(self) -> TrainSettings:
        if self.early_stopping is not None and self.keep == "last":
            raise ValueError(
                "`early_stopping` waits for a better epoch, of which there is none where `keep` is last. Received: "
                f"early_stopping {self.early_stopping} and keep {self.keep!r}. Leave one out."
            )
        return self


class ExportSettings(Part):
    """What is written for deployment.

    Attributes:
        formats: What `dlt export` writes when not told otherwise.
        max_drop: Greatest drop of the score: a number, or a percentage of the float score; None takes the task's.
        input: What int8 files take: `uint8`, a camera's bytes, or `int8`, the same shifted by 128.
        calibration: Number of training examples that set the ranges of the integer formats.
        strings: Write a second form too, in `exports/strings/`, that takes the categories of a table as text and looks
            up their ids by itself.
    """

    formats: tuple[str, ...] = tuple(catalog.FORMATS)
    max_drop: str | StrictFloat | None = None
    input: Literal["uint8", "int8"] = "uint8"
    calibration: Count = 256
    strings: StrictBool = False

    @field_validator("formats")
    @classmethod
    def _known(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for name in formats:
            catalog.check_name("format", name)
        return formats

    @field_validator("max_drop")
    @classmethod
    def _a_drop(cls, max_drop: str | float | None) -> str | float | None:
        if max_drop is not None:
            parse_drop(max_drop)
        return max_drop


def parse_drop(max_drop: str | float) -> tuple[float, bool]:
    """Read `0.01` or `"1%"` as the allowed drop and whether it is a share of the float score.

    Raises:
        ValueError: If it is neither, or negative.
    """
    text = str(max_drop).strip()
    relative = text.endswith("%")
    try:
        value = float(text.rstrip("%")) / (100 if relative else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(f"`max_drop` must be a number such as 0.01 or a share such as 1%. Received: {max_drop!r}.")
    return value, relative
