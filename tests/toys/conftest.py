import pytest

from dltemplates import catalog


@pytest.fixture(scope="module", autouse=True)
def trusted(request):
    """Trust the module of a toy, so that files may refer to its names."""
    catalog.trust(request.module.MODULE)
    yield
    catalog._trusted.discard(request.module.MODULE)
