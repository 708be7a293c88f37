"""Implied volatility from an option's price, as a macro.

Halley's method on the price of the option of the pair that is out of the money, as P. Jäckel
normalises it ("By implication", Wilmott, 2006): with a = |ln(forward / strike)|, the deviation s is
a volatility times the root of time, and the price is divided by the root of forward times strike.
As a function of s it is convex up to its inflection at sqrt(2 a), where the search starts, and
concave beyond. Below, 1 / ln(price / (2 price at the inflection)) is solved, beyond, the logarithm
of what is left to the largest price: nearly straight both, so that six steps reach the last digits
of any price between the bounds.
"""

from math import log, pi, sqrt

from deribit_pipeline.datasets.book_summaries.black76 import SIGN
from deribit_pipeline.domain.tables import View

_STEPS = 6

# The density at 0, and Mills' ratio there.
_DENSITY = f"{1 / sqrt(2 * pi)!r}"
_RATIO = f"{sqrt(pi / 2)!r}"
_LOG_ROOT_2_PI = f"{log(2 * pi) / 2!r}"

_PRICE = f"""list_transform([{{
        'sign': {SIGN},
        'forward': cast(forward as double), 'strike': cast(strike as double),
        'years': cast(years as double), 'price': cast(price as double)
    }}], lambda o: case
    when o.sign is not null and o.forward > 0 and o.strike > 0 and o.years > 0
    then list_transform([o.price - greatest(o.sign * (o.forward - o.strike), 0)], lambda value: {{
        'root_years': sqrt(o.years), 'a': abs(ln(o.forward / o.strike)),
        'price': value / sqrt(o.forward * o.strike),
        'left': (least(o.forward, o.strike) - value) / sqrt(o.forward * o.strike)
    }})[1]
end)[1]"""

# At the inflection, d1 and d2 are 0 and sqrt(2 a). `shift` keeps the logarithms away from 0.
_START = f"""list_transform([{{
        'price': o.price, 'left': o.left, 'a': o.a,
        'density': {_DENSITY} * exp(-o.a / 2),
        'price_there': {_DENSITY} * exp(-o.a / 2) * ({_RATIO} - mills_ratio(sqrt(2 * o.a)))
    }}], lambda o: {{
        'a': o.a, 'is_below': o.price < o.price_there,
        'shift': ln(greatest(2 * o.price_there, 1e-300)),
        'target': ln(if(o.price < o.price_there, o.price, o.left)),
        'start': sqrt(2 * o.a) + greatest(o.price - o.price_there, 0) / o.density
    }})[1]"""

# d1 and d2 are h + t and h - t. The price is the density times the difference or sum of two of
# Mills' ratios, and its slope is the density, so that 1 / r is the slope of the logarithm. `bend`
# is the second derivative divided by the first.
_STEP = f"""list_transform([{{'h': p.a / s, 't': s / 2}}], lambda d: list_transform([{{
        'ratios': list_transform([abs(d.h - d.t), d.h + d.t], lambda x: mills_ratio(x)),
        'exponent': -(d.h * d.h + d.t * d.t) / 2 - {_LOG_ROOT_2_PI},
        'bend': (d.h * d.h - d.t * d.t) / s
    }}], lambda q: list_transform(
        [q.ratios[1] + if(p.is_below, -q.ratios[2], q.ratios[2])],
        lambda r: list_transform([q.exponent + ln(r)], lambda logarithm: list_transform(
            [if(p.is_below, list_transform([logarithm - p.shift], lambda now: {{
                'newton': now * (1 - now / (p.target - p.shift)) * r,
                'bend': q.bend - (1 + 2 / now) / r
            }})[1], {{'newton': (logarithm - p.target) * r, 'bend': q.bend + 1 / r}})],
            lambda n: n.newton / greatest(1 + n.bend * n.newton / 2, 0.2)
        )[1])[1])[1])[1])[1]"""

IMPLIED_VOLATILITY = View(
    name="implied_volatility",
    parameters=("option_type", "forward", "strike", "years", "price"),
    is_scalar=True,
    description="The volatility at which black76 has this price, as an annualised fraction: "
    "implied_volatility('call', 60000, 65000, 30 / 365, 1921.6). `price` is in the currency of the "
    "forward: multiply the price of an inverse option, which is in coins, by the forward. 0 for "
    "the intrinsic value; null for a price outside of the bounds that admit no arbitrage, and "
    "where no time is left.",
    query=f"""
list_transform([{_PRICE}], lambda o: case
    when o.price = 0 then 0
    when o.price > 0 and o.left > 0 then list_transform(
        [{_START}],
        lambda p: list_reduce(
            [{", ".join(["0e0"] * _STEPS)}],
            lambda s, _: greatest(s + {_STEP}, s / 20),
            p.start
        ) / o.root_years
    )[1]
end)[1]""",
)
