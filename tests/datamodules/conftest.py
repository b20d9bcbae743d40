import pytest


@pytest.fixture
def csv(tmp_path):
    """Return a function that writes a table as CSV and gives its path."""

    def write(frame, name="houses.csv", **arguments):
        frame.to_csv(tmp_path / name, index=False, **arguments)
        return tmp_path / name

    return write
