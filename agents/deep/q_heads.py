"""Compiled arithmetic of Q-networks with noisy weights, distributions of returns, or several heads.

A network's layers are those of `q_kernels`; here is what its outputs mean. For each action there are N atoms: the
action value (N = 1), quantiles of the return, or logits of its probabilities. Where the network is dueling, N more
outputs are the atoms of the state's value. Heads are networks of their own, each with its target network and
optimiser: `weights` has one more axis in front. Noisy networks have twice the weights: means, then deviations.

No function of the C library is called for values and gradients, so that their bits are the same on every processor.
"""

import math
from functools import partial

import numpy as np

from velodrome.agents.deep import q_kernels as kernels
from velodrome.agents.engine.numba_cache import compiled

# A division that may raise is not done by vectors.
_compiled = partial(compiled, error_model="numpy")

# What the outputs are.
VALUES, QUANTILES, CATEGORICAL = 0, 1, 2


@_compiled
def _noise(sizes, normals, noise):
    """Factorised Gaussian noise of all weights of a network.

    Args:
        sizes: of the layers.
        normals: float32, normal numbers, one for each input and each output of each layer.
        noise: float32 (num_weights,), to be filled: for a kernel the product of both, for a bias its output's, each
            after f(x) = sgn(x) sqrt(|x|).
    """
    place = first = 0
    for layer in range(sizes.shape[0] - 1):
        size, units = sizes[layer], sizes[layer + 1]
        factors = np.empty(size + units, np.float32)
        for number in range(size + units):
            normal = normals[first + number]
            root = np.sqrt(abs(normal))
            factors[number] = root if normal > np.float32(0.0) else -root
        first += size + units
        # The output layer's kernel is transposed.
        is_last = layer == sizes.shape[0] - 2
        rows = factors[size:] if is_last else factors[:size]
        columns = factors[:size] if is_last else factors[size:]
        for row in range(rows.shape[0]):
            part, factor = noise[place : place + columns.shape[0]], rows[row]
            for column in range(columns.shape[0]):
                part[column] = factor * columns[column]
            place += columns.shape[0]
        for unit in range(units):
            noise[place + unit] = factors[size + unit]
        place += units


@_compiled
def perturb(weights, sizes, normals, noise, result):
    """Write means plus deviations times fresh noise to result float32 (num_weights,); see `_noise`.

    Args:
        weights: float32 (2 * num_weights,), means and deviations.
        sizes: of the layers.
        normals: as of `_noise`.
        noise: as of `_noise`.
        result: to be filled.
    """
    _noise(sizes, normals, noise)
    means, deviations = weights[: noise.shape[0]], weights[noise.shape[0] :]
    for weight in range(noise.shape[0]):
        result[weight] = means[weight] + deviations[weight] * noise[weight]


@_compiled
def exponentials(numbers):
    """Write the exponentials of numbers float64 (N,), none of them positive, in their place, to 10 digits.

    It is a polynomial of a 256th of each, squared eight times: vectors do that, and it is the same everywhere.
    """
    for place in range(numbers.shape[0]):
        x = max(numbers[place], -64.0) * (1.0 / 256.0)
        y = 1.0 + x * (
            1.0 + x * (1 / 2 + x * (1 / 6 + x * (1 / 24 + x * (1 / 120 + x * (1 / 720 + x * (1 / 5040 + x / 40320))))))
        )
        y *= y
        y *= y
        y *= y
        y *= y
        y *= y
        y *= y
        y *= y
        y *= y
        numbers[place] = y


@_compiled
def _chances(logits, chances, largest, totals):
    """Fill chances float64 (N, B) with what the probabilities of logits (N, B) are in proportion to.

    Args:
        logits: of N returns for each of B rows.
        chances: exponentials of the logits minus the largest of their row.
        largest: float64 (B,), filled with the largest of each row.
        totals: float64 (B,), filled with the sum of each row's chances.
    """
    number = logits.shape[1]
    for row in range(number):
        largest[row], totals[row] = float(logits[0, row]), 0.0
    for atom in range(1, logits.shape[0]):
        for row in range(number):
            largest[row] = max(largest[row], float(logits[atom, row]))
    for atom in range(logits.shape[0]):
        own = chances[atom]
        for row in range(number):
            own[row] = float(logits[atom, row]) - largest[row]
        exponentials(own)
        for row in range(number):
            totals[row] += own[row]


