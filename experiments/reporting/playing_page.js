// The page: maps side by side, the player, the curves, and the world to try. Its state stands in the address.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];
const SHOWN = ["values", "arrows", "triangles", "visits", "numbers"];
const PARTS = data.parts;
// Of rewards that a reader may give: sums of larger ones might overflow.
const LARGEST = 1e6;
// A whole training takes so many seconds at speed 1.
const SECONDS = 20;
// Live steps a second by the place of the slider.
const stepsASecond = (place) => Math.round(2 * 10 ** (place / 2));

// ---- What is shown -------------------------------------------------------------------------------------------------

const state = {
  environment: 0,
  panel: 0,
  agents: [],
  seed: 0,
  at: 0,
  speed: 1,
  show: ["values", "arrows"],
  hide: [],
  theme: "",
  language: data.language,
  playing: false,
  cell: -1,
  live: null,
  liveRunning: false,
  liveSpeed: 2,
  areHiddenShown: false,
};
const words = () => data.words[state.language];
const place = () => data.environments[state.environment];
const cellKey = (row, column) => row * place().columns + column;

/** Numbers of a trial's snapshots, unpacked when they are first shown. */
function unpacked(trial, environment) {
  if (!trial.tables) {
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
    const values = Float64Array.from(new Int16Array(bytes(trial.values)), (value) => value * trial.scale);
    const Ties = environment.moves.length > 8 ? Uint32Array : Uint8Array;
    trial.tables = { values, tied: new Ties(bytes(trial.tied)), visits: null };
    if (trial.visits) {
      // Counts are kept as logarithms: small ones exactly, large ones to a part in a thousand.
      const count = (value) => Math.round(Math.expm1(value * trial.visitScale));
      trial.tables.visits = Float64Array.from(new Uint16Array(bytes(trial.visits)), count);
    }
    trial.most = trial.tables.visits ? Math.max(1, ...lastOf(trial.tables.visits, environment.cells.length)) : 1;
  }
  return trial.tables;
}
const lastOf = (numbers, size) => numbers.slice(numbers.length - size);

/** Episodes at which any trial of the environment was looked at. */
function stops() {
  const environment = place();
  environment.stops ??= [
    ...new Set(environment.agents.flatMap((agent) => agent.trials.flatMap((t) => t.episodes))),
  ].sort((one, other) => one - other);
  return environment.stops;
}
const episode = () => stops()[Math.floor(state.at)];
/** The last snapshot of a trial that is not after an episode. */
const snapshotAt = (trial, at) =>
  Math.max(
    0,
    trial.episodes.findLastIndex((one) => one <= at),
  );
const trialOf = (agent) => agent.trials.find((trial) => trial.seed === state.seed) ?? agent.trials[0];
const seedsOf = (environment) => [...new Set(environment.agents.flatMap((agent) => agent.trials.map((t) => t.seed)))];
const shownAgents = () => state.agents.map((number) => place().agents[number]).filter(Boolean);

// ---- Drawing -------------------------------------------------------------------------------------------------------

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const channels = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
const mixed = (one, other, share) =>
  `rgb(${channels(one)
    .map((part, at) => Math.round(part + (channels(other)[at] - part) * share))
    .join(" ")})`;

/** Colours of the theme, read once a drawing. */
function palette() {
  const names = ["page", "text", "quiet", "line", "zero", "high", "low", "visit", "goal", "hole", "wall", "accent"];
  return Object.fromEntries(names.map((name) => [name, colourOf(`--${name}`)]));
}

