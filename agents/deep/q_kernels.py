"""Compiled arithmetic of Q-networks of dense layers and rectifiers: values, gradients, steps of an optimiser.

All weights of a network are one row of a float32 array (`weights`), one hidden layer after the other, each as its
kernel (inputs, outputs) and its bias (outputs,); the output layer comes last, as its kernel transposed, (outputs,
inputs), and its bias. The output layer has one output an action, and one more for the state's value where the network
is dueling. A symbol, an observation of a Discrete space, is the number of a row of the first kernel.

Nothing here uses a library for linear algebra, or lets the compiler reorder sums or fuse a product and a sum: the bits
are the same on every processor and for every number of threads.
"""

import math
from functools import partial

import numpy as np

from velodrome.agents.deep.matrix_product import add_product
from velodrome.agents.engine.numba_cache import compiled

# A division that may raise is not done by vectors.
_compiled = partial(compiled, error_model="numpy")

# Rows of the array of weights.
ONLINE, TARGET, FIRST_MOMENT, SECOND_MOMENT, GRADIENT = 0, 1, 2, 3, 4
# What `optimizer` may be.
ADAM, SGD = 0, 1
# How an episode stands after a step.
GOES_ON, TERMINATED, TRUNCATED = 0, 1, 2
# Scaled numbers are cut here.
_FARTHEST = 10.0
# Of Adam, as in Keras.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7
# Moments below are 0: the smallest numbers of all, which those of a dead rectifier would come to, are slow.
_LEAST = 1e-30
# Squared gradients are summed in so many partial sums.
_LANES = 16


@_compiled
def transpose(matrix, result):
    """Write matrix (M, N) to result (N, M)."""
    for row in range(matrix.shape[0]):
        for column in range(matrix.shape[1]):
            result[column, row] = matrix[row, column]


@_compiled
def _hidden_layer(inputs, kernel, bias, is_symbol, outputs):
    """Outputs (B, N) of a dense layer with rectifiers."""
    for row in range(outputs.shape[0]):
        own = outputs[row]
        for column in range(own.shape[0]):
            own[column] = bias[column]
    if is_symbol:
        for row in range(outputs.shape[0]):
            own, symbol = outputs[row], kernel[int(inputs[row, 0])]
            for column in range(own.shape[0]):
                own[column] += symbol[column]
    else:
        add_product(inputs, kernel, outputs)
    for row in range(outputs.shape[0]):
        own = outputs[row]
        for column in range(own.shape[0]):
            own[column] = max(own[column], np.float32(0.0))


@_compiled
def forward(weights, sizes, is_symbol, is_dueling, inputs, hidden, turned, outputs, values):
    """Action values of a batch.

    Args:
        weights: of one network, float32 (num_weights,).
        sizes: int64, of the inputs, of each hidden layer and of the outputs.
        is_symbol: whether the inputs are symbols.
        is_dueling: whether the last output is the value of the state, and the others are advantages.
        inputs: float32 (B, num_inputs), or (B, 1) of symbols.
        hidden: to be filled with the outputs of the hidden layers, (B, all hidden units), one layer after the other.
        turned: to be filled with the same, layer by layer: (all hidden units, B).
        outputs: to be filled with those of the last layer, (num_outputs, B).
        values: to be filled, float32 (num_actions, B).
    """
    number, depth = inputs.shape[0], sizes.shape[0] - 2
    place, before = 0, 0
    now = inputs
    for layer in range(depth):
        size, units = sizes[layer], sizes[layer + 1]
        kernel = weights[place : place + size * units].reshape((size, units))
        bias = weights[place + size * units : place + (size + 1) * units]
        after = hidden[number * before : number * (before + units)].reshape((number, units))
        _hidden_layer(now, kernel, bias, is_symbol and layer == 0, after)
        place, before, now = place + (size + 1) * units, before + units, after
    size, num_outputs = sizes[depth], sizes[depth + 1]
    kernel = weights[place : place + size * num_outputs].reshape((num_outputs, size))
    bias = weights[place + size * num_outputs : place + (size + 1) * num_outputs]
    for output in range(num_outputs):
        own = outputs[output]
        for row in range(number):
            own[row] = bias[output]
    if is_symbol and depth == 0:
        for output in range(num_outputs):
            for row in range(number):
                outputs[output, row] += kernel[output, int(inputs[row, 0])]
    else:
        last = turned[: size * number].reshape((size, number))
        transpose(now, last)
        add_product(kernel, last, outputs)
    num_actions = values.shape[0]
    for action in range(num_actions):
        for row in range(number):
            values[action, row] = outputs[action, row]
    if is_dueling:
        for row in range(number):
            total = np.float32(0.0)
            for action in range(num_actions):
                total += outputs[action, row]
            shift = outputs[num_actions, row] - total / np.float32(num_actions)
            for action in range(num_actions):
                values[action, row] += shift


