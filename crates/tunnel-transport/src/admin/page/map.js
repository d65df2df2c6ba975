// All agents at once: a block for each group, a square for each agent of it. It is one canvas of the size of what can be seen, whatever
// is scrolled, so that thousands cost no more than a drawing.

import { byId, make, write } from "./dom.js";
import { fit } from "./plot.js";
import { colors, sign, stateOf } from "./states.js";
import * as format from "./format.js";

const PAD = 12;
const LABEL = 20;
// With the names of agents, as long as all fit.
const NAMED = { wide: 142, high: 24 };

export class AgentMap {
  constructor(view, pick) {
    Object.assign(this, { view, pick, groups: [], blocks: [], cells: [], chosen: null, focus: -1 });
    const label = "Map of agents by group. Arrow keys move between agents, Enter shows one.";
    this.canvas = make("canvas", { tabindex: 0, role: "application", "aria-label": label });
    this.space = make("div", { class: "space" });
    view.replaceChildren(this.canvas, this.space);
    view.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.layout()).observe(view);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.soon());
    this.canvas.addEventListener("pointermove", event => this.over(event));
    this.canvas.addEventListener("pointerleave", () => this.tip(null));
    this.canvas.addEventListener("click", event => {
      const index = this.at(event);
      if (index >= 0) this.take(index);
    });
    this.canvas.addEventListener("keydown", event => this.key(event));
    this.canvas.addEventListener("blur", () => this.soon());
    this.canvas.addEventListener("focus", () => this.soon());
  }

  // Takes agents that are to be shown.
  update(agents) {
    // Mostly only their numbers are new, and everybody stays in his place.
    const shape = agents.map(agent => `${agent.id}\t${agent.groups}`).join("\n");
    if (shape === this.shape) {
      const now = new Map(agents.map(agent => [agent.id, agent]));
      for (const cell of this.cells) cell.agent = now.get(cell.agent.id);
      for (const group of this.groups) group[1] = group[1].map(agent => now.get(agent.id));
      for (const block of this.blocks) block.members = block.members.map(agent => now.get(agent.id));
      return this.draw();
    }
    this.shape = shape;
    const groups = new Map();
    for (const agent of agents) {
      for (const group of agent.groups.length ? agent.groups : ["\u2013"]) {
        if (!groups.has(group)) groups.set(group, []);
        groups.get(group).push(agent);
      }
    }
    const byName = new Intl.Collator("en", { numeric: true }).compare;
    this.groups = [...groups].sort(([a], [b]) => byName(a, b));
    for (const [, members] of this.groups) members.sort((a, b) => byName(a.id, b.id));
    this.layout();
  }

  // Says where each group and each agent stands.
  layout() {
    const { clientWidth: width, clientHeight: height } = this.view;
    if (width === 0) return;
    const count = this.groups.reduce((all, [, members]) => all + members.length, 0);
    const held = this.focus >= 0 ? this.cells[this.focus] : null;
    // As large as they fit, within reason; blocks that are higher or wider may fit better.
    const squares = [26, 22, 18, 15, 12, 10].flatMap(size => [2.6, 1.6, 4, 7, 12].map(shape => [size, size, shape]));
    const named = [0.5, 0.3, 1, 2].map(shape => [NAMED.wide, NAMED.high, shape]);
    let tall;
    for (const [wide, size, shape] of [...named, ...squares]) {
      this.wide = wide;
      this.size = size;
      tall = this.place(width, shape);
      if (tall <= height || count === 0) break;
    }
    this.space.style.height = `${Math.max(0, tall - height)}px`;
    this.focus = held ? this.cells.findIndex(cell => cell.agent.id === held.agent.id && cell.group === held.group) : -1;
    this.draw();
  }

  place(width, shape) {
    const gap = Math.max(2, Math.round(this.size / 7));
    const [across, step] = [this.wide + gap, this.size + gap];
    const room = width - 2 * PAD;
    let x = PAD, y = PAD, line = 0;
    this.blocks = [];
    this.cells = [];
    for (const [group, members] of this.groups) {
      const label = Math.min(room, Math.max(84, 7.5 * (group.length + String(members.length).length) + 18));
      const wanted = Math.ceil(Math.sqrt(members.length * shape)) * across;
      const columns = Math.max(1, Math.floor(Math.min(room, Math.max(label, wanted)) / across));
      const rows = Math.ceil(members.length / columns);
      const wide = Math.max(label, Math.min(columns, members.length) * across);
      if (x > PAD && x + wide > PAD + room) {
        x = PAD;
        y += line + 10;
        line = 0;
      }
      this.blocks.push({ group, members, x, y, width: wide });
      members.forEach((agent, i) => {
        this.cells.push({ agent, group, x: x + (i % columns) * across, y: y + LABEL + Math.floor(i / columns) * step });
      });
      line = Math.max(line, LABEL + rows * step);
      x += wide + 18;
    }
    return y + line + PAD;
  }

  soon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const { clientHeight: high, scrollTop: top } = this.view;
    if (high === 0) return;
    this.canvas.style.height = `${high}px`;
    const { context, width, height } = fit(this.canvas);
    const color = colors();
    const seen = (y, size) => y + size > top && y < top + height;
    const font = getComputedStyle(document.body).fontFamily;
    for (const block of this.blocks) {
      if (!seen(block.y, LABEL)) continue;
      const y = block.y + 12 - top;
      const well = block.members.filter(agent => agent.state === "ok").length;
      const all = block.members.length;
      const told = well === all ? String(all) : `${well}/${all}`;
      context.font = `12px ${font}`;
      const space = context.measureText(told).width;
      context.font = `600 12px ${font}`;
      const name = shorten(context, block.group, block.width - space - 8);
      context.fillStyle = color("--ink");
      context.fillText(name, block.x, y);
      const end = block.x + context.measureText(name).width + 6;
      context.font = `12px ${font}`;
      context.fillStyle = color(well === all ? "--quiet" : well === 0 ? "--bad" : "--warn");
      context.fillText(told, end, y);
    }
    const busiest = this.cells.reduce((most, { agent }) => Math.max(most, agent.in_flight), 0);
    for (const { agent, x, y } of this.cells) {
      if (!seen(y, this.size)) continue;
      const strength = busiest === 0 ? 0.45 : 0.35 + 0.65 * Math.sqrt(agent.in_flight / busiest);
      if (this.wide > this.size) this.named(context, color, font, agent, x, y - top, strength);
      else sign(context, color, agent.state, x, y - top, this.size, strength);
      if (agent.refused) {
        context.fillStyle = color("--bad");
        context.fillRect(x + this.wide - 5, y - top, 5, 5);
      }
      if (agent.id === this.chosen) this.frameAround(context, color("--ink"), x, y - top);
    }
    const held = this.cells[this.focus];
    if (held && document.activeElement === this.canvas) this.frameAround(context, color("--focus"), held.x, held.y - top);
    if (this.cells.length === 0) {
      context.font = `13px ${font}`;
      context.fillStyle = color("--quiet");
      context.fillText(this.none ?? "No agent is connected.", PAD, 24, width - 2 * PAD);
    }
  }

  // An agent with its name and what it has open, where there is room for that.
  named(context, color, font, agent, x, y, strength) {
    context.fillStyle = color("--faint");
    context.fillRect(x, y, this.wide, this.size);
    sign(context, color, agent.state, x + 6, y + 6, this.size - 12, strength);
    context.font = `12px ${font}`;
    const open = agent.in_flight ? format.whole(agent.in_flight) : "";
    const space = open ? context.measureText(open).width + 6 : 0;
    context.fillStyle = color("--quiet");
    context.fillText(open, x + this.wide - 6 - context.measureText(open).width, y + this.size / 2 + 4);
    context.fillStyle = color(agent.state === "ok" ? "--ink" : stateOf(agent.state).paint);
    context.fillText(shorten(context, agent.id, this.wide - this.size - 8 - space), x + this.size, y + this.size / 2 + 4);
  }

  frameAround(context, color, x, y) {
    context.strokeStyle = color;
    context.lineWidth = 2;
    context.strokeRect(x - 1, y - 1, this.wide + 2, this.size + 2);
  }

  at(event) {
    const x = event.offsetX, y = event.offsetY + this.view.scrollTop;
    return this.cells.findIndex(cell => x >= cell.x && x <= cell.x + this.wide && y >= cell.y && y <= cell.y + this.size);
  }

  over(event) {
    const index = this.at(event);
    this.canvas.style.cursor = index >= 0 ? "pointer" : "";
    this.tip(index >= 0 ? this.cells[index].agent : null, event.clientX, event.clientY);
  }

  tip(agent, x, y) {
    const tip = byId("tip");
    tip.hidden = !agent;
    if (!agent) return;
    write(tip, `${agent.id}\n${stateOf(agent.state).says}\n${told(agent)}`);
    const left = Math.min(x + 14, innerWidth - tip.offsetWidth - 8);
    const top = Math.min(y + 14, innerHeight - tip.offsetHeight - 8);
    tip.style.transform = `translate(${left}px, ${top}px)`;
  }

  take(index) {
    this.focus = index;
    this.pick(this.cells[index].agent);
  }

  choose(id) {
    this.chosen = id;
    this.draw();
  }

  key(event) {
    if (this.cells.length === 0) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (this.focus >= 0) this.take(this.focus);
      return;
    }
    const to = {
      ArrowRight: () => this.focus + 1,
      ArrowLeft: () => this.focus - 1,
      ArrowDown: () => this.nearest(1),
      ArrowUp: () => this.nearest(-1),
      Home: () => 0,
      End: () => this.cells.length - 1,
    }[event.key];
    if (!to) return;
    event.preventDefault();
    this.focus = Math.max(0, Math.min(this.cells.length - 1, to()));
    const { agent, group, y } = this.cells[this.focus];
    if (y < this.view.scrollTop + LABEL) this.view.scrollTop = y - LABEL - PAD;
    const { clientHeight } = this.view;
    if (y + this.size > this.view.scrollTop + clientHeight) this.view.scrollTop = y + this.size + PAD - clientHeight;
    write(byId("map-status"), `${agent.id} of ${group}: ${stateOf(agent.state).says}, ${told(agent)}`);
    this.draw();
  }

  // The agent above or below.
  nearest(direction) {
    const from = this.cells[Math.max(0, this.focus)];
    let best = this.focus, distance = Infinity;
    this.cells.forEach((cell, i) => {
      const down = (cell.y - from.y) * direction;
      if (down <= 0) return;
      const far = down * 4 + Math.abs(cell.x - from.x);
      if (far < distance) [best, distance] = [i, far];
    });
    return best;
  }
}

const told = agent => `${format.whole(agent.in_flight)} open, round trip ${format.micros(agent.round_trip_us)}`;

function shorten(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}\u2026`).width > width) end -= 1;
  return `${text.slice(0, end)}\u2026`;
}