/** A canvas made ready for drawing in units of CSS pixels; null where it has no room. */
function prepared(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  if (!width || !height) return null;
  const ratio = devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const pen = canvas.getContext("2d");
  pen.setTransform(wide / width, 0, 0, high / height, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

/** Colour of a value: none at 0, full at the ends of the range. */
function colourOfValue(value, range, colours) {
  if (value > 0 && range[1] > 0) return mixed(colours.zero, colours.high, Math.min(1, value / range[1]));
  if (value < 0 && range[0] < 0) return mixed(colours.zero, colours.low, Math.min(1, value / range[0]));
  return colours.zero;
}

/** Colour in which letters are read best on another. */
function inkOn(colour) {
  const [red, green, blue] = colour.startsWith("#") ? channels(colour) : colour.match(/\d+/g).map(Number);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#14181c" : "#ffffff";
}

const rounded = (value) => {
  const size = Math.abs(value);
  if (size >= 1e5) return value.toExponential(0).replace("+", "");
  return size >= 99.95
    ? value.toFixed(0)
    : size >= 9.995
      ? value.toFixed(1)
      : value.toFixed(2).replace(/^(-?)0\./, "$1.");
};

/**
 * One table on its map.
 * @param {object} map rows, columns, moves, kinds (of cells), cells (of states), values(state, action),
 *   isTied(state, action), ties (rule), visits(state, action) or null, mostVisits, range, walker and chosen (cells).
 */
function drawMap(canvas, map, show, colours) {
  const ready = prepared(canvas);
  if (!ready) return;
  const { pen, width, height } = ready;
  const [wide, high] = [width / map.columns, height / map.rows];
  const side = Math.min(wide, high);
  const numActions = map.moves.length;
  const shows = (what) => show.includes(what);
  const states = new Map(map.cells.map((cell, number) => [cell, number]));
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  for (let cell = 0; cell < map.rows * map.columns; cell++) {
    const [left, top] = [(cell % map.columns) * wide, Math.floor(cell / map.columns) * high];
    const [middle, centre] = [left + wide / 2, top + high / 2];
    const kind = map.kinds[cell];
    const number = states.get(cell);
    // Where there are several panels, episodes go on at their goals: Taxi's passenger may not be in the taxi yet.
    const isGoal = kind === "goal" && map.panels.length < 2;
    const isOver = kind === "wall" || isGoal || kind === "hole" || kind === "cliff" || number === undefined;
    const values =
      number === undefined ? [] : Array.from({ length: numActions }, (_, action) => map.values(number, action));
    const best = Math.max(...values);
    let fill = colours.zero;
    if (kind === "wall" || number === undefined) fill = colours.wall;
    else if (isGoal) fill = colours.goal;
    else if (kind === "hole" || kind === "cliff") fill = colours.hole;
    else if (shows("visits") && map.visits) {
      const visits = values.reduce((sum, _, action) => sum + map.visits(number, action), 0);
      fill = mixed(colours.zero, colours.visit, Math.log1p(visits) / Math.log1p(map.mostVisits));
    } else if (shows("values")) fill = colourOfValue(best, map.range, colours);
    pen.fillStyle = fill;
    pen.fillRect(left, top, wide, high);
    if (!isOver && shows("triangles")) drawTriangles(pen, map, values, left, top, wide, high, colours);
    const ink = inkOn(fill);
    const inkOf = (action) =>
      shows("triangles") && !isOver ? inkOn(colourOfValue(values[action], map.range, colours)) : ink;
    const letter = { start: "S", goal: "G", hole: "H", cliff: "×" }[kind];
    if (letter && side > 14) {
      pen.fillStyle = ink;
      pen.globalAlpha = isOver ? 1 : 0.75;
      pen.font = `600 ${Math.max(9, side * (isOver ? 0.4 : 0.17))}px system-ui, sans-serif`;
      pen.fillText(letter, isOver ? middle : left + side * 0.13, isOver ? centre : top + side * 0.14);
      pen.globalAlpha = 1;
    }
    // Numbers stand at the foot, or at all four sides.
    const room = !shows("numbers") || side < 34 ? 1 : shows("triangles") ? 0.48 : 0.74;
    const raised = shows("numbers") && !shows("triangles") && side >= 34 ? side * 0.08 : 0;
    if (!isOver && shows("arrows")) drawArrows(pen, map, number, middle, centre - raised, side * room, inkOf);
    if (!isOver && shows("numbers") && side >= 34)
      drawNumbers(pen, map, number, values, middle, top, wide, high, show, ink);
    if (map.marks?.(cell)) {
      pen.fillStyle = ink;
      pen.font = `600 ${Math.max(9, side * 0.17)}px system-ui, sans-serif`;
      pen.textAlign = "right";
      pen.fillText(map.marks(cell), left + wide - side * 0.06, top + side * 0.14);
      pen.textAlign = "center";
    }
  }
  pen.strokeStyle = colours.line;
  pen.lineWidth = 1;
  pen.beginPath();
  for (let row = 0; row <= map.rows; row++) line(pen, 0, row * high, width, row * high);
  for (let column = 0; column <= map.columns; column++) line(pen, column * wide, 0, column * wide, height);
  pen.stroke();
  // Walls between neighbours.
  pen.strokeStyle = colours.text;
  pen.lineWidth = 3;
  pen.beginPath();
  for (const [[row, column], [otherRow, otherColumn]] of map.walls) {
    if (row === otherRow) line(pen, otherColumn * wide, row * high, otherColumn * wide, (row + 1) * high);
    else line(pen, column * wide, otherRow * high, (column + 1) * wide, otherRow * high);
  }
  pen.stroke();
  if (map.chosen >= 0) {
    pen.strokeStyle = colours.accent;
    pen.lineWidth = 3;
    pen.strokeRect(
      (map.chosen % map.columns) * wide + 1.5,
      Math.floor(map.chosen / map.columns) * high + 1.5,
      wide - 3,
      high - 3,
    );
  }
  if (map.walker >= 0) {
    pen.beginPath();
    pen.arc(
      (map.walker % map.columns) * wide + wide / 2,
      Math.floor(map.walker / map.columns) * high + high / 2,
      side * 0.17,
      0,
      7,
    );
    pen.fillStyle = colours.accent;
    pen.fill();
    pen.strokeStyle = colours.page;
    pen.lineWidth = 2;
    pen.stroke();
  }
}

function line(pen, left, top, right, bottom) {
  pen.moveTo(left, top);
  pen.lineTo(right, bottom);
}

/** The action values as triangles, each at the side that its action moves to; others make no triangle. */
function drawTriangles(pen, map, values, left, top, wide, high, colours) {
  map.moves.forEach((move, action) => {
    if (!move || (!move[0] && !move[1])) return;
    const [down, right] = move;
    const corner = (across) => [
      left + wide * (0.5 + 0.5 * (right || across)),
      top + high * (0.5 + 0.5 * (down || across)),
    ];
    pen.beginPath();
    pen.moveTo(left + wide / 2, top + high / 2);
    pen.lineTo(...corner(-1));
    pen.lineTo(...corner(1));
    pen.closePath();
    pen.fillStyle = colourOfValue(values[action], map.range, colours);
    pen.fill();
    pen.strokeStyle = colours.line;
    pen.lineWidth = 0.7;
    pen.stroke();
  });
}

/** An arrow for each action of the largest value; of these, those that the tie rule never takes are faint. */
function drawArrows(pen, map, number, middle, centre, side, inkOf) {
  let isFirst = true;
  const tied = map.moves.map((_, action) => action).filter((action) => map.isTied(number, action));
  // One arrow alone goes through the middle.
  const tail = (tied.length > 1 ? 0.06 : -0.24) * side;
  tied.forEach((action) => {
    const move = map.moves[action];
    pen.globalAlpha = map.ties === "first" && !isFirst ? 0.2 : 1;
    isFirst = false;
    pen.fillStyle = pen.strokeStyle = inkOf(action);
    pen.lineWidth = Math.max(1.2, side * 0.045);
    const [down, right] = move ?? [0, 0];
    if (!down && !right) {
      pen.beginPath();
      pen.arc(middle, centre, side * (0.05 + 0.02 * (action % 3)), 0, 7);
      pen.stroke();
    } else {
      const [tip, neck, half] = [side * 0.36, side * 0.24, side * 0.09];
      pen.beginPath();
      line(pen, middle + right * tail, centre + down * tail, middle + right * neck, centre + down * neck);
      pen.stroke();
      pen.beginPath();
      pen.moveTo(middle + right * tip, centre + down * tip);
      pen.lineTo(middle + right * neck + down * half, centre + down * neck + right * half);
      pen.lineTo(middle + right * neck - down * half, centre + down * neck - right * half);
      pen.fill();
    }
    pen.globalAlpha = 1;
  });
}

/** The largest value or the visits at the foot of a cell; with triangles, each action's own. */
function drawNumbers(pen, map, number, values, middle, top, wide, high, show, ink) {
  pen.fillStyle = ink;
  const side = Math.min(wide, high);
  if (show.includes("triangles")) {
    if (side < 56) return;
    pen.font = `${side * 0.13}px system-ui, sans-serif`;
    map.moves.forEach((move, action) => {
      if (!move) return;
      const [down, right] = move;
      pen.fillStyle = inkOn(colourOfValue(values[action], map.range, map.colours));
      pen.fillText(rounded(values[action]), middle + right * wide * 0.3, top + high * (0.5 + down * 0.38));
    });
    return;
  }
  const visits = show.includes("visits") && map.visits;
  const shown = visits ? values.reduce((sum, _, action) => sum + map.visits(number, action), 0) : Math.max(...values);
  pen.font = `${Math.max(8, side * 0.17)}px system-ui, sans-serif`;
  pen.fillText(visits ? shortCount(shown) : rounded(shown), middle, top + high * 0.9);
}

const shortCount = (count) =>
  count < 10000 ? String(count) : count < 1e6 ? `${Math.round(count / 1e3)}k` : `${(count / 1e6).toFixed(1)}M`;

/** Lines with bands, a dashed line of the best possible, and a marker. */
function drawCurves(canvas, chart, colours) {
  const ready = prepared(canvas);
  if (!ready) return;
  const { pen, width, height } = ready;
  const size = parseFloat(getComputedStyle(document.documentElement).fontSize) * 0.8;
  pen.font = `${size}px system-ui, sans-serif`;
  const [left, right, top, bottom] = [size * 3.4, width - size * 1.8, size * 1.7, height - size * 2];
  const [low, high] = chart.range;
  const toX = (x) => left + ((right - left) * (x - chart.from)) / Math.max(1, chart.to - chart.from);
  const toY = (y) => bottom - ((bottom - top) * (Math.max(low, Math.min(high, y)) - low)) / (high - low || 1);
  pen.strokeStyle = colours.line;
  pen.lineWidth = 1;
  pen.fillStyle = colours.quiet;
  pen.textBaseline = "middle";
  for (const tick of ticks(low, high, 5)) {
    pen.beginPath();
    line(pen, left, toY(tick), right, toY(tick));
    pen.stroke();
    pen.textAlign = "right";
    pen.fillText(String(tick), left - size * 0.5, toY(tick));
  }
  pen.textAlign = "center";
  for (const tick of ticks(chart.from, chart.to, width / 90))
    pen.fillText(tick.toLocaleString("en"), toX(tick), bottom + size * 0.9);
  for (const x of chart.changes ?? []) {
    pen.setLineDash([2, 3]);
    pen.strokeStyle = colours.quiet;
    pen.beginPath();
    line(pen, toX(x), top, toX(x), bottom);
    pen.stroke();
  }
  if (chart.best !== null && chart.best !== undefined) {
    pen.setLineDash([6, 4]);
    pen.strokeStyle = colours.text;
    pen.beginPath();
    line(pen, left, toY(chart.best), right, toY(chart.best));
    pen.stroke();
    pen.fillStyle = colours.text;
    pen.textAlign = "right";
    pen.fillText(chart.bestText, right, toY(chart.best) - size * 0.8);
  }
  pen.setLineDash([]);
  for (const { x, low: lower, high: upper, colour } of chart.lines) {
    if (!lower) continue;
    pen.globalAlpha = 0.2;
    pen.fillStyle = colour;
    pen.beginPath();
    x.forEach((at, number) => pen.lineTo(toX(at), toY(lower[number])));
    for (let number = x.length - 1; number >= 0; number--) pen.lineTo(toX(x[number]), toY(upper[number]));
    pen.fill();
    pen.globalAlpha = 1;
  }
  for (const { x, mean, colour, dash } of chart.lines) {
    pen.setLineDash(dash);
    pen.strokeStyle = colour;
    pen.lineWidth = 2.2;
    pen.beginPath();
    x.forEach((at, number) => pen.lineTo(toX(at), toY(mean[number])));
    pen.stroke();
  }
  pen.setLineDash([]);
  if (chart.at === undefined) return;
  pen.strokeStyle = colours.accent;
  pen.lineWidth = 1.5;
  pen.beginPath();
  line(pen, toX(chart.at), top, toX(chart.at), bottom);
  pen.stroke();
  for (const { x, mean, colour } of chart.lines) {
    const number = x.findIndex((one) => one >= chart.at);
    pen.beginPath();
    pen.arc(toX(chart.at), toY(mean[number < 0 ? mean.length - 1 : number]), 5, 0, 7);
    pen.fillStyle = colour;
    pen.fill();
  }
}

/** Round numbers within a range, about as many as are asked for. */
function ticks(low, high, about) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(1, about);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, number) =>
    Number(((first + number) * step).toPrecision(9)),
  );
}