@_compiled
def backward(weights, sizes, is_symbol, has_bias, inputs, hidden, turned, deltas, gradient):
    """Gradient of a batch's loss, by the rule for products of functions, from the last layer to the first.

    Args:
        weights: as of `forward`.
        sizes: likewise.
        is_symbol: likewise.
        inputs: likewise.
        hidden: as `forward` filled it.
        has_bias: whether biases have a gradient; it is 0 if not.
        turned: room for (all hidden units, or num_inputs if more, and B) numbers.
        deltas: gradient of the loss by each of the last outputs, float32 (num_outputs, B).
        gradient: to be filled, float32 (num_weights,).
    """
    number, depth = inputs.shape[0], sizes.shape[0] - 2
    place, units_before = 0, 0
    for layer in range(depth):
        place += (sizes[layer] + 1) * sizes[layer + 1]
        units_before += sizes[layer + 1]
    for weight in range(gradient.shape[0]):
        gradient[weight] = np.float32(0.0)
    # The output layer, whose kernel is transposed.
    size, num_outputs = sizes[depth], sizes[depth + 1]
    own_kernel = weights[place : place + size * num_outputs].reshape((num_outputs, size))
    kernel = gradient[place : place + size * num_outputs].reshape((num_outputs, size))
    bias = gradient[place + size * num_outputs : place + (size + 1) * num_outputs]
    if has_bias:
        for output in range(num_outputs):
            for row in range(number):
                bias[output] += deltas[output, row]
    if depth == 0:
        if is_symbol:
            for output in range(num_outputs):
                for row in range(number):
                    kernel[output, int(inputs[row, 0])] += deltas[output, row]
        else:
            add_product(deltas, inputs, kernel)
        return
    place_before = units_before - size
    activations = hidden[number * place_before : number * units_before].reshape((number, size))
    add_product(deltas, activations, kernel)
    by_row = np.empty((number, num_outputs), np.float32)
    transpose(deltas, by_row)
    change = np.zeros((number, size), np.float32)
    add_product(by_row, own_kernel, change)
    # The hidden layers.
    for back in range(depth):
        layer = depth - 1 - back
        size, units = sizes[layer], sizes[layer + 1]
        activations = hidden[number * place_before : number * (place_before + units)].reshape((number, units))
        for row in range(number):
            own, now = change[row], activations[row]
            for unit in range(units):
                own[unit] = own[unit] if now[unit] > np.float32(0.0) else np.float32(0.0)
        place -= (size + 1) * units
        own_kernel = weights[place : place + size * units].reshape((size, units))
        kernel = gradient[place : place + size * units].reshape((size, units))
        bias = gradient[place + size * units : place + (size + 1) * units]
        if has_bias:
            for row in range(number):
                own = change[row]
                for unit in range(units):
                    bias[unit] += own[unit]
        if layer == 0:
            if is_symbol:
                for row in range(number):
                    own, symbol = change[row], kernel[int(inputs[row, 0])]
                    for unit in range(units):
                        symbol[unit] += own[unit]
            else:
                last = turned[: size * number].reshape((size, number))
                transpose(inputs, last)
                add_product(last, change, kernel)
        else:
            place_before -= size
            below = hidden[number * place_before : number * (place_before + size)].reshape((number, size))
            last = turned[: size * number].reshape((size, number))
            transpose(below, last)
            add_product(last, change, kernel)
            across = np.empty((units, size), np.float32)
            transpose(own_kernel, across)
            following = np.zeros((number, size), np.float32)
            add_product(change, across, following)
            change = following


@_compiled
def _norm(gradient):
    """Euclidean norm of a gradient."""
    sums = np.zeros(_LANES, np.float32)
    whole = gradient.shape[0] // _LANES * _LANES
    for start in range(0, whole, _LANES):
        part = gradient[start : start + _LANES]
        for lane in range(_LANES):
            sums[lane] += part[lane] * part[lane]
    total = 0.0
    for lane in range(_LANES):
        total += float(sums[lane])
    for weight in range(whole, gradient.shape[0]):
        total += float(gradient[weight]) * float(gradient[weight])
    return math.sqrt(total)


