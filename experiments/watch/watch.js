"use strict";
// The page draws the data that it holds, and loads itself again while the run goes on.
const FIXED =
  "All seeds have not run yet: with a fixed number of seeds only the last verdict counts, and to stop at an earlier " +
  "one voids the bound on errors. --until-decided may look.";
const RELOAD_SECONDS = 2, STALE_SECONDS = 60;
const data = JSON.parse(document.getElementById("data").textContent);
const words = JSON.parse(document.getElementById("words").textContent);
const language = navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";
document.documentElement.lang = language;

function say(text, values = {}) {
  return words[language][text].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}
function drawn(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}
function duration(seconds) {
  let whole = Math.max(1, Math.ceil(seconds));
  if (whole < 60) return say("{seconds} s", { seconds: whole });
  if (whole < 3600) return say("{minutes} min {seconds} s", { minutes: Math.floor(whole / 60), seconds: whole % 60 });
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 1440) return say("{hours} h {minutes} min", { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
  return say("{days} d {hours} h", { days: Math.floor(minutes / 1440), hours: Math.floor((minutes % 1440) / 60) });
}
function dashes(name) {
  return { "-": "", "--": "7 4", "-.": "8 3 2 3", ":": "2 3" }[name];
}
function number(value) {
  return String(Number(value.toPrecision(3)));
}

function sample(row) {
  const svg = drawn("svg", { viewBox: "0 0 35 12", class: "line", "aria-hidden": "true" });
  svg.append(drawn("line", { x1: 1, x2: 34, y1: 6, y2: 6, stroke: row.colour, "stroke-width": 3, "stroke-dasharray": dashes(row.dash) }));
  return svg;
}

function ticks(low, high) {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(at);
  return found;
}

function picture(curves, title) {
  const width = Math.max(300, Math.min(1100, document.body.clientWidth - 60)), height = Math.round(Math.min(420, width * 0.55));
  const left = 62, right = width - 12, top = 12, bottom = height - 42;
  const margin = 0.04 * (curves.high - curves.low) || 0.5 * Math.abs(curves.high) || 1;
  const low = curves.low - margin, high = curves.high + margin;
  const x = (value) => left + ((right - left) * value) / curves.longest;
  const y = (value) => bottom - ((bottom - top) * (Math.min(high, Math.max(low, value)) - low)) / (high - low);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, class: "curves", role: "img", "aria-label": `${title}: ${curves.y_axis[language]}` });
  for (const at of ticks(low, high)) {
    svg.append(drawn("line", { x1: left, x2: right, y1: y(at), y2: y(at), stroke: "#e3e6e9" }));
    svg.append(drawn("text", { x: left - 6, y: y(at) + 4, "text-anchor": "end" }, number(at)));
  }
  for (const at of ticks(0, curves.longest)) {
    svg.append(drawn("text", { x: x(at), y: bottom + 18, "text-anchor": x(at) > right - 20 ? "end" : "middle" }, at.toLocaleString("en")));
  }
  svg.append(drawn("text", { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, curves.x_axis[language]));
  svg.append(drawn("text", { transform: `translate(14 ${(top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, curves.y_axis[language]));
  if (curves.best !== null) {
    svg.append(drawn("line", { x1: left, x2: right, y1: y(curves.best), y2: y(curves.best), stroke: "#595959", "stroke-dasharray": "6 3" }));
    svg.append(drawn("text", { x: right, y: y(curves.best) - 5, "text-anchor": "end" }, `${say("best possible")} ${number(curves.best)}`));
  }
  const opacity = curves.lines.length <= 8 ? 0.18 : 0.07;
  for (const line of curves.lines) {
    const known = line.x.map((_, place) => place).filter((place) => line.low[place] !== null && line.high[place] !== null);
    if (known.length > 1) {
      const upper = known.map((place) => `${x(line.x[place])},${y(line.high[place])}`);
      const lower = known.map((place) => `${x(line.x[place])},${y(line.low[place])}`).reverse();
      svg.append(drawn("polygon", { points: [...upper, ...lower].join(" "), fill: line.colour, opacity, class: "band" }));
    }
  }
  for (const line of curves.lines) {
    const points = line.x.map((at, place) => `${x(at)},${y(line.mean[place])}`).join(" ");
    svg.append(drawn("polyline", { points, fill: "none", stroke: line.colour, "stroke-width": 2, "stroke-dasharray": dashes(line.dash), class: "mean" }));
  }
  return svg;
}

function table(headings, rows) {
  const scroll = element("div", "", "scroll"), made = document.createElement("table");
  const head = made.createTHead().insertRow(), body = made.createTBody();
  for (const [text, isNumber] of headings) {
    const cell = element("th", text);
    cell.scope = "col";
    if (isNumber) cell.dataset.kind = "number";
    head.append(cell);
  }
  for (const [label, line, cells] of rows) {
    const row = body.insertRow(), heading = element("th");
    heading.scope = "row";
    if (line) heading.append(sample(line));
    heading.append(label);
    row.append(heading, ...cells.map((text, place) => element("td", text, headings[place + 1][1] ? "number" : "")));
  }
  scroll.append(made);
  return scroll;
}

function section(title, ...parts) {
  const made = element("section");
  made.append(element("h2", title), ...parts);
  return made;
}

function pairList(pairs) {
  const list = element("ul", "", "pairs");
  for (const pair of pairs) {
    const sign = pair.verdict === "different" ? ">" : "–";
    list.append(element("li", `${pair.ahead} ${sign} ${pair.behind}: ${say(pair.verdict)}, ${pair.difference}`));
  }
  return list;
}

// What the reader has unfolded stays so as the page loads itself again.
function folded(title, content, key) {
  const made = element("details");
  made.append(element("summary", title), content);
  try {
    made.open = sessionStorage.getItem(key) === "open";
    made.addEventListener("toggle", () => sessionStorage.setItem(key, made.open ? "open" : ""));
  } catch {
    // A browser that keeps nothing for files.
  }
  return made;
}

function environmentSection(one) {
  const parts = [];
  if (one.curves) {
    const card = element("div", "", "card");
    card.append(picture(one.curves, one.environment));
    parts.push(card);
  }
  const headings = [[say("agent"), false], [one.measure[language], true], [say("difference"), true], ["", false], [say("seeds"), true]];
  const hasFailed = one.rows.some((row) => row.failed);
  if (hasFailed) headings.push([say("failed"), true]);
  const cells = (row) => [row.text, row.difference, row.letters, row.seeds, ...(hasFailed ? [row.failed || ""] : [])];
  parts.push(table(headings, one.rows.map((row) => [row.agent, row, cells(row)])));
  if (one.num_pairs) {
    const counted = one.is_sequential ? "{number} of {all} pairs are decided" : "{number} of {all} pairs are told apart";
    parts.push(element("p", say(counted, { number: one.num_decided, all: one.num_pairs }), "decided"));
    if (!one.is_sequential && data.state !== "over") {
      parts.push(element("p", say(FIXED), "note"));
    }
    const isDifferent = (pair) => pair.verdict === "different";
    const different = pairList(one.pairs.filter(isDifferent)), others = pairList(one.pairs.filter((pair) => !isDifferent(pair)));
    if (one.num_pairs > one.pairs.length) others.append(element("li", say("and {number} more", { number: one.num_pairs - one.pairs.length })));
    if (different.childElementCount) parts.push(different);
    if (others.childElementCount) parts.push(folded(say("the others"), others, one.environment));
  }
  return section(one.environment, ...parts);
}

function statusLines(isStale) {
  const percent = data.total ? Math.floor((100 * data.finished) / data.total) : 0;
  const facts = [say("{finished} of {total} trials have ended ({percent} %)", { finished: data.finished.toLocaleString("en"), total: data.total.toLocaleString("en"), percent })];
  if (data.failed) facts.push(say("{number} failed", { number: data.failed }));
  if (data.reused) facts.push(say("{number} reused", { number: data.reused }));
  const isRunning = data.state === "running";
  facts.push(say(isRunning ? "{duration} so far" : "took {duration}", { duration: duration(data.elapsed) }));
  if (isRunning && data.is_compiling) facts.push(say("compiling"));
  if (isRunning && data.left !== null) facts.push(say("about {duration} left", { duration: duration(data.left) }));
  const bar = element("progress");
  bar.max = Math.max(1, data.total);
  bar.value = data.finished;
  const parts = [bar, element("p", facts.join(", "), "now")];
  if (isStale) {
    const time = new Date(data.written * 1000).toLocaleTimeString(language);
    parts.push(element("p", say("No news since {time}: the run has ended without saying so, or waits.", { time }), "stale"));
  }
  if (data.agents.length > 1 && (isRunning || data.failed)) {
    const failed = (one) => (data.failed ? [one.failed || ""] : []);
    const rows = data.agents.map((one) => [one.label, null, [`${one.finished}/${one.total}`, ...failed(one)]]);
    const headings = [[say("agent"), false], [say("trials"), true]];
    parts.push(table(data.failed ? [...headings, [say("failed"), true]] : headings, rows));
  }
  return parts;
}

const kinds = { running: "Comparison that runs", over: "Comparison that has ended", stopped: "Comparison that was stopped" };
const isRunning = data.state === "running";
const isStale = isRunning && Date.now() / 1000 - data.written > STALE_SECONDS;
const looked = data.looked, main = document.getElementById("main");
document.getElementById("kind").textContent = say(kinds[data.state]);
document.getElementById("name").textContent = looked ? looked.name : data.name;
document.getElementById("description").textContent = looked ? looked.description : "";
document.title = `${isRunning && data.total ? Math.floor((100 * data.finished) / data.total) + " % – " : ""}${data.name} – velodrome`;
main.append(...statusLines(isStale));
if (looked) {
  if (looked.trials < data.finished) main.append(element("p", say("The numbers below are of {number} trials.", { number: looked.trials }), "note"));
  main.append(...looked.environments.map(environmentSection));
  const sentences = looked.verdict[language].map((one) => {
    const made = element("div", "", "verdict");
    if (one.title) made.append(element("h3", one.title));
    made.append(element("p", one.sentences.join(" "), "first"));
    return made;
  });
  main.append(section(say(isRunning ? "Verdict so far" : "Verdict"), ...sentences));
  if (looked.failures.length) {
    const list = element("ul", "", "lines");
    for (const one of looked.failures) list.append(element("li", `${one.number} × ${one.reason}`));
    main.append(section(say("Failed trials"), list));
  }
} else if (isRunning) {
  main.append(element("p", say("No numbers yet: they come as soon as computing them takes less than 2 % of the time."), "note"));
}
if (isRunning) setTimeout(() => location.reload(), RELOAD_SECONDS * 1000);
