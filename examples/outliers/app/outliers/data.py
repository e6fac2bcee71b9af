"""The public data sets, as the package vega-datasets ships them, read with the standard library."""

import csv
import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Dataset:
    """A file of the package, and which of its columns mean what."""

    file: str
    label: str
    group: str
    numbers: tuple[str, ...]


DATASETS = {
    "seattle-weather": Dataset(
        "seattle-weather.csv", "date", "weather", ("precipitation", "temp_max", "temp_min", "wind")
    ),
    "cars": Dataset("cars.json", "Name", "Origin", ("Miles_per_Gallon", "Horsepower", "Weight_in_lbs", "Acceleration")),
}


def read_rows(dataset: Dataset) -> list[dict[str, Any]]:
    """Return the records of a data set as its file has them."""
    path = _folder() / dataset.file
    if path.suffix == ".json":
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return rows
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _folder() -> Path:
    # Found without importing the package: its code needs pandas, its files do not.
    spec = find_spec("vega_datasets")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package 'vega-datasets' is not installed; install the requirements.txt of this example")
    return Path(spec.submodule_search_locations[0]) / "_data"