@_compiled
def _add_atoms(outputs, is_dueling, num_actions, factor, atoms):
    """Add the atoms of all actions (A * N, B) that outputs, (A * N, B) or dueling (A * N + N, B), stand for."""
    num_atoms, number = atoms.shape[0] // num_actions, atoms.shape[1]
    for place in range(num_actions * num_atoms):
        for row in range(number):
            atoms[place, row] += factor * outputs[place, row]
    if is_dueling:
        for atom in range(num_atoms):
            for row in range(number):
                total = np.float32(0.0)
                for action in range(num_actions):
                    total += outputs[action * num_atoms + atom, row]
                shift = outputs[num_actions * num_atoms + atom, row] - total / np.float32(num_actions)
                for action in range(num_actions):
                    atoms[action * num_atoms + atom, row] += factor * shift


@_compiled
def forward(
    weights, prior, prior_scale, sizes, is_symbol, is_dueling, kind, support, inputs, hidden, turned, outputs, atoms,
    values,
):  # fmt: skip
    """Atoms and action values of a batch.

    Args:
        weights: of one network, float32 (num_weights,) or more.
        prior: of a network whose outputs are added, which never learns; (0,) for none.
        prior_scale: factor of these.
        sizes: of the layers.
        is_symbol: as of `q_kernels.forward`.
        is_dueling: whether the last N outputs are the state's value, and the others advantages.
        kind: `VALUES`, `QUANTILES` or `CATEGORICAL`.
        support: float32 (N,), returns that probabilities are of.
        inputs: as of `q_kernels.forward`.
        hidden: likewise; those of `weights` stay there.
        turned: likewise.
        outputs: likewise.
        atoms: to be filled, float32 (num_actions * N, B).
        values: to be filled, float32 (num_actions, B).
    """
    num_actions, number = values.shape
    num_atoms = atoms.shape[0] // num_actions
    nothing = values[:0]
    atoms[:] = np.float32(0.0)
    for turn in range(2 if prior.shape[0] else 1):
        # The network itself comes last, for its hidden layers are to stay.
        is_prior = turn == 0 and prior.shape[0] > 0
        network, factor = prior if is_prior else weights, prior_scale if is_prior else 1.0
        kernels.forward(network, sizes, is_symbol, False, inputs, hidden, turned, outputs, nothing)
        _add_atoms(outputs, is_dueling, num_actions, np.float32(factor), atoms)
    chances = np.empty((num_atoms if kind == CATEGORICAL else 0, number))
    largest, totals, means = np.empty(number), np.empty(number), np.empty(number)
    for action in range(num_actions):
        own = atoms[action * num_atoms : (action + 1) * num_atoms]
        if kind == CATEGORICAL:
            _chances(own, chances, largest, totals)
            means[:] = 0.0
            for atom in range(num_atoms):
                for row in range(number):
                    means[row] += chances[atom, row] * float(support[atom])
            for row in range(number):
                values[action, row] = np.float32(means[row] / totals[row])
        else:
            for row in range(number):
                values[action, row] = own[0, row]
            for atom in range(1, num_atoms):
                for row in range(number):
                    values[action, row] += own[atom, row]
            if num_atoms > 1:
                for row in range(number):
                    values[action, row] /= np.float32(num_atoms)


@_compiled
def _value_slopes(estimate, target, is_huber, slopes):
    """Loss of an action value (1,), its slope and its error, as in `q_kernels.learn`."""
    error = estimate[0] - target[0]
    size = abs(error)
    if not is_huber:
        slopes[0] = 2.0 * error
        return size * size, error
    if size <= 1.0:
        slopes[0] = error
        return 0.5 * size * size, error
    slopes[0] = 1.0 if error > 0.0 else -1.0
    return size - 0.5, error


