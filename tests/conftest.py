import pytest


@pytest.fixture(scope="session")
def ml100k():
    """MovieLens 100K, from the cache or fetched."""
    from d2l_autorec.data.sources import load_ml100k

    return load_ml100k(quiet=True)
