from dltemplates.cli.output import short


def test_short_prints_a_prediction_in_a_few_words():
    assert short("values", [0.25, 2.0]) == "values 0.25, 2"
    boxes = [{"class": "cat", "left": 0.5}, {"class": "dog", "left": 0.25}]
    assert short("boxes", boxes) == "boxes cat left 0.5000; dog left 0.2500"
    assert short("next", {"cat": 0.5}) == "cat 0.5000"