// Okabe & Ito (2008), as in all our pictures; their black follows the theme.
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "", "#999999"];
const DASHES = [[], [7, 4], [7, 3, 2, 3], [2, 3]];
const colourOfAgent = (number, colours) => COLOURS[number % COLOURS.length] || colours.text;
const dashOfAgent = (number) => DASHES[Math.floor(number / COLOURS.length) % DASHES.length];

// ---- Maps of the agents --------------------------------------------------------------------------------------------

function mapOf(agent, colours) {
  const environment = place();
  const trial = trialOf(agent);
  const tables = unpacked(trial, environment);
  const [numStates, numActions] = [environment.cells.length, environment.moves.length];
  const snapshot = snapshotAt(trial, episode());
  const first = snapshot * numStates;
  const [size, panel] = [environment.rows * environment.columns, state.panel];
  return {
    ...environment,
    colours,
    cells: environment.cells.map((cell) => (Math.floor(cell / size) === panel ? cell % size : -1)),
    kinds: environment.kinds.slice(panel * size, (panel + 1) * size),
    values: (number, action) => tables.values[(first + number) * numActions + action],
    isTied: (number, action) => (tables.tied[first + number] >> action) & 1,
    ties: agent.ties,
    visits: tables.visits && ((number, action) => (action ? 0 : tables.visits[first + number])),
    mostVisits: trial.most,
    walker: -1,
    chosen: -1,
  };
}

