"""The exponential by operations that every processor rounds alike: constants of its code, for both float types.

exp(x) = 2**n * exp(r), abs(r) <= ln(2) / 2: within 1 ulp of the true value; the power of two in two halves, so that
results near the ends of the range are right.
"""

_TERMS = {"float32": 7, "float64": 13}
_CONSTANTS = {
    "float32": {
        "dtype": "float32", "integer": "int32", "bias": "127", "mantissa": "23", "most": "120.0", "most_2": "170.0",
        "high": "0.693359375", "low": "-2.12194440e-4", "no_fraction": "8388608.0",
    },
    "float64": {
        "dtype": "float64", "integer": "int64", "bias": "1023", "mantissa": "52", "most": "800.0", "most_2": "1150.0",
        "high": "0.6931471803691238", "low": "1.9082149292705877e-10", "no_fraction": "4503599627370496.0",
    },
}  # fmt: skip


def constants_of(dtype: str, literal: str = "{}") -> dict[str, str]:
    """Constants by name, and the lines of the series, whole and from its square on: 1 / 2 + r / 6 + ...

    literal : how a coefficient is written
    """
    return {
        **_CONSTANTS[dtype],
        "series": _lines(_TERMS[dtype], 0, literal),
        "series_from_square": _lines(_TERMS[dtype] + 1, 2, literal),
    }


def _lines(terms: int, least: int, literal: str) -> str:
    """Horner's rule for the sum of r**(k - least) / k!."""
    factorials = [1]
    for k in range(1, terms + 1):
        factorials.append(factorials[-1] * k)
    lines = [f"p = {literal.format(repr(1 / factorials[terms]))}"]
    lines += [f"p = p * r + {literal.format(repr(1 / factorials[k]))}" for k in range(terms - 1, least - 1, -1)]
    return "\n    ".join(lines)
