// A grid world that may be changed while somebody learns in it, and the learner. Neither needs a page.
// Both do what velodrome's own do, bit for bit, where they are given the same uniform numbers.

/** Index of the action across: those to its left and right as one looks along `move`; null where there are none. */
function sidewaysOf(moves, action) {
  const isAcross = (other) =>
    moves[other] && moves[other][0] * moves[action][0] + moves[other][1] * moves[action][1] === 0;
  const [before, after] = [(action + moves.length - 1) % moves.length, (action + 1) % moves.length];
  if (before !== after && isAcross(before) && isAcross(after)) return [before, after];
  const across = moves.map((_, other) => other).filter(isAcross);
  return across.length === 2 ? across : null;
}

class GridWorld {
  /**
   * @param {object} given rows, columns, moves ([down, right] of each action), rewards (of entering each cell), ends
   *   (whether entering it ends the episode), walls, leadsTo (cell in which one finds oneself after entering), starts
   *   (probability of each cell), slip (probability of a move to either side), timeLimit (steps, or null)
   */
  constructor(given) {
    this.rows = given.rows;
    this.columns = given.columns;
    this.moves = given.moves;
    this.rewards = Float64Array.from(given.rewards);
    this.ends = given.ends.map(Boolean);
    this.walls = given.walls.map(Boolean);
    this.leadsTo = [...given.leadsTo];
    this.starts = given.starts;
    this.slip = given.slip;
    this.timeLimit = given.timeLimit;
    this.sideways = this.moves.map((_, action) => sidewaysOf(this.moves, action));
    this.cell = 0;
    this.steps = 0;
  }

  get size() {
    return this.rows * this.columns;
  }

  /** Cell that a move leads to, the present one where a wall or the rim is in the way. */
  target(cell, action) {
    const row = Math.floor(cell / this.columns) + this.moves[action][0];
    const column = (cell % this.columns) + this.moves[action][1];
    if (row < 0 || row >= this.rows || column < 0 || column >= this.columns) return cell;
    const reached = row * this.columns + column;
    return this.walls[reached] ? cell : reached;
  }

  /** All that an action may lead to: [probability, next cell, reward, whether the episode ends]. */
  outcomes(cell, action) {
    const entering = (probability, way) => {
      const reached = this.target(cell, way);
      // Who stays where they are is not led anywhere.
      const next = reached === cell ? cell : this.leadsTo[reached];
      return [probability, next, this.rewards[reached], this.ends[reached]];
    };
    const across = this.sideways[action];
    if (!(this.slip > 0) || across === null) return [entering(1, action)];
    return [entering(this.slip / 2, across[0]), entering(1 - this.slip, action), entering(this.slip / 2, across[1])];
  }

  reset(uniform) {
    this.steps = 0;
    this.cell = drawn(this.starts, uniform);
    return this.cell;
  }

  step(action, uniform) {
    const outcomes = this.outcomes(this.cell, action);
    const [, next, reward, terminated] =
      outcomes[
        drawn(
          outcomes.map((outcome) => outcome[0]),
          uniform,
        )
      ];
    this.cell = next;
    this.steps += 1;
    return { next, reward, terminated, truncated: this.timeLimit !== null && this.steps >= this.timeLimit };
  }
}

/** Place of the first probability whose sum with those before it is above the uniform number, or else 0. */
function drawn(probabilities, uniform) {
  let sum = 0;
  for (let place = 0; place < probabilities.length; place++) {
    sum += probabilities[place];
    if (sum > uniform) return place;
  }
  return 0;
}

class Learner {
  /**
   * Q-learning or Sarsa (Sutton & Barto, eq. 6.8 and 6.7) with ε-greedy exploration.
   * @param {object} settings rule ("q_learning" or "sarsa"), epsilon, learningRate, discount, ties ("first" or
   *   "random"); they may be changed while it learns.
   * @param {function(): number} draw gives uniform numbers in [0, 1).
   */
  constructor(numStates, numActions, settings, draw) {
    this.numStates = numStates;
    this.numActions = numActions;
    this.settings = settings;
    this.draw = draw;
    this.values = new Float64Array(numStates * numActions);
    this.visits = new Float64Array(numStates * numActions);
    this.plannedAction = -1;
  }

