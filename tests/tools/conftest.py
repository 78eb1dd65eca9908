import pytest

from conftest import load_tool


@pytest.fixture(scope="module")
def tool(request):
    """Return the script of a test module: `test_NAME.py` tests `tools/NAME.py`."""
    return load_tool(request.path.stem.removeprefix("test_"))
