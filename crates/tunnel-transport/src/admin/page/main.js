// The page: who may see it, and what goes where when an event comes.

import { Agents } from "./agents.js";
import { Refused, api, events } from "./api.js";
import { Detail } from "./detail.js";
import { ask, byId, classes, make, toast, write } from "./dom.js";
import { AgentMap } from "./map.js";
import * as panels from "./panels.js";
import { Plot } from "./plot.js";
import { Rates } from "./rates.js";
import * as format from "./format.js";

const PERIOD = 2_000;
// A connection that is there again so soon was not worth a word: it ends whenever the file is read again.
const BRIEF = 6_000;
const EXCHANGES = 500;
const EVENTS = 200;

class Page {
  constructor() {
    this.rates = new Rates();
    this.happened = [];
    this.agents = new Agents(text => this.note(text));
    this.rules = [];
    this.gateways = new Map();
    this.more = null;
    const pick = agent => this.pick(agent.id);
    byId("detail-body").append(make("div", { id: "groups-table", class: "view" }));
    this.detail = new Detail(() => this.pick(null));
    this.map = new AgentMap(byId("map"), pick);
    this.table = panels.agentsTable(pick);
    this.groups = panels.groupsTable(group => this.filter(group.name));
    this.tables = {
      rules: panels.rulesTable(),
      errors: panels.errorsTable(),
      exchanges: panels.exchangesTable(),
      upstreams: panels.upstreamsTable(),
      gateways: panels.gatewaysTable(),
      events: panels.eventsTable(),
    };
    this.chips = new panels.Chips(() => this.showAgents());
    this.plots = plots(byId("plots"));
    byId("agents-filter").addEventListener("input", () => this.showAgents());
    byId("exchanges-filter").addEventListener("input", () => this.fetchExchanges());
    byId("as-map").addEventListener("click", () => this.as("map"));
    byId("as-table").addEventListener("click", () => this.as("table"));
    new ResizeObserver(() => this.draw()).observe(byId("plots"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  start() {
    this.stop = events({
      snapshot: snapshot => this.take(snapshot),
      state: live => this.live(live),
      refused: () => signIn(),
    });
    this.timer = setInterval(() => this.often(), PERIOD);
  }

  end() {
    this.stop();
    clearInterval(this.timer);
    this.detail.close();
  }

  note(text) {
    this.happened.unshift({ at: Date.now(), text, number: (this.happened[0]?.number ?? 0) + 1 });
    this.happened.length = Math.min(this.happened.length, EVENTS);
  }

  live(live) {
    if (this.isLive !== live) {
      if (!live) this.lost = performance.now();
      else if (performance.now() - this.lost > BRIEF) this.note(`this page was without a connection for ${format.age(performance.now() - this.lost)}`);
      this.isLive = live;
    }
    write(byId("live"), live ? "live" : "connecting again");
    classes(byId("live"), live ? "live" : "live off");
    this.tables.events.update(this.happened);
  }

  take(snapshot) {
    const began = performance.now();
    const isFirst = !this.snapshot;
    this.snapshot = snapshot;
    if (isFirst) this.often();
    this.rates.take(snapshot.overview);
    this.agents.take(snapshot);
    // Nobody sees it: the numbers go on, and the page is written when somebody does.
    if (!document.hidden) this.show();
    // For whoever wonders what the page costs.
    performance.measure("snapshot", { start: began });
    document.body.dataset.snapshots = Number(document.body.dataset.snapshots ?? 0) + 1;
  }

  show() {
    const { overview, groups, upstreams, gateways } = this.snapshot;
    this.showHead(overview);
    this.showAgents();
    this.groups.update(groups);
    this.tables.gateways.update(gateways);
    for (const { gateway, address, state } of gateways) {
      const name = `${gateway} (${address})`;
      const old = this.gateways.get(name);
      if (old && old !== state) this.note(`${name}: ${old} \u2192 ${state}`);
      this.gateways.set(name, state);
    }
    write(byId("gateways-count"), format.whole(gateways.length));
    this.showRules();
    this.tables.errors.update(this.rates.causes());
    this.showExchanges();
    const servers = upstreams.flatMap(upstream => upstream.endpoints.map(endpoint => ({ ...endpoint, upstream: upstream.name })));
    this.tables.upstreams.update(servers);
    write(byId("upstreams-count"), format.whole(this.snapshot.upstreams_total));
    panels.showConfig(overview, this.agents, agent => this.pick(agent.id));
    this.tables.events.update(this.happened);
    this.draw();
  }

  draw() {
    for (const plot of this.plots) plot.draw(this.rates);
  }

  showHead(overview) {
    const { role, id, version, ready, leaving, reasons, uptime_ms, counts } = overview;
    const isAgent = role === "agent";
    byId("agents").hidden = byId("detail").hidden = byId("rules").hidden = isAgent;
    byId("gateways").hidden = !isAgent;
    classes(document.body, role);
    write(byId("role"), role);
    write(byId("name"), id);
    document.title = `${ready ? "" : "\u25cf "}${role} ${id}`;
    const state = leaving ? "leaving" : ready ? "ready" : "not ready";
    const old = byId("ready").textContent;
    if (old && old !== state) this.note(`this ${role} is ${state}`);
    write(byId("ready"), state);
    classes(byId("ready"), `pill ${leaving ? "warn" : ready ? "ok" : "bad"}`);
    write(byId("up"), `version ${version}, up for ${format.age(uptime_ms)}`);
    byId("reasons").hidden = reasons.length === 0;
    write(byId("reasons"), reasons.join("; "));
    const count = byId("agents-count");
    write(count, format.whole(counts.agents));
    count.title = `${format.whole(counts.sessions)} sessions, ${format.whole(counts.lanes)} lanes`;
  }

  // Agents that are to be shown, by filter and state.
  shown() {
    const words = byId("agents-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = agent =>
      words.every(word => agent.id.toLowerCase().includes(word) || agent.groups.some(group => group.toLowerCase().includes(word)));
    const { state } = this.chips;
    return this.agents.all().filter(agent => (!state || agent.state === state) && fits(agent));
  }

  showAgents() {
    if (!this.snapshot || byId("agents").hidden) return;
    this.chips.update(this.agents.counts());
    const shown = this.shown();
    this.map.none = this.agents.all().length ? "No agent fits." : "No agent is connected.";
    if (byId("map").hidden) this.table.update(shown);
    else this.map.update(shown);
  }

  as(what) {
    byId("map").hidden = what !== "map";
    byId("agents-table").hidden = what !== "table";
    byId("as-map").setAttribute("aria-pressed", String(what === "map"));
    byId("as-table").setAttribute("aria-pressed", String(what === "table"));
    this.showAgents();
  }

  filter(text) {
    const field = byId("agents-filter");
    field.value = field.value === text ? "" : text;
    this.showAgents();
  }

  pick(id) {
    byId("groups-table").hidden = id != null;
    if (id != null) this.detail.open(id);
    else write(byId("detail-title"), "Groups");
    this.map.choose(id);
    this.table.choose(id);
  }

  showRules() {
    const counted = this.rates.rules();
    const known = new Set(this.rules.map(rule => rule.id));
    const row = rule => ({
      ...rule,
      key: `${rule.listener}/${rule.id}`,
      ...(counted.get(rule.id) ?? { requests: rule.traffic?.requests ?? 0, open: rule.traffic?.open ?? 0, rate: 0 }),
    });
    const rows = this.rules.map(row);
    // What no rule matched, and rules that are not in the file any more.
    for (const [id, numbers] of counted) {
      if (!known.has(id)) rows.push({ id, key: `/${id}`, target: "", matches: id ? "not in the file any more" : "what nothing matches", ready: true, ...numbers });
    }
    this.tables.rules.update(rows);
    write(byId("rules-count"), format.whole(this.rules.length));
  }

  showExchanges() {
    const { exchanges, exchanges_total: total } = this.snapshot;
    const words = byId("exchanges-filter").value.toLowerCase().trim();
    const fits = ({ rule, agent }) => !words || rule?.toLowerCase().includes(words) || agent.toLowerCase().includes(words);
    if (total > exchanges.length) this.fetchExchanges();
    else this.more = null;
    this.tables.exchanges.update((this.more ?? exchanges).filter(fits));
    write(byId("exchanges-count"), format.whole(total));
  }

  // The event has only the oldest ones.
  async fetchExchanges() {
    if (this.fetching || performance.now() - (this.fetched ?? -Infinity) < 2_000) return;
    this.fetching = true;
    try {
      this.more = (await api.exchanges(EXCHANGES)).items;
    } catch {
      this.more = null;
    } finally {
      this.fetching = false;
      this.fetched = performance.now();
    }
  }

  // What does not change each second.
  async often() {
    if (document.hidden || this.snapshot?.overview.role !== "gateway") return;
    try {
      this.rules = await api.rules();
    } catch {
      // The stream of events says it as well.
    }
  }
}

function plots(parent) {
  return [
    new Plot(parent, { title: "Requests", series: ["requests"], say: format.rate, detail: () => "per second" }),
    new Plot(parent, { title: "Failures", series: ["failures"], say: format.rate, paint: "--bad", detail: () => "per second" }),
    new Plot(parent, {
      title: "Time until the answer",
      series: ["p50", "p99"],
      keys: ["half", "99 of 100"],
      say: format.micros,
      detail: (_, p99) => `p99 ${format.micros(p99)}`,
    }),
    new Plot(parent, {
      title: "Bytes",
      series: ["out", "in"],
      keys: ["out", "in"],
      say: value => format.bytes(value),
      detail: (_, incoming) => `/s out, ${format.bytes(incoming)}/s in`,
    }),
    new Plot(parent, { title: "Open exchanges", series: ["open"], say: format.whole, detail: () => "" }),
  ];
}

let page = null;

// Shows the form; a page that was open begins anew.
function signIn(error) {
  if (page) {
    page.end();
    return location.reload();
  }
  byId("app").hidden = true;
  byId("login").hidden = false;
  write(byId("login-error"), error ?? "");
  byId("token").focus();
}

function open() {
  byId("login").hidden = true;
  byId("app").hidden = false;
  page = new Page();
  page.start();
}

byId("login").addEventListener("submit", async event => {
  event.preventDefault();
  const field = byId("token");
  try {
    await api.login(field.value);
    field.value = "";
    open();
  } catch (error) {
    write(byId("login-error"), error.message);
    field.select();
  }
});

byId("do-reload").addEventListener("click", () => {
  const text = "The file is read again. What is right takes effect, and what is open goes on; a file that is wrong changes nothing.";
  const act = async () => {
    const reload = await api.reload();
    return `${reload.outcome}: ${reload.detail}`;
  };
  ask({ title: "Reload the file?", text, yes: "Reload", act });
});

byId("do-log").addEventListener("click", async () => {
  try {
    const { filter } = await api.log();
    const input = { prompt: "Filter, such as info,tunnel_transport=debug", value: filter };
    const act = async value => `what is logged: ${(await api.setLog(value)).filter}`;
    ask({ title: "What is logged", text: "Until the program starts anew.", yes: "Set", input, act });
  } catch (error) {
    toast(error.message);
  }
});

byId("do-logout").addEventListener("click", async () => {
  try {
    await api.logout();
  } finally {
    signIn();
  }
});

document.addEventListener("visibilitychange", () => !document.hidden && page?.snapshot && page.show());

try {
  await api.overview();
  open();
} catch (error) {
  signIn(error instanceof Refused ? "" : error.message);
}