function buildMaps() {
  const colours = palette();
  byId("maps").replaceChildren(
    ...state.agents
      .filter((number) => place().agents[number])
      .map((number) => {
        const agent = place().agents[number];
        const figure = document.createElement("figure");
        const caption = document.createElement("figcaption");
        const swatch = document.createElement("i");
        swatch.style.background = colourOfAgent(agent.place, colours);
        const name = document.createElement("b");
        name.textContent = agent.label;
        name.title = agent.expression;
        const facts = document.createElement("span");
        caption.append(swatch, name, facts);
        const canvas = document.createElement("canvas");
        canvas.setAttribute("role", "img");
        shape(canvas, place());
        canvas.addEventListener("mousemove", (event) => sayCell(event, canvas, agent));
        canvas.addEventListener("mouseleave", () => (byId("reading").textContent = ""));
        figure.append(caption, canvas);
        return figure;
      }),
  );
  // Wide maps stand one below another.
  const number = byId("maps").children.length;
  const isWide = place().columns > 1.9 * place().rows;
  byId("maps").style.setProperty("--panels", Math.max(1, isWide ? Math.ceil(number / 4) : number));
}

/** Give a canvas the proportions of a map; long chains become a strip. */
function shape(canvas, map) {
  canvas.style.setProperty("--ratio", map.columns / map.rows);
}

/** The numbers of the cell under the pointer, in words. */
function sayCell(event, canvas, agent) {
  const map = mapOf(agent, palette());
  const number = map.cells.indexOf(cellUnder(event, canvas, map));
  const parts =
    number < 0 ? [] : map.actions.map((name, action) => `${name} ${Number(map.values(number, action).toPrecision(4))}`);
  byId("reading").textContent = parts.length ? `${agent.label}: ${parts.join(", ")}` : "";
}

function cellUnder(event, canvas, map) {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor(((event.clientX - box.left) / box.width) * map.columns);
  const row = Math.floor(((event.clientY - box.top) / box.height) * map.rows);
  return Math.min(map.rows - 1, Math.max(0, row)) * map.columns + Math.min(map.columns - 1, Math.max(0, column));
}

function drawAgents() {
  const colours = palette();
  const figures = [...byId("maps").children];
  shownAgents().forEach((agent, number) => {
    const figure = figures[number];
    if (!figure) return;
    drawMap(figure.querySelector("canvas"), mapOf(agent, colours), state.show, colours);
    const trial = trialOf(agent);
    const exploration = trial.exploration?.[snapshotAt(trial, episode())];
    figure.querySelector("span").textContent =
      agent.parameter && Number.isFinite(exploration) ? `${agent.parameter} ${Number(exploration.toPrecision(2))}` : "";
    figure.querySelector("canvas").setAttribute("aria-label", `${agent.label}, ${words().episode} ${episode()}`);
  });
  const environment = place();
  const lines = shownAgents()
    .filter((agent) => agent.curve)
    .map((agent) => ({
      ...agent.curve,
      colour: colourOfAgent(agent.place, colours),
      dash: dashOfAgent(agent.place),
    }));
  drawCurves(
    byId("curves"),
    {
      lines,
      from: 0,
      to: Math.max(1, ...stops(), ...lines.flatMap(({ x }) => x.slice(-1))),
      range: environment.curveRange,
      best: environment.best,
      bestText: words().bestPossible,
      at: episode(),
    },
    colours,
  );
}

// ---- The world to try ----------------------------------------------------------------------------------------------

const DEFAULTS = {
  rule: "q_learning",
  epsilon: 0.1,
  alpha: 0.5,
  gamma: 0.95,
  ties: "random",
  slip: null,
  rewards: {},
  walls: {},
};

/** A live training in the environment's world, with the changes that the state names. */
function buildLive() {
  const given = place().world;
  byId("live").dataset.possible = given ? "yes" : "no";
  state.cell = -1;
  if (!given) {
    state.training = null;
    state.liveRunning = false;
    return;
  }
  const edits = state.live;
  const world = new GridWorld({ ...given, slip: edits.slip ?? given.slip });
  for (const [cell, reward] of Object.entries(edits.rewards)) if (cell < world.size) world.rewards[cell] = reward;
  for (const [cell, isWall] of Object.entries(edits.walls)) if (cell < world.size) world.walls[cell] = isWall;
  // Read at every step, so that changes take effect while it learns.
  const settings = {
    get rule() {
      return state.live.rule;
    },
    get epsilon() {
      return state.live.epsilon;
    },
    get learningRate() {
      return state.live.alpha;
    },
    get discount() {
      return state.live.gamma;
    },
    get ties() {
      return state.live.ties;
    },
  };
  state.training = new LiveTraining(world, settings, uniforms(1), uniforms(2));
  state.training.changes = [];
  state.debt = 0;
  shape(byId("world"), given);
}

