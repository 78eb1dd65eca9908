import pytest

from dltemplates import catalog


@pytest.fixture(scope="module", autouse=True)
def trusted(request):
    """The module of a toy is one that names in files may refer to."""
    catalog.trust(request.module.MODULE)
    yield
    catalog._trusted.discard(request.module.MODULE)
