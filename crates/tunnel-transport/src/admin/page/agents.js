// The agents that are known, also when an event has only some of them; and those that were lost a while ago.

import { api } from "./api.js";

// An agent that is gone is shown for so long.
const MOURN = 60_000;
// The whole list is asked for so often while events have only a part of it, and in parts of this size.
const PERIOD = 5_000;
const PART = 1_000;
const MOST = 20_000;

export const WORSE = ["lost", "away", "no_lane", "suspect", "draining", "drained", "ok"];

export class Agents {
  // `happened(text)` hears who comes and goes.
  constructor(happened) {
    this.happened = happened;
    this.known = new Map();
    this.lost = new Map();
    this.total = 0;
    this.begun = false;
    this.asked = -Infinity;
  }

  // Takes an event. Asks for the rest if need be.
  take(snapshot) {
    this.total = snapshot.agents_total;
    if (snapshot.agents.length >= snapshot.agents_total) this.replace(snapshot.agents);
    else {
      for (const agent of snapshot.agents) this.one(agent);
      this.fetch();
    }
    const now = performance.now();
    for (const [id, { at }] of this.lost) if (now - at > MOURN) this.lost.delete(id);
  }

  // Those that are there, and those that were lost.
  all() {
    return [...this.known.values(), ...[...this.lost.values()].map(({ agent }) => agent)];
  }

  counts() {
    const counts = Object.fromEntries(WORSE.map(state => [state, 0]));
    for (const agent of this.all()) counts[agent.state] = (counts[agent.state] ?? 0) + 1;
    return counts;
  }

  // How many run which configuration, the newest first.
  versions() {
    const versions = new Map();
    for (const { config } of this.known.values()) versions.set(config, (versions.get(config) ?? 0) + 1);
    return [...versions].sort(([a], [b]) => b - a);
  }

  async fetch() {
    if (this.fetching || performance.now() - this.asked < PERIOD) return;
    this.fetching = true;
    try {
      const all = [];
      for (let offset = 0; offset < MOST; offset += PART) {
        const part = await api.agents(offset, PART);
        all.push(...part.items);
        if (offset + PART >= part.total) break;
      }
      this.replace(all);
    } catch {
      // The stream of events says it as well.
    } finally {
      this.asked = performance.now();
      this.fetching = false;
    }
  }

  replace(list) {
    const here = new Set(list.map(agent => agent.id));
    for (const [id, agent] of this.known) {
      if (here.has(id)) continue;
      this.known.delete(id);
      this.lost.set(id, { agent: { ...agent, state: "lost", in_flight: 0 }, at: performance.now() });
      this.happened(`${id} is gone`);
    }
    for (const agent of list) this.one(agent);
    this.begun = true;
  }

  one(agent) {
    const old = this.known.get(agent.id);
    if (!old && this.begun) this.happened(`${agent.id} ${this.lost.delete(agent.id) ? "is back" : "has come"}`);
    if (old && old.state !== agent.state) this.happened(`${agent.id}: ${old.state} \u2192 ${agent.state}`);
    if (old && !old.refused && agent.refused) this.happened(`${agent.id} refuses its configuration`);
    this.known.set(agent.id, agent);
  }
}