function changed() {
  state.training?.changes.push(state.training.returns.number);
  writeAddress();
  drawLive();
}

function setReward(cell, reward) {
  if (!state.training || !Number.isFinite(reward)) return;
  state.live.rewards[cell] = state.training.world.rewards[cell] = within(reward, -LARGEST, LARGEST, 0);
  changed();
}

function setWall(cell, isWall) {
  if (!state.training || state.training.world.starts[cell] > 0) return;
  state.live.walls[cell] = isWall;
  state.training.world.walls[cell] = isWall;
  // Who stands where a wall is put begins a new episode.
  if (isWall && state.training.state === cell) [state.training.state, state.training.learner.plannedAction] = [-1, -1];
  changed();
}

function setSlip(slip) {
  if (!state.training) return;
  state.live.slip = state.training.world.slip = slip;
  changed();
}

function setRule(name, value) {
  state.live[name] = value;
  // An action that Sarsa had planned is not Q-learning's.
  if (name === "rule" && state.training) state.training.learner.plannedAction = -1;
  changed();
}

function drawLive() {
  const training = state.training;
  if (!training) return;
  const colours = palette();
  const { world, learner } = training;
  const environment = place();
  const kinds = Array.from({ length: world.size }, (_, cell) => {
    if (world.walls[cell]) return "wall";
    return environment.kinds[cell] === "wall" ? "free" : environment.kinds[cell];
  });
  let [low, high] = [0, 0];
  for (let cell = 0; cell < world.size; cell++) {
    if (world.ends[cell] || world.walls[cell]) continue;
    const best = learner.best(cell);
    [low, high] = [Math.min(low, best), Math.max(high, best)];
  }
  const at = (number, action) => number * learner.numActions + action;
  drawMap(
    byId("world"),
    {
      rows: world.rows,
      columns: world.columns,
      moves: world.moves,
      kinds,
      walls: [],
      panels: [""],
      colours,
      range: [low, high],
      cells: Array.from({ length: world.size }, (_, cell) => cell),
      values: (number, action) => learner.values[at(number, action)],
      isTied: (number, action) => learner.values[at(number, action)] === learner.best(number),
      ties: state.live.ties,
      visits: (number, action) => learner.visits[at(number, action)],
      mostVisits: Math.max(1, training.steps / 4),
      marks: (cell) =>
        world.rewards[cell] !== environment.world.rewards[cell]
          ? String(Number(world.rewards[cell].toPrecision(3)))
          : "",
      walker: stepsASecond(state.liveSpeed) <= 70 ? (training.state < 0 ? world.cell : training.state) : -1,
      chosen: state.cell,
    },
    state.show,
    colours,
  );
  const { x, mean, recent } = training.returns;
  const least = Math.min(0, ...mean);
  drawCurves(
    byId("live-curve"),
    {
      lines: [{ x, mean, colour: colours.accent, dash: [] }],
      from: 0,
      to: Math.max(1, training.returns.number),
      range: [least, Math.max(least + 1, ...mean)],
      best: null,
      changes: training.changes,
    },
    colours,
  );
  const facts = [
    [words().episodes, training.returns.number],
    [words().steps, training.steps],
  ];
  if (recent.length) facts.push([words().lastReturns, Number(meanOf(recent).toPrecision(3))]);
  byId("live-facts").textContent = facts.map(([word, number]) => `${word} ${number.toLocaleString("en")}`).join(" · ");
}

function buildCellForm() {
  const training = state.training;
  const has = Boolean(training) && state.cell >= 0;
  byId("cell-form").hidden = !has;
  byId("cell-hint").hidden = has;
  if (!has) return;
  const { world } = training;
  byId("cell-name").textContent = words()
    .cell.replace("%r", Math.floor(state.cell / world.columns) + 1)
    .replace("%c", (state.cell % world.columns) + 1);
  byId("cell-reward").value = world.rewards[state.cell];
  byId("cell-wall").checked = world.walls[state.cell];
  byId("cell-wall").disabled = world.starts[state.cell] > 0;
}

function chooseCell(cell) {
  state.cell = cell;
  buildCellForm();
  drawLive();
}

// ---- The address ---------------------------------------------------------------------------------------------------

const list = (text) => (text ? text.split(",") : []);
const pairs = (text) =>
  Object.fromEntries(
    list(text)
      .map((part) => part.split(":"))
      .filter(([cell]) => /^\d+$/.test(cell)),
  );
const within = (number, low, high, otherwise) =>
  number === null || number === "" || !Number.isFinite(Number(number))
    ? otherwise
    : Math.min(high, Math.max(low, Number(number)));

/** The first panel that has states. */
const firstPanel = (environment) =>
  Math.floor(
    Math.max(
      0,
      environment.cells.find((cell) => cell >= 0),
    ) /
      (environment.rows * environment.columns),
  );

// The frame that the page stands in, in a notebook or in documentation; it has no address of its own there.
const frame = location.href === "about:srcdoc" ? window.frameElement : null;
const address = () => (frame ? `#${frame.dataset.address}` : location.hash);