@_compiled
def step_of_optimizer(weights, powers, optimizer, learning_rate, max_gradient_norm):
    """Change the online network by its gradient.

    Args:
        weights: float32 (5, num_weights).
        powers: of Adam's two decay rates, to the number of its steps, float64 (2,); updated.
        optimizer: `ADAM`, by Keras' formula, or `SGD`.
        learning_rate: step size.
        max_gradient_norm: to which longer gradients are shortened.
    """
    online, gradient = weights[ONLINE], weights[GRADIENT]
    shrink = np.float32(1.0)
    if max_gradient_norm < np.inf:
        norm = _norm(gradient)
        if norm > max_gradient_norm:
            shrink = np.float32(max_gradient_norm / norm)
    if optimizer == SGD:
        rate = np.float32(learning_rate) * shrink
        for weight in range(online.shape[0]):
            online[weight] -= rate * gradient[weight]
        return
    powers[0] *= _BETA_1
    powers[1] *= _BETA_2
    rate = np.float32(learning_rate * math.sqrt(1.0 - powers[1]) / (1.0 - powers[0]))
    first, second = weights[FIRST_MOMENT], weights[SECOND_MOMENT]
    share_1, share_2, epsilon = np.float32(1.0 - _BETA_1), np.float32(1.0 - _BETA_2), np.float32(_EPSILON)
    least, zero = np.float32(_LEAST), np.float32(0.0)
    for weight in range(online.shape[0]):
        slope = shrink * gradient[weight]
        mean = first[weight] + share_1 * (slope - first[weight])
        square = second[weight] + share_2 * (slope * slope - second[weight])
        mean = mean if abs(mean) > least else zero
        square = square if square > least else zero
        first[weight], second[weight] = mean, square
        online[weight] -= rate * mean / (np.sqrt(square) + epsilon)


@_compiled
def learn(
    weights, sizes, powers, inputs, next_inputs, actions, returns, factors, next_masks, shares, errors, work,
    is_symbol, is_dueling, has_bias, has_masks, is_double, has_target, is_huber, optimizer, learning_rate,
    max_gradient_norm,
):  # fmt: skip
    """One gradient step of a batch; returns its loss and the mean value of the actions that were taken.

    Args:
        weights: float32 (5, num_weights); see `ONLINE` and the like.
        sizes: of the layers.
        powers: of Adam.
        inputs: float32 (B, num_inputs), observations as the network reads them.
        next_inputs: the same of those that followed.
        actions: int64 (B,), from 0.
        returns: float32 (B,), discounted sums of the rewards between the two observations.
        factors: float32 (B,), by which the value of the second is discounted; 0 where the episode terminated.
        next_masks: uint8 (B, num_actions), actions available in the second.
        shares: float32 (B,), by which each loss is weighted.
        errors: float32 (B,), filled with estimate minus target.
        work: float32, room for a batch; see `NetworkShape.room`.
        is_symbol: see `forward`.
        is_dueling: see `forward`.
        has_bias: see `backward`.
        has_masks: whether `next_masks` is read.
        is_double: the online network chooses the action that the target network values.
        has_target: False: the online network values it.
        is_huber: Huber's loss, that of Keras, instead of the squared error.
        optimizer: see `step_of_optimizer`.
        learning_rate: see `step_of_optimizer`.
        max_gradient_norm: see `step_of_optimizer`.
    """
    number, num_outputs = inputs.shape[0], sizes[-1]
    num_actions = num_outputs - 1 if is_dueling else num_outputs
    units = 0
    widest = sizes[0]
    for layer in range(1, sizes.shape[0] - 1):
        units += sizes[layer]
        widest = max(widest, sizes[layer])
    hidden = work[: units * number]
    place = units * number
    turned = work[place : place + widest * number]
    place += widest * number
    outputs = work[place : place + num_outputs * number].reshape((num_outputs, number))
    place += num_outputs * number
    values = work[place : place + num_actions * number].reshape((num_actions, number))
    place += num_actions * number
    chosen_by = work[place : place + num_actions * number].reshape((num_actions, number))
    valuing = TARGET if has_target else ONLINE
    forward(weights[valuing], sizes, is_symbol, is_dueling, next_inputs, hidden, turned, outputs, values)
    if is_double and has_target:
        forward(weights[ONLINE], sizes, is_symbol, is_dueling, next_inputs, hidden, turned, outputs, chosen_by)
    else:
        chosen_by = values
    targets = np.empty(number, np.float32)
    for row in range(number):
        best, value = np.float32(-np.inf), np.float32(0.0)
        for action in range(num_actions):
            if (not has_masks or next_masks[row, action]) and chosen_by[action, row] > best:
                best, value = chosen_by[action, row], values[action, row]
        targets[row] = returns[row] + factors[row] * value
    forward(weights[ONLINE], sizes, is_symbol, is_dueling, inputs, hidden, turned, outputs, values)
    loss = total = 0.0
    deltas = outputs
    for output in range(num_outputs):
        for row in range(number):
            deltas[output, row] = np.float32(0.0)
    for row in range(number):
        estimate = values[actions[row], row]
        error = estimate - targets[row]
        errors[row] = error
        total += float(estimate)
        size = abs(float(error))
        if not is_huber:
            loss += float(shares[row]) * size * size
            slope = np.float32(2.0) * error
        elif size <= 1.0:
            loss += float(shares[row]) * 0.5 * size * size
            slope = error
        else:
            loss += float(shares[row]) * (size - 0.5)
            slope = np.float32(1.0) if error > np.float32(0.0) else np.float32(-1.0)
        slope *= shares[row] / np.float32(number)
        if is_dueling:
            for action in range(num_actions):
                deltas[action, row] = -slope / np.float32(num_actions)
            deltas[num_actions, row] = slope
        deltas[actions[row], row] += slope
    backward(weights[ONLINE], sizes, is_symbol, has_bias, inputs, hidden, turned, deltas, weights[GRADIENT])
    step_of_optimizer(weights, powers, optimizer, learning_rate, max_gradient_norm)
    return loss / number, total / number


