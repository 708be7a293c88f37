"""Black's formula with sixty digits, for comparison: the error function as a series of positive
terms (Abramowitz and Stegun 7.1.6), in decimal arithmetic."""

from decimal import Decimal, localcontext

_DIGITS = 160  # a tail at 20 deviations has lost 88 of them

PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899"
    "8628034825342117067982148086513282306647093844609550582231725359408128481117450284102701938521"
)


def cdf(x: Decimal) -> Decimal:
    """The normal distribution."""
    with localcontext() as context:
        context.prec = _DIGITS
        y = abs(x) / Decimal(2).sqrt()
        term = total = y
        number = 0
        while term > total.scaleb(-_DIGITS):
            number += 1
            term = term * 2 * y * y / (2 * number + 1)
            total += term
        erf = 2 * total * (-y * y).exp() / PI.sqrt()
        return (1 - erf) / 2 if x < 0 else (1 + erf) / 2


def density(x: Decimal) -> Decimal:
    """The normal density."""
    return (-x * x / 2).exp() / (2 * PI).sqrt()


def black(
    option_type: str, forward: float, strike: float, years: float, volatility: float
) -> dict[str, float]:
    """Price and greeks, with the units of the macro black76."""
    with localcontext() as context:
        context.prec = _DIGITS
        sign = Decimal(1 if option_type == "call" else -1)
        f, k, t, v = map(Decimal, (forward, strike, years, volatility))
        deviation = v * t.sqrt()
        d1 = (f / k).ln() / deviation + deviation / 2
        n1, n2 = cdf(sign * d1), cdf(sign * (d1 - deviation))
        price, slope = sign * (f * n1 - k * n2), f * density(d1)
        exact = {
            "price": price,
            "price_in_coin": price / f,
            "delta": sign * n1,
            "gamma": slope / (f * f * deviation),
            "vega": slope * t.sqrt() / 100,
            "theta": -slope * v / (2 * t.sqrt() * 365),
            "rho": sign * k * t * n2 / 100,
        }
        return {name: float(value) for name, value in exact.items()}