/** What the address says, and the page's own choice for all else. */
function readAddress() {
  const given = new URLSearchParams(address().slice(1));
  state.environment = Math.round(within(given.get("environment"), 0, data.environments.length - 1, 0));
  const environment = place();
  const numbers = list(given.get("agents"))
    .map(Number)
    .filter((number) => environment.agents[number]);
  state.agents = given.has("agents") ? [...new Set(numbers)] : [...environment.shown];
  state.panel = Math.round(within(given.get("panel"), 0, environment.panels.length - 1, firstPanel(environment)));
  const seed = Number(given.get("seed") ?? environment.seed);
  state.seed = seedsOf(environment).includes(seed) ? seed : environment.seed;
  const at = within(given.get("episode"), 0, Infinity, 0);
  state.at = Math.max(
    0,
    stops().findLastIndex((one) => one <= at),
  );
  state.speed = SPEEDS.includes(Number(given.get("speed"))) ? Number(given.get("speed")) : 1;
  state.show = given.has("show")
    ? list(given.get("show")).filter((what) => SHOWN.includes(what))
    : ["values", "arrows"];
  state.hide = list(given.get("hide")).filter((part) => PARTS.includes(part));
  state.theme = ["light", "dark"].includes(given.get("theme")) ? given.get("theme") : "";
  const languages = [given.get("language"), frame?.closest("[lang]")?.lang.slice(0, 2)];
  state.language = languages.find((one) => data.words[one]) ?? data.language;
  state.playing = given.get("play") === "1";
  const rewards = Object.entries(pairs(given.get("rewards"))).map(([cell, reward]) => [
    cell,
    within(reward, -LARGEST, LARGEST, NaN),
  ]);
  state.live = {
    rule: given.get("rule") === "sarsa" ? "sarsa" : DEFAULTS.rule,
    epsilon: within(given.get("epsilon"), 0, 1, DEFAULTS.epsilon),
    alpha: within(given.get("alpha"), 0, 1, DEFAULTS.alpha),
    gamma: within(given.get("gamma"), 0, 1, DEFAULTS.gamma),
    ties: given.get("ties") === "first" ? "first" : DEFAULTS.ties,
    slip: within(given.get("slip"), 0, 1, null),
    rewards: Object.fromEntries(rewards.filter(([, reward]) => Number.isFinite(reward))),
    walls: Object.fromEntries(Object.entries(pairs(given.get("walls"))).map(([cell, wall]) => [cell, wall === "1"])),
  };
  state.liveSpeed = Math.round(within(given.get("live-speed"), 0, 10, 2));
  state.liveRunning = given.get("live") === "1";
}

let written = "";
let writtenAt = 0;
/** Put the state into the address, only what is not the page's own choice; browsers bear it a few times a second. */
function writeAddress() {
  if (location.href === "about:srcdoc") return;
  const environment = place();
  const entries = {
    environment: state.environment || "",
    panel: state.panel === firstPanel(environment) ? "" : state.panel,
    agents: String(state.agents) === String(environment.shown) ? null : state.agents.join(","),
    seed: state.seed === environment.seed ? "" : state.seed,
    episode: episode(),
    speed: state.speed === 1 ? "" : state.speed,
    show: String(state.show) === "values,arrows" ? null : state.show.join(","),
    hide: state.hide.join(","),
    theme: state.theme,
    language: state.language === data.language ? "" : state.language,
    play: state.playing ? 1 : "",
    live: state.liveRunning ? 1 : "",
    "live-speed": state.liveSpeed === 2 ? "" : state.liveSpeed,
    slip: state.live.slip ?? "",
    rewards: Object.entries(state.live.rewards)
      .map((pair) => pair.join(":"))
      .join(","),
    walls: Object.entries(state.live.walls)
      .map(([cell, wall]) => `${cell}:${wall ? 1 : 0}`)
      .join(","),
  };
  for (const name of ["rule", "epsilon", "alpha", "gamma", "ties"])
    entries[name] = state.live[name] === DEFAULTS[name] ? "" : state.live[name];
  // An empty list of agents or of what is shown is a choice, too.
  const kept = Object.entries(entries).filter(([name, value]) =>
    name === "agents" || name === "show" ? value !== null : value !== "",
  );
  const encoded = (value) => encodeURIComponent(value).replaceAll("%2C", ",").replaceAll("%3A", ":");
  const text = `#${kept.map(([name, value]) => `${name}=${encoded(value)}`).join("&")}`;
  if (text === written) return;
  written = text;
  writtenAt = performance.now();
  try {
    history.replaceState(null, "", text);
  } catch {
    // Too often for this browser: the next change writes it.
    written = "";
  }
}

// ---- The page's parts ----------------------------------------------------------------------------------------------

function setWords() {
  document.documentElement.lang = state.language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = words()[element.dataset.word];
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", words()[element.dataset.label]);
    element.title = words()[element.dataset.label];
  }
}

function setTheme() {
  if (state.theme) document.documentElement.dataset.theme = state.theme;
  else delete document.documentElement.dataset.theme;
}

function setHidden() {
  for (const element of document.querySelectorAll("[data-part]")) {
    element.hidden = state.hide.includes(element.dataset.part) && !state.areHiddenShown;
  }
  for (const box of document.querySelectorAll("#parts input")) box.checked = state.hide.includes(box.value);
}

/** A button that is pressed or not. */
function toggle(text, isPressed, act, colour) {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-pressed", String(isPressed));
  if (colour) {
    const swatch = document.createElement("i");
    swatch.style.background = colour;
    button.append(swatch);
  }
  button.append(text);
  button.addEventListener("click", act);
  return button;
}

const option = (value, text, isSelected) => new Option(text, value, isSelected, isSelected);

function buildChoices() {
  const colours = palette();
  byId("environment").replaceChildren(
    ...data.environments.map(({ label }, number) => option(number, label, number === state.environment)),
  );
  byId("environment-label").hidden = data.environments.length < 2;
  byId("agents").replaceChildren(
    ...place().agents.map((agent, number) =>
      toggle(
        agent.label,
        state.agents.includes(number),
        () => toggleAgent(number),
        colourOfAgent(agent.place, colours),
      ),
    ),
  );
  byId("panel-label").hidden = place().panels.length < 2;
  byId("panel").replaceChildren(
    ...place().panels.flatMap((name, number) => (name ? [option(number, name, number === state.panel)] : [])),
  );
  byId("seed").replaceChildren(...seedsOf(place()).map((seed) => option(seed, seed, seed === state.seed)));
  byId("show").replaceChildren(
    ...SHOWN.map((what) => toggle(words()[what], state.show.includes(what), () => toggleShown(what))),
  );
  byId("speed").replaceChildren(...SPEEDS.map((speed) => option(speed, `× ${speed}`, speed === state.speed)));
  byId("parts").replaceChildren(
    ...PARTS.map((part) => {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.value = part;
      box.checked = state.hide.includes(part);
      box.addEventListener("change", () => toggleHidden(part));
      label.append(box, ` ${words()[`part${part[0].toUpperCase()}${part.slice(1)}`]}`);
      return label;
    }),
  );
  byId("slider").max = stops().length - 1;
  byId("curve-title").textContent = place().metric === "success" ? words().successCurve : words().returnCurve;
  byId("curve-note").textContent = place().curveNote[state.language];
  for (const name of ["rule", "ties"]) byId(`live-${name}`).value = state.live[name];
  for (const name of ["epsilon", "alpha", "gamma"]) byId(`live-${name}`).value = state.live[name];
  byId("live-slip").value = state.live.slip ?? place().world?.slip ?? 0;
  byId("live-speed").value = state.liveSpeed;
  setLiveNumbers();
}