  best(state) {
    const first = state * this.numActions;
    let best = this.values[first];
    for (let place = first + 1; place < first + this.numActions; place++) {
      if (this.values[place] > best) best = this.values[place];
    }
    return best;
  }

  greedy(state) {
    const [first, best] = [state * this.numActions, this.best(state)];
    const tied = [];
    for (let action = 0; action < this.numActions; action++)
      if (this.values[first + action] === best) tied.push(action);
    if (tied.length === 1 || this.settings.ties === "first") return tied[0];
    return tied[Math.floor(this.draw() * tied.length)];
  }

  explore(state) {
    if (this.draw() < this.settings.epsilon) return Math.floor(this.draw() * this.numActions);
    return this.greedy(state);
  }

  choose(state) {
    const action = this.plannedAction < 0 ? this.explore(state) : this.plannedAction;
    this.plannedAction = -1;
    return action;
  }

  /** Learn from one step. Sarsa chooses its next action before the update, also where a time limit cuts the episode. */
  observe(state, action, reward, next, terminated, truncated) {
    const place = state * this.numActions + action;
    this.visits[place] += 1;
    let target = reward;
    if (!terminated) {
      if (this.settings.rule === "sarsa") {
        this.plannedAction = this.explore(next);
        target += this.settings.discount * this.values[next * this.numActions + this.plannedAction];
      } else {
        target += this.settings.discount * this.best(next);
      }
    }
    this.values[place] += this.settings.learningRate * (target - this.values[place]);
    if (terminated || truncated) this.plannedAction = -1;
  }
}

const meanOf = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

class Returns {
  /** Returns of any number of episodes as a curve of at most 400 points: means of 20 episodes, later of 40, 80, …. */
  constructor() {
    this.number = 0;
    this.recent = [];
    this.block = [];
    this.size = 20;
    this.x = [];
    this.mean = [];
  }

  add(value) {
    this.number += 1;
    this.recent.push(value);
    if (this.recent.length > 100) this.recent.shift();
    this.block.push(value);
    if (this.block.length < this.size) return;
    this.x.push(this.number);
    this.mean.push(meanOf(this.block));
    this.block = [];
    if (this.x.length < 400) return;
    this.size *= 2;
    this.x = this.x.filter((_, place) => place % 2);
    this.mean = this.x.map((_, place) => (this.mean[2 * place] + this.mean[2 * place + 1]) / 2);
  }
}

class LiveTraining {
  /** A learner in a world, a step at a time. Draws for the world and for the learner are streams of their own. */
  constructor(world, settings, worldDraw, learnerDraw) {
    this.world = world;
    this.learner = new Learner(world.size, world.moves.length, settings, learnerDraw);
    this.draw = worldDraw;
    this.state = -1;
    this.total = 0;
    this.returns = new Returns();
    this.steps = 0;
  }

  /** One step, with a reset before it where an episode begins; returns it as [state, action, reward, next, ended]. */
  step() {
    if (this.state < 0) {
      this.state = this.world.reset(this.draw());
      this.total = 0;
    }
    const state = this.state;
    const action = this.learner.choose(state);
    const { next, reward, terminated, truncated } = this.world.step(action, this.draw());
    this.learner.observe(state, action, reward, next, terminated, truncated);
    this.total += reward;
    this.steps += 1;
    const ended = terminated || truncated;
    if (ended) this.returns.add(this.total);
    this.state = ended ? -1 : next;
    return [state, action, reward, next, ended];
  }
}

/** Uniform numbers in [0, 1) from a seed: the generator sfc32 of Chris Doty-Humphrey. */
function uniforms(seed) {
  let [a, b, c, counter] = [0x9e3779b9, 0x243f6a88, seed | 0, 1];
  const draw = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 4294967296;
  };
  for (let round = 0; round < 12; round++) draw();
  return draw;
}