@_compiled
def _quantile_slopes(quantiles, targets, slopes):
    """Quantile Huber loss of quantiles (N,) and targets (N,): a sum over the first of means over the second."""
    number = quantiles.shape[0]
    losses = np.zeros(number)
    slopes[:] = 0.0
    for other in range(number):
        target = targets[other]
        # The sums are over the outer loop, so that vectors can do the inner one.
        for atom in range(number):
            error = target - quantiles[atom]
            size = abs(error)
            inside = min(size, 1.0)
            share = (atom + 0.5) / number
            weight = share if error >= 0.0 else 1.0 - share
            losses[atom] += weight * inside * (size - 0.5 * inside)
            slopes[atom] -= weight * max(-1.0, min(error, 1.0))
    loss = 0.0
    for atom in range(number):
        loss += losses[atom] / number
        slopes[atom] /= number
    return loss


@_compiled
def _project(chances, reward, factor, support, projected):
    """Fill projected (N,) with the chances (N,) of reward + factor * support, each shared by its two neighbours."""
    number = support.shape[0]
    low, high = float(support[0]), float(support[number - 1])
    width = (high - low) / (number - 1)
    for atom in range(number):
        projected[atom] = 0.0
    for atom in range(number):
        place = (min(max(reward + factor * float(support[atom]), low), high) - low) / width
        below = min(int(place), number - 2)
        rest = place - below
        projected[below] += chances[atom] * (1.0 - rest)
        projected[below + 1] += chances[atom] * rest


@_compiled
def _learn_one(
    weights, noisy, noises, prior, prior_scale, sizes, powers, inputs, next_inputs, actions, returns, factors,
    next_masks, shares, errors, kind, support, is_symbol, is_dueling, has_bias, has_masks, is_double, has_target,
    is_huber, optimizer, learning_rate, max_gradient_norm,
):  # fmt: skip
    """One gradient step of one network; see `learn`. Returns the batch's loss and mean value of the taken actions."""
    number, num_outputs, num_actions = inputs.shape[0], sizes[-1], next_masks.shape[1]
    num_atoms = num_outputs // (num_actions + 1 if is_dueling else num_actions)
    units, widest = 0, sizes[0]
    for layer in range(1, sizes.shape[0] - 1):
        units += sizes[layer]
        widest = max(widest, sizes[layer])
    hidden, turned = np.empty(units * number, np.float32), np.empty(widest * number, np.float32)
    outputs = np.empty((num_outputs, number), np.float32)
    atoms = np.empty((num_actions * num_atoms, number), np.float32)
    next_atoms = np.empty((num_actions * num_atoms, number), np.float32)
    values = np.empty((num_actions, number), np.float32)
    is_noisy = noises.shape[0] > 0
    num_weights = noises.shape[1] if is_noisy else weights.shape[1]
    # Of the networks that value, choose and learn.
    rows = (kernels.TARGET if has_target else kernels.ONLINE, kernels.ONLINE, kernels.ONLINE)
    online = weights[kernels.ONLINE]
    best = np.empty(number, np.int64)
    for turn in range(3):
        online = noisy[turn] if is_noisy else weights[rows[turn]]
        if turn == 1 and not (is_double and (has_target or is_noisy)):
            continue
        forward(
            online, prior, prior_scale, sizes, is_symbol, is_dueling, kind, support,
            inputs if turn == 2 else next_inputs, hidden, turned, outputs, next_atoms if turn == 0 else atoms, values,
        )  # fmt: skip
        for row in range(number if turn < 2 else 0):
            best[row], most = 0, np.float32(-np.inf)
            for action in range(num_actions):
                if (not has_masks or next_masks[row, action]) and values[action, row] > most:
                    best[row], most = action, values[action, row]
    deltas = outputs
    deltas[:] = np.float32(0.0)
    loss = total = 0.0
    estimates, targets, chances, slopes = (
        np.empty(num_atoms), np.empty(num_atoms), np.empty(num_atoms), np.empty(num_atoms),
    )  # fmt: skip
    # Of the actions that were taken, and of the best that followed.
    own, following = np.empty((num_atoms, number), np.float32), np.empty((num_atoms, number), np.float32)
    for atom in range(num_atoms):
        for row in range(number):
            own[atom, row] = atoms[actions[row] * num_atoms + atom, row]
            following[atom, row] = next_atoms[best[row] * num_atoms + atom, row]
    columns = number if kind == CATEGORICAL else 0
    own_chances, next_chances = np.empty((num_atoms, columns)), np.empty((num_atoms, columns))
    largest, totals, next_totals = np.empty(columns), np.empty(columns), np.empty(columns)
    if kind == CATEGORICAL:
        _chances(following, next_chances, largest, next_totals)
        _chances(own, own_chances, largest, totals)
    for row in range(number):
        action, reward, factor = actions[row], float(returns[row]), float(factors[row])
        total += float(values[action, row])
        if kind == CATEGORICAL:
            for atom in range(num_atoms):
                chances[atom] = next_chances[atom, row] / next_totals[row]
            _project(chances, reward, factor, support, targets)
            each = math.log(totals[row])
            for atom in range(num_atoms):
                each -= targets[atom] * (float(own[atom, row]) - largest[row])
                slopes[atom] = own_chances[atom, row] / totals[row] - targets[atom]
            errors[row] = np.float32(each)
        else:
            for atom in range(num_atoms):
                estimates[atom] = float(own[atom, row])
                targets[atom] = reward + factor * float(following[atom, row])
            if kind == QUANTILES:
                each = _quantile_slopes(estimates, targets, slopes)
                errors[row] = np.float32(each)
            else:
                each, error = _value_slopes(estimates, targets, is_huber, slopes)
                errors[row] = np.float32(error)
        loss += float(shares[row]) * each
        weight = float(shares[row]) / number
        for atom in range(num_atoms):
            slope = np.float32(weight * slopes[atom])
            if is_dueling:
                for other in range(num_actions):
                    deltas[other * num_atoms + atom, row] = -slope / np.float32(num_actions)
                deltas[num_actions * num_atoms + atom, row] = slope
            deltas[action * num_atoms + atom, row] += slope
    gradient = weights[kernels.GRADIENT]
    kernels.backward(
        online, sizes, is_symbol, has_bias, inputs, hidden, turned, deltas, gradient[:num_weights]
    )  # fmt: skip
    if is_noisy:
        for weight in range(num_weights):
            gradient[num_weights + weight] = gradient[weight] * noises[2, weight]
    kernels.step_of_optimizer(weights, powers, optimizer, learning_rate, max_gradient_norm)
    return loss / number, total / number


