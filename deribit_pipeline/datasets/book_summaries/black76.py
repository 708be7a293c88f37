"""Black's formula for options on a forward (Black 1976), as macros: prices, greeks and implied
volatility.

DuckDB has no normal distribution. Its tail is computed with the rational approximations to the
error function of W. J. Cody, "Rational Chebyshev approximations for the error function",
Mathematics of Computation 23 (1969), with the coefficients of his program CALERF (1990): relative
errors of 1e-15 at most. They are those of Mills' ratio, the tail divided by the density, which
neither underflows nor cancels where tails do: prices of options far out of the money keep their
digits. The other side of the distribution follows by symmetry.

A macro's parameters occur outside of lambdas only, because a lambda's variable hides a column of
the same name. A list of one element, transformed by a lambda, computes an intermediate value once.
"""

from collections.abc import Sequence
from math import pi, sqrt

from deribit_pipeline.domain.tables import View

_ROOT_2 = sqrt(2)
_ROOT_HALF_PI = sqrt(pi / 2)
_ROOT_2_PI = sqrt(2 * pi)

# P and Q of CALERF's three intervals, highest power first: erf(y) / y in y² up to 0.46875,
# exp(y²) erfc(y) in y up to 4, and in 1 / y² beyond.
_NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560e00, 1.13864154151050156e02,
     3.77485237685302021e02, 3.20937758913846947e03),
    (1.0, 2.36012909523441209e01, 2.44024637934444173e02, 1.28261652607737228e03,
     2.84423683343917062e03),
)  # fmt: skip
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e00,
     6.61191906371416295e01, 2.98635138197400131e02, 8.81952221241769090e02,
     1.71204761263407058e03, 2.05107837782607147e03, 1.23033935479799725e03),
    (1.0, 1.57449261107098347e01, 1.17693950891312499e02, 5.37181101862009858e02,
     1.62138957456669019e03, 3.29079923573345963e03, 4.36261909014324716e03,
     3.43936767414372164e03, 1.23033935480374942e03),
)  # fmt: skip
_FAR = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
     1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242e00, 1.87295284992346725e00, 5.27905102951428412e-1,
     6.05183413124413191e-2, 2.33520497626869185e-3),
)  # fmt: skip


def _double(value: float) -> str:
    """A literal that DuckDB reads as a double: without an exponent it would be a decimal."""
    return f"{value:.17e}"


def _ratio(coefficients: tuple[Sequence[float], Sequence[float]], variable: str) -> str:
    """A rational function, in Horner's form."""
    numerator, denominator = (
        _polynomial([_double(value) for value in side], variable) for side in coefficients
    )
    return f"{numerator}\n             / {denominator}"


def _polynomial(coefficients: Sequence[str], variable: str) -> str:
    nested = coefficients[0]
    for coefficient in coefficients[1:]:
        nested = f"({nested} * {variable} + {coefficient})"
    return nested


MILLS_RATIO = View(
    name="mills_ratio",
    parameters=("x",),
    is_scalar=True,
    description="The normal distribution's tail beyond x, divided by its density at x, for x from "
    "0 on; null for others.",
    query=f"""
list_transform([cast(x as double) / {_double(_ROOT_2)}], lambda y: {_double(_ROOT_HALF_PI)} * case
    when y < 0 then null
    when y <= 0.46875
    then exp(y * y) * (1 - y * {_ratio(_NEAR, "(y * y)")})
    when y <= 4
    then {_ratio(_MIDDLE, "y")}
    else list_transform([1 / (y * y)], lambda z: {_double(1 / sqrt(pi))} - z *
             {_ratio(_FAR, "z")})[1] / y
end)[1]""",
)

# The square is split as in CALERF, so that its rounding does not spoil the exponential.
NORMAL_DENSITY = View(
    name="normal_density",
    parameters=("x",),
    is_scalar=True,
    description="The density of the standard normal distribution.",
    query=f"""
list_transform([abs(cast(x as double))], lambda y: if(y > 39, 0, list_transform(
    [trunc(y * 16) / 16],
    lambda z: exp(-z * z / 2) * exp(-(y - z) * (y + z) / 2) / {_double(_ROOT_2_PI)}
)[1]))[1]""",
)

