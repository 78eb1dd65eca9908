"""A format for one test: all that a new format needs, except its lines in the catalog and in `FORMATS`."""

from dltemplates import catalog
from dltemplates.catalog_models import Entry
from dltemplates.deploy.formats.format import Format

KEY = "tflite:again"
ENTRY = Entry(f"{__name__}:AGAIN", "TFLite, float32, once more")


def _convert(job, out):
    from dltemplates.deploy.converters import tflite

    tflite.write(tflite.open_converter(job.frozen_path).convert(), out, job.contract)


AGAIN = Format(key=KEY, suffix=".again.tflite", convert=_convert, tolerance=1e-4)


def work():
    """Convert like the converter process, with this format in its catalog."""
    from dltemplates.deploy import worker

    catalog.FORMATS[KEY] = ENTRY
    worker.main()