@_compiled
def move_target(weights, rate):
    """Move the target network towards the online one by a share of their difference; 1 copies it."""
    online, target = weights[ONLINE], weights[TARGET]
    if rate == 1.0:
        for weight in range(online.shape[0]):
            target[weight] = online[weight]
    else:
        share = np.float32(rate)
        for weight in range(online.shape[0]):
            target[weight] += share * (online[weight] - target[weight])


@_compiled
def _scaled(observation, scale, result):
    """Write an observation (D,) to result float32 (D,), as `scaled_into` does."""
    offset, factor, limit = scale[0], scale[1], scale[2]
    for column in range(observation.shape[0]):
        number = (np.float32(observation[column]) - offset[column]) * factor[column]
        result[column] = min(max(number, -limit[column]), limit[column])


@_compiled
def scaled_into(observations, scale, inputs):
    """Write observations (B, D) to inputs float32 (B, D): minus `scale[0]`, times `scale[1]`, cut at `scale[2]`."""
    for row in range(observations.shape[0]):
        _scaled(observations[row], scale, inputs[row])


@_compiled
def values_of_one(weights, sizes, observation, scale, work, values, is_symbol, is_dueling):
    """Fill values float32 (num_actions,) with those of one observation (D,)."""
    inputs = work[: observation.shape[0]].reshape((1, observation.shape[0]))
    scaled_into(observation.reshape((1, observation.shape[0])), scale, inputs)
    place = observation.shape[0]
    units = 0
    widest = sizes[0]
    for layer in range(1, sizes.shape[0] - 1):
        units += sizes[layer]
        widest = max(widest, sizes[layer])
    hidden = work[place : place + units]
    place += units
    turned = work[place : place + widest]
    place += widest
    outputs = work[place : place + sizes[-1]].reshape((sizes[-1], 1))
    by_action = values.reshape((values.shape[0], 1))
    forward(weights[ONLINE], sizes, is_symbol, is_dueling, inputs, hidden, turned, outputs, by_action)