NORMAL_CDF = View(
    name="normal_cdf",
    parameters=("x",),
    is_scalar=True,
    description="The standard normal distribution: the probability of a value up to x. Its "
    "absolute error is 1e-15 at most, its relative error 1e-14 down to the smallest doubles.",
    query="""
list_transform([cast(x as double)], lambda y: list_transform(
    [normal_density(y) * mills_ratio(abs(y))], lambda tail: if(y > 0, 1 - tail, tail)
)[1])[1]""",
)

# An error would be a side effect, which DuckDB evaluates for each use of a result.
SIGN = "case lower(left(option_type, 1)) when 'c' then 1 when 'p' then -1 end"
"""1 for a call and -1 for a put, in SQL."""

# Without a deviation, d1 and d2 are infinite, or 0 at the money. The time value is that of the
# option of the pair that is out of the money.
BLACK76 = View(
    name="black76",
    parameters=("option_type", "forward", "strike", "years", "volatility"),
    is_scalar=True,
    description="Price and greeks of an option by Black's formula of 1976, at a rate of 0: "
    "black76('call', 60000, 65000, 30 / 365, 0.55). `option_type` is call or put, or C or P, "
    "`years` have 365 days, `volatility` is an annualised fraction (0.55 is 55 %). Returns a "
    "struct: `price` in the currency of the forward, as linear options are quoted; "
    "`price_in_coin`, the price divided by the forward, as inverse options are quoted; `delta`, "
    "`gamma`, `vega` and `rho` for one percentage point, `theta` for one day, all of the price in "
    "the currency of the forward. Without time or volatility the price is the intrinsic value, "
    "and gamma, vega and theta are 0. Null unless forward and strike are positive, and time and "
    "volatility 0 or more.",
    query=f"""
list_transform([{{
        'sign': {SIGN},
        'forward': cast(forward as double), 'strike': cast(strike as double),
        'years': cast(years as double), 'volatility': cast(volatility as double)
    }}], lambda o: case
    when o.sign is not null and o.forward > 0 and o.strike > 0 and o.years >= 0
         and o.volatility >= 0
    then list_transform([{{
        'distance': ln(o.forward / o.strike), 'deviation': o.volatility * sqrt(o.years)
    }}], lambda m: list_transform([{{
        'deviation': m.deviation,
        'd': if(m.deviation > 0,
                [m.distance / m.deviation + m.deviation / 2,
                 m.distance / m.deviation - m.deviation / 2],
                list_transform([1, 2], lambda _:
                    if(m.distance = 0, 0, m.distance * cast('infinity' as double))))
    }}], lambda m: list_transform([{{
        'deviation': m.deviation, 'd': m.d, 'density': o.forward * normal_density(m.d[1]),
        'ratios': list_transform(m.d, lambda d: mills_ratio(abs(d)))
    }}], lambda m: list_transform([{{
        'time_value': case
            when m.deviation = 0 then 0
            when m.d[1] * m.d[2] > 0 then m.density * abs(m.ratios[1] - m.ratios[2])
            else least(o.forward, o.strike) - m.density * (m.ratios[1] + m.ratios[2])
        end,
        'in_money': [
            if(o.sign * m.d[1] > 0, 1 - m.density * m.ratios[1] / o.forward,
               m.density * m.ratios[1] / o.forward),
            if(o.sign * m.d[2] > 0, 1 - m.density * m.ratios[2] / o.strike,
               m.density * m.ratios[2] / o.strike)
        ],
        'slope': if(m.deviation = 0, 0, m.density)
    }}], lambda n: list_transform(
        [greatest(o.sign * (o.forward - o.strike), 0) + n.time_value],
        lambda price: {{
            'price': price,
            'price_in_coin': price / o.forward,
            'delta': o.sign * n.in_money[1],
            'gamma': if(m.deviation = 0, 0, n.slope / (o.forward ** 2 * m.deviation)),
            'vega': n.slope * sqrt(o.years) / 100,
            'theta': -if(m.deviation = 0, 0, n.slope * o.volatility / (sqrt(o.years) * 730)),
            'rho': o.sign * o.strike * o.years / 100 * n.in_money[2]
        }}
    )[1])[1])[1])[1])[1]
end)[1]""",
)
