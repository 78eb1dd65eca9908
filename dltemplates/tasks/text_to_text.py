"""Text to text: read a text and write another, such as a translation, an answer or a summary.

BLEU and chrF are those of sacrebleu (Post: "A Call for Clarity in Reporting BLEU Scores", WMT 2018,
https://arxiv.org/abs/1804.08771): BLEU with the tokenizer 13a, in lower case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from dltemplates.datasets.source import Dataset, Source
from dltemplates.datasets.spec import DatasetSpec, IOSpec, input_sizes
from dltemplates.datasets.text.pairs import SOURCE
from dltemplates.features import AnyFeature, Tokens
from dltemplates.features.tokens import PADDING, START
from dltemplates.tasks.scoring.decoding import Decoder, beam_search, greedy
from dltemplates.tasks.scoring.evaluation import Evaluation, System, worst_and_others
from dltemplates.tasks.scoring.intervals import mean_of
from dltemplates.tasks.scoring.text_scores import bleu_stats, chrf, sacrebleu, score_by_text, score_of_bleu
from dltemplates.tasks.task import Arrays, SupervisedTask

if TYPE_CHECKING:
    import keras

    from dltemplates.tasks.serving.contract import ServingModel
    from dltemplates.template import Template

BATCH = 50  # texts at a time
SAMPLES = 3  # texts to write after an epoch
MAX_SHOWN = 20  # texts in the report; half of them the worst
OUTPUT = "text"
Score: TypeAlias = Literal["bleu", "chrf", "exact"]
SCORES: tuple[Score, ...] = get_args(Score)


class TextToText(SupervisedTask):
    """Read a text and write another.

    In training, the network reads the source and the target, and predicts each token of the target from those before.
    It is served as two parts: `encoder` reads the source once, `decode` writes one token at a time.
    """

    name = "text_to_text"
    kind = "tokens"
    input_kinds = ("tokens",)
    budget = "2%"
    monitor = "val_loss"
    monitor_direction = "min"
    max_checked = 300
    prediction_options = ("beam",)
    target: Tokens

    def __init__(
        self,
        spec: IOSpec,
        *,
        label_smoothing: float = 0.0,
        beam: int = 1,
        score: Score = "bleu",
    ):
        """Create the task.

        Args:
            spec: The data: pairs of texts.
            label_smoothing: Share of a token's target spread evenly over the vocabulary, in [0, 1) (Vaswani 2017
                section 5.4).
            beam: Number of beginnings that the search keeps; 1 takes the most probable token at each step.
            score: The first score: `bleu`, `chrf`, or `exact`, the share of texts that equal the target. With `exact`,
                the others are not computed.

        Raises:
            ValueError: If an option is out of range.
        """
        super().__init__(spec)
        if not (isinstance(label_smoothing, (int, float)) and 0 <= label_smoothing < 1):
            raise ValueError(f"`label_smoothing` must be in [0, 1). Received: {label_smoothing!r}. Try 0.1.")
        if not isinstance(beam, int) or isinstance(beam, bool) or beam < 1:
            raise ValueError(f"`beam` must be a whole number of at least 1. Received: {beam!r}. Try 4.")
        if score not in SCORES:
            raise ValueError(f"`score` must be one of {', '.join(SCORES)}. Received: {score!r}. Try bleu.")
        self.label_smoothing, self.beam = label_smoothing, beam
        self.first_score: Score = score

    def adapt(self, dataset: Dataset) -> Dataset:
        if self.inputs[0].name != SOURCE:
            raise ValueError(
                "Task text_to_text needs pairs of texts. Received: one running text. Choose a table of pairs with "
                "--data, or the task language_modeling."
            )
        if self.first_score != "exact":
            sacrebleu()  # before the training, not after it
        return dataset

    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        return input_sizes(spec)

    def assemble(
        self, network: keras.Model, spec: DatasetSpec, *, center: tuple[float, ...] | None = None
    ) -> keras.Model:
        import keras

        inputs = {tensor.name: keras.Input((None,), name=tensor.name, dtype="int32") for tensor in network.inputs}
        return keras.Model(inputs, network(inputs), name=network.name)

    def batch(self, example: dict[str, Any], *, training: bool) -> tuple[Any, Any, Any]:
        from keras import ops

        source, target = example[self.inputs[0].name], example[self.target.name]
        start = ops.full_like(target[:, :1], START)
        weights = ops.cast(target != PADDING, "float32")
        return {"source": source, "target": ops.concatenate([start, target[:, :-1]], axis=1)}, target, weights

    def loss(self):
        import keras

        if not self.label_smoothing:
            return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        from dltemplates.tasks.scoring.losses import SmoothedTokenLoss

        return SmoothedTokenLoss(self.label_smoothing)

    def metrics(self):
        import keras

        return [keras.metrics.SparseCategoricalCrossentropy(name="nll", from_logits=True)]

    def present(self, logits: Any) -> Any:
        return logits

    def output(self) -> AnyFeature:
        return self.target.model_copy(update={"name": OUTPUT})

    def serve(self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str) -> dict[str, ServingModel]:
        from dltemplates.tasks.serving.decoding import encoder_decoder
        from dltemplates.tasks.serving.decoding_rnn import has_attention_gru, seq2seq_parts
        from dltemplates.tasks.serving.token_steps import serve_steps

        length = spec.targets[0].shape[0]
        source_length = spec.inputs[0].shape[0]
        if has_attention_gru(model):
            parts = seq2seq_parts(model, source_length)
        else:
            parts = encoder_decoder(model, length, source_length)
        return serve_steps(parts, self, spec, template, name=name)

    def predict(self, system: System, inputs: Arrays) -> Arrays:
        decoder, steps = Decoder(system.parts), self.target.shape[0]
        count = len(inputs[self.inputs[0].name])
        if self.beam == 1:
            return {OUTPUT: greedy(decoder, inputs, count, max_tokens=steps)}
        rows = ({name: array[place : place + 1] for name, array in inputs.items()} for place in range(count))
        return {OUTPUT: np.stack([beam_search(decoder, row, beam=self.beam, max_tokens=steps) for row in rows])}

    def sample_texts(self, system: System, validation: Source) -> list[dict[str, str]]:
        (value,) = self.inputs
        assert isinstance(value, Tokens)
        count = min(len(validation), SAMPLES)
        arrays = validation.read(np.linspace(0, len(validation) - 1, count).round().astype(np.int64))
        written = self.predict(system, {value.name: arrays[value.name]})[OUTPUT]
        return [
            {"source": value.text(a), "expected": self.target.text(b), "written": self.target.text(c)}
            for a, b, c in zip(arrays[value.name], arrays[self.target.name], written, strict=True)
        ]

    def evaluate(self, system: System, source: Source) -> Evaluation:
        arrays = source.read(np.arange(len(source)))
        inputs = {value.name: arrays[value.name] for value in self.inputs}
        outputs = [
            self.predict(system, {name: array[start : start + BATCH] for name, array in inputs.items()})[OUTPUT]
            for start in range(0, len(source), BATCH)
        ]
        return self.compare(inputs | {self.target.name: arrays[self.target.name]}, {OUTPUT: np.concatenate(outputs)})

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        expected = [self.target.text(row) for row in targets[self.target.name]]
        written = [self.target.text(row) for row in outputs[OUTPUT]]
        is_equal = np.array([one == other for one, other in zip(written, expected, strict=True)])
        scores = {"exact": float(is_equal.mean())}
        score_of = {"exact": mean_of(is_equal)}
        if self.first_score != "exact":
            score_of["bleu"] = score_of_bleu(bleu_stats(written, expected))
            scores["bleu"] = float(score_of["bleu"](np.ones((1, len(written))))[0])
            scores["chrf"] = chrf(written, expected)
            scores = {name: scores[name] for name in (self.first_score, *SCORES) if name in scores}
        return Evaluation(
            scores,
            targets,
            outputs,
            {"texts": self._texts(targets[self.inputs[0].name], written, expected)},
            decisions=outputs[OUTPUT],
            errors=1.0 - is_equal if self.first_score == "exact" else None,
            is_accuracy=self.first_score == "exact",
            shares={"exact": is_equal},
            score_of=score_of,
        )

    def _texts(self, sources: np.ndarray, written: list[str], expected: list[str]) -> list[dict[str, Any]]:
        """Return the texts of the worst examples, then of others, each with its score."""
        (value,) = self.inputs
        assert isinstance(value, Tokens)
        is_right = [one == other for one, other in zip(written, expected, strict=True)]
        name = self.first_score
        scores = 100.0 * np.array(is_right) if name == "exact" else score_by_text(name, written, expected)
        return [
            {"source": value.text(sources[index]), "expected": expected[index], "written": written[index]}
            | ({"wrong": not is_right[index]} if name == "exact" else {name: float(scores[index])})
            for index in worst_and_others(100 - scores, MAX_SHOWN)
        ]

    def format(self, outputs: Arrays) -> list[dict[str, Any]]:
        return [{OUTPUT: self.target.text(row)} for row in outputs[OUTPUT]]