@_compiled
def learn(
    weights, sizes, powers, inputs, next_inputs, actions, returns, factors, next_masks, shares, errors, heads, normals,
    noises, noisy, priors, prior_scale, kind, support, is_symbol, is_dueling, has_bias, has_masks, is_double,
    has_target, is_huber, optimizer, learning_rate, max_gradient_norm,
):  # fmt: skip
    """One gradient step of every head on the steps of a batch that are its own.

    Returns the mean over the heads of their losses and of their mean values of the actions that were taken.

    Args:
        weights: float32 (num_heads, 5, num_weights), of noisy networks twice as many; see `q_kernels.ONLINE`.
        sizes: of the layers.
        powers: of Adam, float64 (num_heads, 2).
        inputs: with all to `shares` the batch, as of `q_kernels.learn`.
        next_inputs: likewise.
        actions: likewise.
        returns: likewise.
        factors: likewise.
        next_masks: likewise.
        shares: likewise.
        errors: float32 (B,), filled with the error of the value, or with the loss of a distribution, of each step; of
            several heads with the mean of the sizes of their errors.
        heads: uint8 (B, num_heads), which steps are whose; (0, 0) where there is one head.
        normals: float32 (3, numbers of `_noise`): of the networks that value, choose and learn; (0, 0) without noise.
        noises: float32 (3, num_weights), to be filled, or (0, 0).
        noisy: float32 (3, num_weights), to be filled with the noisy weights, or (0, 0).
        priors: float32 (num_heads, num_weights), or (num_heads, 0) for none.
        prior_scale: factor of the priors' outputs.
        kind: see `forward`.
        support: see `forward`.
        is_symbol: see `q_kernels.learn`.
        is_dueling: likewise.
        has_bias: likewise.
        has_masks: likewise.
        is_double: likewise.
        has_target: likewise.
        is_huber: likewise, of action values.
        optimizer: likewise.
        learning_rate: likewise.
        max_gradient_norm: likewise.
    """
    num_heads = weights.shape[0]
    if normals.shape[0]:
        for place in range(3):
            row = kernels.TARGET if place == 0 and has_target else kernels.ONLINE
            perturb(weights[0, row], sizes, normals[place], noises[place], noisy[place])
    number = inputs.shape[0]
    errors[:] = np.float32(0.0)
    learning = np.zeros(number, np.float32)
    loss = total = 0.0
    for head in range(num_heads):
        rows = np.flatnonzero(heads[:, head]) if num_heads > 1 else np.arange(number)
        if rows.shape[0]:
            own_errors = np.empty(rows.shape[0], np.float32)
            own_loss, own_value = _learn_one(
                weights[head], noisy, noises, priors[head], prior_scale, sizes, powers[head], inputs[rows],
                next_inputs[rows], actions[rows], returns[rows], factors[rows], next_masks[rows], shares[rows],
                own_errors, kind, support, is_symbol, is_dueling, has_bias, has_masks, is_double, has_target, is_huber,
                optimizer, learning_rate, max_gradient_norm,
            )  # fmt: skip
            loss += own_loss
            total += own_value
            for place in range(rows.shape[0]):
                errors[rows[place]] += abs(own_errors[place]) if num_heads > 1 else own_errors[place]
                learning[rows[place]] += np.float32(1.0)
    for row in range(number):
        errors[row] /= max(learning[row], np.float32(1.0))
    return loss / num_heads, total / num_heads