function setLiveNumbers() {
  for (const name of ["epsilon", "alpha", "gamma", "slip"])
    byId(`live-${name}-number`).textContent = Number(byId(`live-${name}`).value).toFixed(2);
  byId("live-speed-number").textContent = `${stepsASecond(state.liveSpeed).toLocaleString("en")}/s`;
}

function setPlayer() {
  const isPlaying = state.playing;
  byId("play").textContent = isPlaying ? "❚❚" : "▶";
  byId("play").setAttribute("aria-label", isPlaying ? words().pause : words().play);
  byId("play").title = byId("play").getAttribute("aria-label");
  byId("slider").value = Math.floor(state.at);
  byId("slider").setAttribute("aria-valuetext", `${words().episode} ${episode()}`);
  byId("episode").textContent = episode().toLocaleString("en");
  const live = byId("live-play");
  live.textContent = state.liveRunning ? `❚❚ ${words().pause}` : `▶ ${words().learn}`;
}

function refresh() {
  setTheme();
  setWords();
  buildChoices();
  buildMaps();
  setHidden();
  setPlayer();
  buildCellForm();
  setHeight();
  drawAgents();
  drawLive();
}

function toggleAgent(number) {
  const has = state.agents.includes(number);
  state.agents = place()
    .agents.map((_, at) => at)
    .filter((at) => (at === number ? !has : state.agents.includes(at)));
  refresh();
  writeAddress();
}

function toggleShown(what) {
  const has = state.show.includes(what);
  // A map's ground has one colour: values, triangles or visits.
  const grounds = ["values", "triangles", "visits"];
  state.show = SHOWN.filter((one) =>
    one === what ? !has : state.show.includes(one) && !(!has && grounds.includes(what) && grounds.includes(one)),
  );
  refresh();
  writeAddress();
}

function toggleHidden(part) {
  state.hide = PARTS.filter((one) => (one === part) !== state.hide.includes(one));
  setHidden();
  writeAddress();
  draw();
}

function setEnvironment(number) {
  const keptEpisode = episode();
  state.environment = number;
  state.panel = firstPanel(place());
  state.agents = [...place().shown];
  state.seed = place().seed;
  state.at = Math.max(
    0,
    stops().findLastIndex((one) => one <= keptEpisode),
  );
  state.live = { ...state.live, slip: null, rewards: {}, walls: {} };
  buildLive();
  refresh();
  writeAddress();
}

/** Let the maps be as tall as the window leaves room for, beside the controls that are shown. */
function setHeight() {
  const others = document.querySelector("header").offsetHeight + document.querySelector(".player").offsetHeight;
  byId("maps").style.setProperty("--tallest", `max(14rem, ${innerHeight - others}px - 5.5rem)`);
}

function draw() {
  setHeight();
  setPlayer();
  drawAgents();
  drawLive();
}

function moveTo(at) {
  state.at = Math.min(stops().length - 1, Math.max(0, at));
  setPlayer();
  drawAgents();
}

function setPlaying(isPlaying) {
  if (isPlaying && state.at >= stops().length - 1) state.at = 0;
  state.playing = isPlaying;
  moveTo(state.at);
  writeAddress();
}

function setLiveRunning(isRunning) {
  state.liveRunning = isRunning && Boolean(state.training);
  setPlayer();
  writeAddress();
}

function setSpeed(speed) {
  state.speed = speed;
  byId("speed").value = speed;
  writeAddress();
}

function restartLive() {
  buildLive();
  buildCellForm();
  drawLive();
  setPlayer();
}

function nextOf(values, value) {
  return values[(values.indexOf(value) + 1) % values.length];
}

// ---- Keys ----------------------------------------------------------------------------------------------------------

const isDark = () =>
  (state.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const faster = (by) => setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, SPEEDS.indexOf(state.speed) + by))]);
const KEYS = {
  " ": () => setPlaying(!state.playing),
  ArrowRight: (event) => moveBy(event.shiftKey ? 10 : 1),
  ArrowLeft: (event) => moveBy(event.shiftKey ? -10 : -1),
  Home: () => moveBy(-Infinity),
  End: () => moveBy(Infinity),
  "+": () => faster(1),
  "-": () => faster(-1),
  v: () => toggleShown("values"),
  a: () => toggleShown("arrows"),
  t: () => toggleShown("triangles"),
  n: () => toggleShown("visits"),
  m: () => toggleShown("numbers"),
  e: () => data.environments.length > 1 && setEnvironment((state.environment + 1) % data.environments.length),
  s: () => change(() => (state.seed = nextOf(seedsOf(place()), state.seed))),
  d: () => change(() => (state.theme = isDark() ? "light" : "dark")),
  l: () => change(() => (state.language = nextOf(Object.keys(data.words), state.language))),
  h: () => change(() => (state.areHiddenShown = !state.areHiddenShown)),
  p: () => setLiveRunning(!state.liveRunning),
  r: () => restartLive(),
  "?": () => (byId("keys").open = !byId("keys").open),
};

