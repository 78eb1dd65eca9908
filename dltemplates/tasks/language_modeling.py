"""Language modeling: predict the next token at each position of a text, and continue texts.

The score is the mean loss of a token in nats. Perplexity is exp(loss). Bits per character divides the loss of all
tokens by ln 2 and by the number of their characters, so that networks with other tokens can be compared.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dltemplates.datasets.source import Dataset, Source
from dltemplates.datasets.spec import DatasetSpec, IOSpec, input_sizes
from dltemplates.datasets.text.stream import TEXT
from dltemplates.features import AnyFeature, Tokens
from dltemplates.features.tokens import PADDING, lengths_of
from dltemplates.tasks.model_signature import Shapes
from dltemplates.tasks.scoring.decoding import PROMPT, Decoder, SamplingOptions, sample
from dltemplates.tasks.scoring.evaluation import Evaluation, System
from dltemplates.tasks.scoring.intervals import ratio_of
from dltemplates.tasks.task import Arrays, SupervisedTask

if TYPE_CHECKING:
    import keras

    from dltemplates.tasks.serving.contract import ServingModel
    from dltemplates.template import Template

SAMPLE_BEGINNING, SAMPLE_TOKENS = 2 * PROMPT, 80  # tokens to read and to write after an epoch
OUTPUT = "continuation"


class LanguageModeling(SupervisedTask):
    """Predict the next token at each position of a text.

    The network's logits (batch, length, vocabulary) are of the token after each position. It is served as a network of
    one step, `decode`: a token and the states of the tokens before it go in, the logits of the next token come out.
    """

    name = "language_modeling"
    kind = "tokens"
    input_kinds = ("tokens",)
    direction = "min"
    budget = "1%"
    monitor = "val_loss"
    monitor_direction = "min"
    max_checked = 100  # windows
    prediction_options = ("temperature", "top_k", "top_p", "max_tokens", "seed")
    target: Tokens

    def __init__(
        self,
        spec: IOSpec,
        *,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        max_tokens: int = 200,
        seed: int = 0,
    ):
        """Create the task.

        Args:
            spec: The data: windows of a text.
            temperature: Divides the logits before a token is drawn; 0 always takes the most probable token.
            top_k: Draw among this many most probable tokens; 0 for all.
            top_p: Draw among the most probable tokens whose probabilities reach this sum, in (0, 1] (Holtzman et al.:
                "The Curious Case of Neural Text Degeneration", ICLR 2020, https://arxiv.org/abs/1904.09751).
            max_tokens: Number of tokens of a continuation.
            seed: Seed of the draws.

        Raises:
            ValueError: If an option is out of range.
        """
        super().__init__(spec)
        self.sampling = SamplingOptions(temperature, top_k, top_p, max_tokens, seed)

    def adapt(self, dataset: Dataset) -> Dataset:
        if self.inputs[0].name != TEXT:
            raise ValueError(
                "Task language_modeling needs one running text. Received: pairs of texts. Choose a .txt file with "
                "--data, or the task text_to_text."
            )
        return dataset

    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        return input_sizes(spec)

    def model_signature(self, spec: DatasetSpec) -> dict[str, Shapes]:
        return {"": Shapes(None, (None, self.target.vocabulary_size))}

    def batch(self, example: dict[str, Any], *, training: bool) -> tuple[Any, Any, Any]:
        import keras

        target = example[self.target.name]
        return self.model_inputs(example), target, keras.ops.cast(target != PADDING, "float32")

    def loss(self):
        import keras

        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def metrics(self):
        import keras

        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def present(self, logits: Any) -> Any:
        return logits

    def output(self) -> AnyFeature:
        return self.target.model_copy(update={"name": OUTPUT, "shape": (self.sampling.max_tokens,)})

    def serve(self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str) -> dict[str, ServingModel]:
        from dltemplates.tasks.serving.decoding import decoder_only
        from dltemplates.tasks.serving.token_steps import serve_steps

        length = self.target.shape[0]
        parts = decoder_only(model, length, min(PROMPT, length))
        return serve_steps(parts, self, spec, template, name=name)

    def evaluate(self, system: System, source: Source) -> Evaluation:
        arrays = source.read(np.arange(len(source)))
        target = arrays[self.target.name]
        return self.compare(arrays, {"losses": Decoder(system.parts).losses(arrays, target)})

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        losses, ids = outputs["losses"].astype(np.float64), targets[self.target.name]
        total, tokens = losses.sum(axis=1), lengths_of(ids).astype(np.float64)
        characters = self._characters(ids)
        loss = float(total.sum() / tokens.sum())
        scores = {
            "loss": loss,
            "perplexity": math.exp(loss),
            "bits_per_character": float(total.sum() / characters.sum() / math.log(2)),
        }
        per_token, per_character = ratio_of(total, tokens), ratio_of(total, characters * math.log(2))
        return Evaluation(
            scores,
            {self.target.name: ids},
            {"losses": outputs["losses"]},
            errors=total / tokens,
            score_of={
                "loss": per_token,
                "perplexity": lambda weights: np.exp(per_token(weights)),
                "bits_per_character": per_character,
            },
        )

    def _characters(self, ids: np.ndarray) -> np.ndarray:
        """Return the number of characters of each text, (n,): an unknown token counts as one, a space between words."""
        lengths = np.array([0, 1, 0, 0, *map(len, self.target.vocabulary)], np.float64)
        spaces = 1 if self.target.tokenizer == "words" else 0  # subwords have theirs
        return np.where(ids == PADDING, 0, lengths[ids] + spaces).sum(axis=1)

    def predict(self, system: System, inputs: Arrays) -> Arrays:
        """Continue texts token by token."""
        (value,) = self.inputs
        decoder = Decoder(system.parts)
        length = value.shape[0]
        texts = [sample(decoder, row[row != PADDING], self.sampling, length=length) for row in inputs[value.name]]
        return {OUTPUT: np.stack(texts)}

    def sample_texts(self, system: System, validation: Source) -> list[dict[str, str]]:
        (value,) = self.inputs
        assert isinstance(value, Tokens)
        beginning = validation.read(np.arange(1))[value.name][0, :SAMPLE_BEGINNING]
        options = replace(self.sampling, max_tokens=min(SAMPLE_TOKENS, self.sampling.max_tokens))
        written = sample(Decoder(system.parts), beginning, options, length=value.shape[0])
        return [{"beginning": value.text(beginning), "continuation": self.target.text(written)}]

    def format(self, outputs: Arrays) -> list[dict[str, Any]]:
        return [{OUTPUT: self.target.text(row)} for row in outputs[OUTPUT]]
