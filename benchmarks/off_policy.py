"""How often intervals of off-policy estimates cover the target policy's value, by simulation; and obp's numbers.

    python benchmarks/off_policy.py
    python benchmarks/off_policy.py --obp-python PATH     also compare with the Open Bandit Pipeline on the same arrays

Contexts and arms are those of velodrome/LinearContextualBandit-v0, so that the value of a target policy is known, here
to 1e-4. Rewards are linear with normal noise, which the model of the rewards fits, or 0 and 1 with probability
1 / (1 + exp(-6 θ·x)), which it does not. The target pulls the arm that is best by weights that are a little wrong. It
is logged by the uniform policy, and by others that are ε-greedy by weights that are wrong elsewhere: with ε = 0.02 a
pull weighs up to 250. A 95 % interval should cover in 93 to 97 of 100 experiments; others are marked with `!`. Beside
them stands how many experiments were warned of the overlap.
"""

import math
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import measuring
import numpy as np

import velodrome as vd
from velodrome.envs import LinearContextualBandit

LEVEL = 0.95
FROM, TO = 0.93, 0.97
EXPERIMENTS, QUICK_EXPERIMENTS = 500, 2
SIZES = (200, 1000, 5000)
LOGS = {"uniform": 1.0, "ε = 0.3": 0.3, "ε = 0.1": 0.1, "ε = 0.02": 0.02}
ESTIMATORS = {
    "ips": ("ips", None),
    "snips": ("snips", None),
    "direct": ("direct", None),
    "doubly robust": ("doubly_robust", None),
    "ips, clip 10": ("ips", 10.0),
    "doubly robust, clip 10": ("doubly_robust", 10.0),
}
TRUTH_CONTEXTS = 1 << 20
AGREE = 1e-12
BANDIT = LinearContextualBandit()
_WEIGHTS = np.random.Generator(np.random.PCG64(1)).standard_normal((2, *BANDIT.parameters.shape))
TARGET_WEIGHTS, LOG_WEIGHTS = BANDIT.parameters + 0.2 * _WEIGHTS


def contexts(rng: np.random.Generator, number: int) -> np.ndarray:
    drawn = rng.standard_normal((number, BANDIT.parameters.shape[1]))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def greedy(weights: np.ndarray, seen: np.ndarray, epsilon: float = 0.0) -> np.ndarray:
    """Probabilities of the ε-greedy policy of these weights, (pulls, arms)."""
    best = np.eye(len(weights))[np.argmax(seen @ weights.T, axis=1)]
    return np.asarray((1 - epsilon) * best + epsilon / len(weights))


def expected(seen: np.ndarray, kind: str) -> np.ndarray:
    rewards = BANDIT.expected_rewards(seen)
    return rewards if kind == "linear" else 1 / (1 + np.exp(-6 * rewards))