function moveBy(by) {
  state.playing = false;
  moveTo(Math.floor(state.at) + by);
  writeAddress();
}

function change(act) {
  act();
  refresh();
  writeAddress();
}

/** Keys of the world to try, while it has the focus; others are left to the page. */
function moveChosenCell(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const { world } = state.training ?? {};
  if (!world) return;
  if (step) {
    const from = state.cell < 0 ? 0 : state.cell;
    const row = Math.min(world.rows - 1, Math.max(0, Math.floor(from / world.columns) + step[0]));
    const column = Math.min(world.columns - 1, Math.max(0, (from % world.columns) + step[1]));
    chooseCell(state.cell < 0 ? 0 : cellKey(row, column));
  } else if (event.key === "w" && state.cell >= 0) {
    setWall(state.cell, !world.walls[state.cell]);
    buildCellForm();
  } else if (event.key === "Enter" && state.cell >= 0) {
    byId("cell-reward").focus();
    byId("cell-reward").select();
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target;
  // Fields and buttons have keys of their own.
  if (target.matches("input[type=number], select")) return;
  if (target.matches("input[type=range]") && /^(Arrow|Home|End)/.test(event.key)) return;
  if (event.key === " " && target.matches("button, input[type=checkbox], summary")) return;
  const agent = Number(event.key) - 1;
  if (/^[1-9]$/.test(event.key) && place().agents[agent]) toggleAgent(agent);
  else if (KEYS[event.key]) KEYS[event.key](event);
  else return;
  event.preventDefault();
}

// ---- Time ----------------------------------------------------------------------------------------------------------

let before = 0;
function tick(now) {
  // A page that was in the background does not catch up.
  const seconds = Math.min(0.25, (now - before) / 1000);
  before = now;
  if (state.playing) {
    const last = stops().length - 1;
    const reached = state.at + (seconds * state.speed * stops().length) / SECONDS;
    if (reached >= last) state.playing = false;
    moveTo(reached);
    if (!state.playing || now - writtenAt > 1000) writeAddress();
  }
  if (state.liveRunning && state.training) {
    state.debt += seconds * stepsASecond(state.liveSpeed);
    const until = performance.now() + 12;
    // The clock is looked at now and then: it costs more than a step.
    while (state.debt >= 1 && performance.now() < until) {
      for (let count = 0; count < 200 && state.debt >= 1; count++) {
        state.training.step();
        state.debt -= 1;
      }
    }
    state.debt = Math.min(state.debt, 1000);
    drawLive();
  }
  requestAnimationFrame(tick);
}

function listen() {
  byId("play").addEventListener("click", () => setPlaying(!state.playing));
  byId("back").addEventListener("click", () => moveBy(-1));
  byId("forward").addEventListener("click", () => moveBy(1));
  byId("slider").addEventListener("input", (event) => {
    state.playing = false;
    moveTo(Number(event.target.value));
    writeAddress();
  });
  byId("speed").addEventListener("change", (event) => setSpeed(Number(event.target.value)));
  byId("environment").addEventListener("change", (event) => setEnvironment(Number(event.target.value)));
  byId("seed").addEventListener("change", (event) => change(() => (state.seed = Number(event.target.value))));
  byId("panel").addEventListener("change", (event) => change(() => (state.panel = Number(event.target.value))));
  byId("theme").addEventListener("click", KEYS.d);
  byId("language").addEventListener("click", KEYS.l);
  byId("live-play").addEventListener("click", () => setLiveRunning(!state.liveRunning));
  byId("live-step").addEventListener("click", () => {
    state.training?.step();
    drawLive();
  });
  byId("live-restart").addEventListener("click", restartLive);
  byId("live-reset").addEventListener("click", () => {
    state.live = { ...DEFAULTS, rewards: {}, walls: {} };
    restartLive();
    buildChoices();
    writeAddress();
  });
  for (const name of ["rule", "ties"])
    byId(`live-${name}`).addEventListener("change", (event) => setRule(name, event.target.value));
  for (const name of ["epsilon", "alpha", "gamma"]) {
    byId(`live-${name}`).addEventListener("input", (event) => {
      state.live[name] = Number(event.target.value);
      setLiveNumbers();
    });
    byId(`live-${name}`).addEventListener("change", (event) => setRule(name, Number(event.target.value)));
  }
  byId("live-slip").addEventListener("input", setLiveNumbers);
  byId("live-slip").addEventListener("change", (event) => setSlip(Number(event.target.value)));
  byId("live-speed").addEventListener("input", (event) => {
    state.liveSpeed = Number(event.target.value);
    setLiveNumbers();
    writeAddress();
  });
  byId("world").addEventListener(
    "click",
    (event) => state.training && chooseCell(cellUnder(event, byId("world"), state.training.world)),
  );
  byId("world").addEventListener("keydown", moveChosenCell);
  byId("cell-reward").addEventListener("change", (event) => setReward(state.cell, event.target.valueAsNumber));
  byId("cell-wall").addEventListener("change", (event) => setWall(state.cell, event.target.checked));
  document.addEventListener("keydown", onKey);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  new ResizeObserver(draw).observe(byId("page"));
  if (frame) {
    document.documentElement.dataset.framed = "";
    new ResizeObserver(() => (frame.style.height = `${byId("page").offsetHeight}px`)).observe(byId("page"));
  }
  addEventListener("resize", draw);
  addEventListener("hashchange", () => {
    if (location.hash !== written) start();
  });
}

function start() {
  readAddress();
  buildLive();
  refresh();
  written = location.hash;
}

start();
listen();
// Plays at once, but where somebody chose an episode or wants no motion.
if (!address().includes("episode=") && !matchMedia("(prefers-reduced-motion: reduce)").matches)
  state.playing = true;
setPlayer();
requestAnimationFrame((now) => {
  before = now;
  tick(now);
});
