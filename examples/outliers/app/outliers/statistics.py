"""Where a column's ordinary values end."""

from statistics import fmean, pstdev, quantiles


def compute_bounds(values: list[float], method: str, threshold: float) -> tuple[float, float]:
    """Return the lowest and the highest ordinary value.

    ``iqr``: ``threshold`` interquartile ranges beyond the quartiles (Tukey's fences, usually 1.5). ``zscore``:
    ``threshold`` standard deviations around the mean (usually 3).
    """
    if len(values) < 2:
        return (min(values, default=0.0), max(values, default=0.0))
    if method == "zscore":
        middle, width = fmean(values), pstdev(values) * threshold
        return middle - width, middle + width
    low, _, high = quantiles(values, n=4, method="inclusive")
    width = (high - low) * threshold
    return low - width, high + width