def true_value(kind: str) -> float:
    half = contexts(np.random.Generator(np.random.PCG64(2)), TRUTH_CONTEXTS // 2)
    # Contexts and their opposites, which are as likely.
    return float(np.mean([(expected(x, kind) * greedy(TARGET_WEIGHTS, x)).sum(axis=1).mean() for x in (half, -half)]))


def logged(rng: np.random.Generator, kind: str, epsilon: float, pulls: int) -> vd.LoggedPolicy:
    seen = contexts(rng, pulls)
    probabilities = greedy(LOG_WEIGHTS, seen, epsilon)
    actions = (probabilities.cumsum(axis=1) < rng.random((pulls, 1))).sum(axis=1).clip(0, len(LOG_WEIGHTS) - 1)
    means = expected(seen, kind)[np.arange(pulls), actions]
    noise = rng.standard_normal(pulls)
    rewards = means + 0.1 * noise if kind == "linear" else (rng.random(pulls) < means).astype(np.float64)
    propensities = probabilities[np.arange(pulls), actions]
    return vd.LoggedPolicy(seen, actions, rewards, propensities, len(LOG_WEIGHTS), probabilities)


def covered(kind: str, truth: float, epsilon: float, pulls: int, experiments: int) -> tuple[dict[str, float], float]:
    """Share of experiments in which each interval holds the true value, and share of those warned of the overlap."""
    hits, warned = dict.fromkeys(ESTIMATORS, 0), 0
    for experiment in range(experiments):
        seed = np.random.SeedSequence([list(LOGS.values()).index(epsilon), pulls, experiment])
        log = logged(np.random.Generator(np.random.PCG64(seed)), kind, epsilon, pulls)
        target = greedy(TARGET_WEIGHTS, log.contexts)
        for name, (estimator, clip) in ESTIMATORS.items():
            found = vd.off_policy_value(log, target, estimator, clip=clip, level=LEVEL, seed=experiment)  # type: ignore[arg-type]
            hits[name] += truth in found.interval
            warned += name == "ips" and bool(found.warnings)
    return {name: count / experiments for name, count in hits.items()}, warned / experiments


def as_share(share: float) -> str:
    return f"{100 * share:.1f}{' ' if FROM <= share <= TO else '!'}"


def coverage(experiments: int) -> None:
    for kind in ("linear", "0 and 1"):
        truth = true_value(kind)
        rows = []
        for name, epsilon in LOGS.items():
            for pulls in SIZES:
                shares, warned = covered(kind, truth, epsilon, pulls, experiments)
                rows.append([name, f"{pulls:,}", *map(as_share, shares.values()), f"{100 * warned:.0f}"])
        title = f"rewards {kind}, value {truth:.4f}: % of {experiments} experiments in which the interval covers"
        measuring.print_table(title, ["logged by", "pulls", *ESTIMATORS, "warned"], rows)
    deviation = math.sqrt(LEVEL * (1 - LEVEL) / experiments)
    print(f"\n! outside {FROM:.0%} to {TO:.0%}; the simulation's own standard error is {100 * deviation:.1f} %")


# Runs in obp's interpreter. Its estimators need PyTorch for annotations alone, so that a stand-in serves where there is
# none, and the rest of the package is left out.
OBP = """
import pathlib, site, sys, types
import numpy as np
try:
    import torch
except ModuleNotFoundError:
    torch = sys.modules["torch"] = types.ModuleType("torch")
    torch.Tensor = type("Tensor", (), {})
root = next(path for path in map(pathlib.Path, site.getsitepackages()) if (path / "obp").is_dir()) / "obp"
for name in ("obp", "obp.ope"):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = [str(root / name.partition(".")[2])]
from obp.ope import estimators as obp
given = np.load(sys.argv[1])
n = len(given["rewards"])
shared = dict(reward=given["rewards"], action=given["actions"], position=np.zeros(n, dtype=int),
              action_dist=given["target"][:, :, None])
by_weights = dict(pscore=given["propensities"])
by_model = dict(estimated_rewards_by_reg_model=given["model"][:, :, None])
for estimator, options in (
    (obp.InverseProbabilityWeighting(), by_weights),
    (obp.SelfNormalizedInverseProbabilityWeighting(), by_weights),
    (obp.DirectMethod(), by_model),
    (obp.DoublyRobust(), by_weights | by_model),
):
    print(repr(float(estimator.estimate_policy_value(**shared, **options))))
"""


def compare_with_obp(python: str) -> bool:
    """Print the values of both on the same arrays; whether they agree to 1e-12."""
    rng = np.random.Generator(np.random.PCG64(3))
    log = logged(rng, "linear", 0.1, 2000)
    target, model = greedy(TARGET_WEIGHTS, log.contexts, 0.2), rng.standard_normal((2000, len(LOG_WEIGHTS)))
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "arrays.npz"
        np.savez(
            file, rewards=log.rewards, actions=log.actions, propensities=log.propensities, target=target, model=model
        )
        answer = subprocess.run([python, "-c", OBP, str(file)], capture_output=True, text=True, check=False)
    if answer.returncode:
        print(f"obp does not run there: {answer.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return False
    theirs = [float(line) for line in answer.stdout.split()]
    names = ("ips", "snips", "direct", "doubly_robust")
    ours = [vd.off_policy_value(log, target, name, estimated_rewards=model).value for name in names]
    rows = [
        [name, f"{own:.12f}", f"{other:.12f}", f"{abs(own - other):.1e}"]
        for name, own, other in zip(names, ours, theirs, strict=True)
    ]
    measuring.print_table("the same arrays, 2,000 pulls", ["estimator", "velodrome", "obp", "apart"], rows)
    return bool(np.allclose(ours, theirs, rtol=0, atol=AGREE))


def main() -> int:
    given = measuring.arguments(__doc__, 1, ("--obp-python", {"help": "interpreter that has obp"}))
    warnings.simplefilter("ignore")
    with measuring.Load():
        coverage(given.rounds * (QUICK_EXPERIMENTS if given.quick else EXPERIMENTS))
        agrees = given.obp_python is None or compare_with_obp(given.obp_python)
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