@_compiled
def see(observation, present, statistics, scale, is_running):
    """Take an observation (D,) for the present one, and into the running statistics; False if a number is not finite.

    Args:
        observation: to be read.
        present: array (D,) that it is written to.
        statistics: float64 (3, D): mean, sum of squared differences from it (Welford's) and, everywhere, the number.
        scale: float32 (3, D), to be updated; see `scaled_into`.
        is_running: whether there are running statistics.
    """
    for column in range(observation.shape[0]):
        if not np.isfinite(observation[column]):
            return False
    for column in range(observation.shape[0]):
        present[column] = observation[column]
    if is_running:
        mean, squares, counts = statistics[0], statistics[1], statistics[2]
        for column in range(observation.shape[0]):
            number = float(present[column])
            count = counts[column] + 1.0
            difference = number - mean[column]
            mean[column] += difference / count
            squares[column] += difference * (number - mean[column])
            counts[column] = count
            scale[0, column] = np.float32(mean[column])
            scale[1, column] = np.float32(1.0 / math.sqrt(squares[column] / count + 1e-8))
            scale[2, column] = np.float32(_FARTHEST)
    return True


@_compiled
def store(
    observations, next_observations, actions, rewards, ends, place, present, following, statistics, scale, is_running,
    action, reward, end,
):  # fmt: skip
    """Keep a step at a place of the replay, and see what followed; False if that is not finite, and nothing is kept."""
    kept = observations[place]
    for column in range(present.shape[0]):
        kept[column] = present[column]
    if not see(following, present, statistics, scale, is_running):
        return False
    kept = next_observations[place]
    for column in range(present.shape[0]):
        kept[column] = present[column]
    actions[place], rewards[place], ends[place] = action, reward, end
    return True


@_compiled
def gather(
    observations, next_observations, actions, rewards, ends, masks, slots, newest, n_step, discount, scale, has_masks,
    inputs, next_inputs, batch_actions, returns, factors, next_masks,
):  # fmt: skip
    """Fill a batch with the steps at `slots` of the replay.

    A return of `n_step` steps ends where the episode does, and at the newest step that is kept.
    """
    capacity = observations.shape[0]
    for row in range(slots.shape[0]):
        slot = slots[row]
        _scaled(observations[slot], scale, inputs[row])
        batch_actions[row] = actions[slot]
        total, factor = float(rewards[slot]), discount
        for _ in range(1, n_step):
            if ends[slot] != GOES_ON or slot == newest:
                break
            slot = slot + 1 if slot + 1 < capacity else 0
            total += factor * float(rewards[slot])
            factor *= discount
        returns[row] = np.float32(total)
        factors[row] = np.float32(0.0) if ends[slot] == TERMINATED else np.float32(factor)
        _scaled(next_observations[slot], scale, next_inputs[row])
        if has_masks:
            for action in range(masks.shape[1]):
                next_masks[row, action] = masks[slot, action]


@_compiled
def set_priority(tree, slot, priority):
    """Set the priority of a slot in a tree of sums, float64 (2 * leaves,): node i is the sum of 2i and 2i + 1."""
    node = tree.shape[0] // 2 + slot
    tree[node] = priority
    while node > 1:
        node //= 2
        tree[node] = tree[2 * node] + tree[2 * node + 1]


@_compiled
def draw_by_priority(tree, count, uniforms, exponent, slots, shares):
    """Draw slots in proportion to their priorities, one from each of B equal parts of their sum.

    Args:
        tree: of priorities.
        count: number of slots in use.
        uniforms: float64 (B,), of [0, 1).
        exponent: of the importance of each draw, (N P)^-exponent, divided by the largest of the batch.
        slots: int64 (B,), to be filled.
        shares: float32 (B,), to be filled with the importances.
    """
    leaves, number = tree.shape[0] // 2, slots.shape[0]
    largest = 0.0
    importances = np.empty(number)
    for row in range(number):
        left = (row + uniforms[row]) / number * tree[1]
        node = 1
        while node < leaves:
            node *= 2
            if left >= tree[node] and tree[node + 1] > 0.0:
                left -= tree[node]
                node += 1
        slots[row] = min(node - leaves, count - 1)
        importances[row] = (count * (tree[leaves + slots[row]] / tree[1])) ** -exponent
        largest = max(largest, importances[row])
    for row in range(number):
        shares[row] = np.float32(importances[row] / largest)


@_compiled
def set_priorities(tree, slots, errors, exponent, largest):
    """Set (|error| + 1e-6)^exponent as the priorities of slots; returns the largest priority so far."""
    for row in range(slots.shape[0]):
        priority = (abs(float(errors[row])) + 1e-6) ** exponent
        set_priority(tree, slots[row], priority)
        largest = max(largest, priority)
    return largest
