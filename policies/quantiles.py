"""Quantiles of Beta and normal distributions in plain Python, the same in both loops."""

import math


def log_gamma(x: float) -> float:
    """Ln Γ(x) for x > 0, by Stirling's series."""
    shift = 0.0
    while x < 15.0:
        shift += math.log(x)
        x += 1.0
    square = 1.0 / (x * x)
    series = (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / x
    return (x - 0.5) * math.log(x) - x + 0.9189385332046727 + series - shift


def _continued_fraction(a: float, b: float, x: float) -> float:
    """Continued fraction of the incomplete beta function by the modified method of Lentz."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    fraction = d
    for m in range(1, 100_000):
        for part in range(2):
            if part == 0:
                numerator = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
            else:
                numerator = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
            d = 1.0 + numerator * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + numerator / c
            c = c if abs(c) > tiny else tiny
            change = c * d
            fraction *= change
        if abs(change - 1.0) < 1e-15:
            break
    return fraction


def beta_probability(x: float, a: float, b: float, log_scale: float) -> float:
    """Probability that a Beta(a, b) variable is at most x in (0, 1).

    `log_scale` is ln(Γ(a + b) / (Γ(a) Γ(b))). Source: Press et al. (2007), Numerical Recipes, section 6.4.
    """
    front = math.exp(log_scale + a * math.log(x) + b * math.log(1.0 - x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _continued_fraction(a, b, x) / a
    return 1.0 - front * _continued_fraction(b, a, 1.0 - x) / b


def beta_quantile(probability: float, a: float, b: float) -> float:
    """X with which a Beta(a, b) variable is at most x with `probability` in (0, 1), by Newton's method in a bracket."""
    log_scale = log_gamma(a + b) - log_gamma(a) - log_gamma(b)
    low, high = 0.0, 1.0
    deviation = math.sqrt(a * b / (a + b + 1.0)) / (a + b)
    x = a / (a + b) + deviation * normal_quantile(probability)
    for _ in range(200):
        if not low < x < high:
            x = 0.5 * (low + high)
        error = beta_probability(x, a, b, log_scale) - probability
        if error > 0.0:
            high = x
        else:
            low = x
        density = math.exp(log_scale + (a - 1.0) * math.log(x) + (b - 1.0) * math.log(1.0 - x))
        before = x
        x = x - error / density if density > 1e-300 else 0.5 * (low + high)
        if abs(x - before) <= 1e-14 * before or high - low <= 1e-15:
            break
    return min(max(x, 0.0), 1.0)


def normal_quantile(probability: float) -> float:
    """Quantile of the standard normal distribution, for a probability in (0, 1).

    Source: Wichura (1988), The percentage points of the normal distribution, algorithm AS 241, PPND16.
    """
    q = probability - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        above = (
            ((((((2.5090809287301226727e3 * r + 3.3430575583588128105e4) * r + 6.7265770927008700853e4) * r
            + 4.5921953931549871457e4) * r + 1.3731693765509461125e4) * r + 1.9715909503065514427e3) * r
            + 1.3314166789178437745e2) * r + 3.3871328727963666080e0
        )  # fmt: skip
        below = (
            ((((((5.2264952788528545610e3 * r + 2.8729085735721942674e4) * r + 3.9307895800092710610e4) * r
            + 2.1213794301586595867e4) * r + 5.3941960214247511077e3) * r + 6.8718700749205790830e2) * r
            + 4.2313330701600911252e1) * r + 1.0
        )  # fmt: skip
        return q * above / below
    r = math.sqrt(-math.log(probability if q < 0.0 else 1.0 - probability))
    if r <= 5.0:
        r -= 1.6
        above = (
            ((((((7.74545014278341407640e-4 * r + 2.27238449892691845833e-2) * r + 2.41780725177450611770e-1) * r
            + 1.27045825245236838258e0) * r + 3.64784832476320460504e0) * r + 5.76949722146069140550e0) * r
            + 4.63033784615654529590e0) * r + 1.42343711074968357734e0
        )  # fmt: skip
        below = (
            ((((((1.05075007164441684324e-9 * r + 5.47593808499534494600e-4) * r + 1.51986665636164571966e-2) * r
            + 1.48103976427480074590e-1) * r + 6.89767334985100004550e-1) * r + 1.67638483018380384940e0) * r
            + 2.05319162663775882187e0) * r + 1.0
        )  # fmt: skip
    else:
        r -= 5.0
        above = (
            ((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 1.24266094738807843860e-3) * r
            + 2.65321895265761230930e-2) * r + 2.96560571828504891230e-1) * r + 1.78482653991729133580e0) * r
            + 5.46378491116411436990e0) * r + 6.65790464350110377720e0
        )  # fmt: skip
        below = (
            ((((((2.04426310338993978564e-15 * r + 1.42151175831644588870e-7) * r + 1.84631831751005468180e-5) * r
            + 7.86869131145613259100e-4) * r + 1.48753612908506148525e-2) * r + 1.36929880922735805310e-1) * r
            + 5.99832206555887937690e-1) * r + 1.0
        )  # fmt: skip
    return -above / below if q < 0.0 else above / below