@_compiled
def move_target(weights, rate):
    """Move every head's target network towards its online one; see `q_kernels.move_target`."""
    for head in range(weights.shape[0]):
        kernels.move_target(weights[head], rate)


@_compiled
def values_of(
    weights, priors, prior_scale, sizes, observations, scale, first, last, is_symbol, is_dueling, kind, support, result,
):  # fmt: skip
    """Action values of observations, the mean over some heads.

    Args:
        weights: float32 (num_heads, rows, num_weights), of which the first row, the online network, is asked.
        priors: as of `learn`.
        prior_scale: likewise.
        sizes: of the layers.
        observations: (B, D).
        scale: of these; see `q_kernels.scaled_into`.
        first: the first head that is asked.
        last: the one after the last.
        is_symbol: as of `forward`.
        is_dueling: likewise.
        kind: likewise.
        support: likewise.
        result: to be filled, float32 (B, num_actions).
    """
    number, num_actions, num_outputs = observations.shape[0], result.shape[1], sizes[-1]
    num_atoms = num_outputs // (num_actions + 1 if is_dueling else num_actions)
    units, widest = 0, sizes[0]
    for layer in range(1, sizes.shape[0] - 1):
        units += sizes[layer]
        widest = max(widest, sizes[layer])
    inputs = np.empty((number, observations.shape[1]), np.float32)
    kernels.scaled_into(observations, scale, inputs)
    hidden, turned = np.empty(units * number, np.float32), np.empty(widest * number, np.float32)
    outputs = np.empty((num_outputs, number), np.float32)
    atoms = np.empty((num_actions * num_atoms, number), np.float32)
    values = np.empty((num_actions, number), np.float32)
    result[:] = np.float32(0.0)
    for head in range(first, last):
        forward(
            weights[head, kernels.ONLINE], priors[head], prior_scale, sizes, is_symbol, is_dueling, kind, support,
            inputs, hidden, turned, outputs, atoms, values,
        )  # fmt: skip
        for row in range(number):
            for action in range(num_actions):
                result[row, action] += values[action, row]
    for row in range(number):
        for action in range(num_actions):
            result[row, action] /= np.float32(last - first)
