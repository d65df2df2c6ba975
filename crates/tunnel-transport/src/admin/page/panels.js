// The tables of the page.

import { api } from "./api.js";
import { ask, byId, make, write } from "./dom.js";
import { facts } from "./detail.js";
import { colors, sign, stateOf } from "./states.js";
import { Table } from "./table.js";
import { WORSE } from "./agents.js";
import * as format from "./format.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

// The sign of a state, in the colours of now.
function signOf(state) {
  const canvas = make("canvas", { width: 20, height: 20, "aria-hidden": "true" });
  sign(canvas.getContext("2d"), colors(), state, 1, 1, 18);
  return canvas;
}

// A cell with the sign of a state before its name.
function stateCell(cell, state) {
  const shown = `${state} ${dark.matches}`;
  if (cell.dataset.shown === shown) return;
  cell.dataset.shown = shown;
  cell.replaceChildren(signOf(state), state.replace("_", " "));
}

export const agentsTable = pick =>
  new Table(byId("agents-table"), {
    label: "Agents",
    key: agent => agent.id,
    pick,
    empty: "No agent is connected.",
    columns: [
      { title: "Agent", width: "24%", long: true, show: agent => agent.id, sort: agent => agent.id },
      { title: "State", width: "12%", show: (agent, cell) => stateCell(cell, agent.state), sort: agent => WORSE.indexOf(agent.state) },
      { title: "Groups", long: true, show: agent => agent.groups.join(", "), sort: agent => agent.groups.join() },
      { title: "Open", width: "9%", num: true, show: agent => format.whole(agent.in_flight), sort: agent => agent.in_flight },
      { title: "Round trip", width: "12%", num: true, show: agent => format.micros(agent.round_trip_us), sort: agent => agent.round_trip_us },
      { title: "Lanes", width: "8%", num: true, show: agent => format.whole(agent.lanes), sort: agent => agent.lanes },
      {
        title: "Config",
        width: "16%",
        num: true,
        show: agent => (agent.refused ? `${agent.config}, refuses` : agent.config ? String(agent.config) : "\u2013"),
        style: agent => (agent.refused ? "bad" : ""),
        sort: agent => (agent.refused ? Infinity : agent.config),
      },
    ],
  });

export const groupsTable = pick =>
  new Table(byId("groups-table"), {
    label: "Groups",
    key: group => group.name,
    pick,
    empty: "No agent has registered a group.",
    columns: [
      { title: "Group", long: true, show: group => group.name, sort: group => group.name },
      { title: "Agents", width: "18%", num: true, show: group => format.whole(group.agents), sort: group => group.agents },
      {
        title: "Serve",
        width: "18%",
        num: true,
        show: group => format.whole(group.available),
        style: group => (group.available === 0 ? "bad" : group.available < group.sessions ? "warn" : ""),
        sort: group => group.available,
      },
      { title: "Open", width: "18%", num: true, show: group => format.whole(group.in_flight), sort: group => group.in_flight },
    ],
  });

export const rulesTable = () =>
  new Table(byId("rules-table"), {
    label: "Rules",
    key: rule => rule.key,
    empty: "There are no rules.",
    columns: [
      { title: "Rule", width: "15%", long: true, show: rule => rule.id || "(no rule)", sort: rule => rule.id },
      { title: "Goes to", width: "16%", long: true, show: rule => rule.target, style: rule => (rule.ready ? "" : "warn"), sort: rule => rule.target },
      { title: "Matches", long: true, show: rule => rule.matches, style: () => "quiet" },
      { title: "Requests", width: "10%", num: true, show: rule => format.whole(rule.requests), sort: rule => rule.requests },
      { title: "per s", width: "8%", num: true, show: rule => format.rate(rule.rate), sort: rule => rule.rate },
      { title: "5xx", width: "8%", num: true, show: rule => format.percent(rule.failed), style: rule => (rule.failed > 0 ? "bad" : ""), sort: rule => rule.failed },
      { title: "p50", width: "8%", num: true, show: rule => format.micros(rule.p50), sort: rule => rule.p50 },
      { title: "p99", width: "8%", num: true, show: rule => format.micros(rule.p99), sort: rule => rule.p99 },
      { title: "Open", width: "7%", num: true, show: rule => format.whole(rule.open), sort: rule => rule.open },
    ],
  });

export const errorsTable = () =>
  new Table(byId("errors-table"), {
    label: "Errors of the tunnel by cause",
    key: error => error.cause,
    empty: "No request has failed in the tunnel.",
    columns: [
      { title: "Cause", long: true, show: error => error.cause, style: error => (error.recent ? "" : "quiet") },
      { title: "1 min", width: "22%", num: true, show: error => format.whole(error.recent), style: error => (!error.recent ? "quiet" : error.ours ? "bad" : "") },
      { title: "In all", width: "24%", num: true, show: error => format.whole(error.all) },
    ],
  });

export const exchangesTable = () =>
  new Table(byId("exchanges-table"), {
    label: "Open exchanges",
    key: exchange => `${exchange.session}/${exchange.id}`,
    empty: "Nothing is open.",
    columns: [
      { title: "Age", width: "10%", num: true, show: exchange => format.age(exchange.age_ms) },
      { title: "Kind", width: "10%", show: exchange => exchange.protocol },
      { title: "State", width: "11%", show: exchange => exchange.state },
      { title: "Rule", width: "14%", long: true, show: exchange => exchange.rule ?? "\u2013" },
      { title: "Agent", long: true, show: exchange => `${exchange.agent}${exchange.from_agent ? " (asks)" : ""}` },
      // A direction that has ended is quiet.
      { title: "In", width: "10%", num: true, style: ({ request_ended }) => (request_ended ? "quiet" : ""), show: exchange => format.bytes(exchange.bytes_in) },
      { title: "Out", width: "10%", num: true, style: ({ response_ended }) => (response_ended ? "quiet" : ""), show: exchange => format.bytes(exchange.bytes_out) },
      { title: "Unread", width: "10%", num: true, show: exchange => format.bytes(exchange.unread_bytes) },
      { title: "Id", width: "12%", num: true, long: true, style: () => "quiet", show: exchange => exchange.id },
    ],
  });

export const gatewaysTable = () =>
  new Table(byId("gateways-table"), {
    label: "Gateways",
    key: gateway => `${gateway.gateway} ${gateway.address}`,
    empty: "No gateway is known yet.",
    columns: [
      { title: "Gateway", width: "24%", long: true, show: gateway => gateway.gateway },
      { title: "Address", width: "18%", long: true, show: gateway => gateway.address },
      { title: "State", width: "12%", show: gateway => gateway.state, style: gateway => (gateway.state === "connected" ? "" : "warn") },
      { title: "Round trip", width: "12%", num: true, show: gateway => format.micros(gateway.session?.round_trip_us) },
      { title: "Open", width: "9%", num: true, show: gateway => format.whole(gateway.session?.in_flight) },
      { title: "Error", long: true, show: gateway => gateway.error ?? "" },
    ],
  });

export const eventsTable = () =>
  new Table(byId("events-table"), {
    label: "What happened",
    key: event => event.number,
    empty: "Nothing yet.",
    columns: [
      { title: "Time", width: "92px", show: event => format.clock(event.at) },
      { title: "What", long: true, show: event => event.text },
    ],
  });

export const upstreamsTable = () =>
  new Table(byId("upstreams-table"), {
    label: "Upstreams and their servers",
    key: row => `${row.upstream} ${row.name}`,
    empty: "There are none here.",
    columns: [
      { title: "Upstream", width: "20%", long: true, show: row => row.upstream },
      { title: "Server", long: true, show: row => row.name.replace(/^http:\/\//, "") },
      { title: "State", width: "18%", show: row => row.state.replace("_", " "), style: row => (row.state === "ok" ? "" : "warn") },
      { title: "Open", width: "13%", num: true, show: row => format.whole(row.in_flight) },
      { title: "", width: "96px", num: true, show: (row, cell) => endpointButton(row, cell) },
    ],
  });

function endpointButton(row, cell) {
  const action = row.state === "drained" ? "Resume" : "Drain";
  const wanted = `${action} ${row.upstream} ${row.name}`;
  if (cell.dataset.wanted === wanted) return;
  cell.dataset.wanted = wanted;
  const text = action === "Drain" ? "It gets nothing new. What is open goes on." : "It gets new requests again.";
  const act = async () => (await api.endpoint(row.upstream, row.name, action.toLowerCase())).done;
  const click = () => ask({ title: `${action} ${row.name} of ${row.upstream}?`, text, yes: action, act });
  cell.replaceChildren(make("button", { type: "button", "aria-label": wanted, click }, action));
}

export function showConfig({ role, config }, agents, pick) {
  const body = byId("config-body");
  if (!body.firstChild) body.append(make("dl", { class: "facts" }), make("div", { class: "acts", id: "refusing" }));
  const last = config.last_reload;
  const bad = is => (is ? "bad" : "");
  const version = config.pushed_version ? String(config.pushed_version) : "nothing";
  const file = [
    ["File", config.file ?? "\u2013"],
    ["In force since", format.day(config.loaded_unix_ms)],
    ["Last look", last ? `${last.outcome}, ${format.day(last.at_unix_ms)}` : "\u2013", bad(last?.outcome === "refused")],
  ];
  if (last?.detail) file.push(["", last.detail, last.outcome === "refused" ? "bad" : "quiet"]);
  if (role === "agent") {
    const refused = config.refused ?? "nothing";
    return facts(body.firstChild, [...file, ["From its gateway", version], ["Refused", refused, bad(config.refused)]]);
  }
  const versions = agents.versions().map(([version, count]) => `${version || "none"}: ${format.whole(count)}`);
  const refusing = [...agents.known.values()].filter(agent => agent.refused);
  const count = `${format.whole(refusing.length)} ${refusing.length === 1 ? "agent" : "agents"}`;
  facts(body.firstChild, [
    ...file,
    ["Pushed", version],
    ["Agents by version", versions.slice(0, 6).join("; ") || "\u2013"],
    ["Revoked", config.revoked.join(", ") || "nothing"],
    ["Refused by", refusing.length ? count : "nobody", bad(refusing.length)],
  ]);
  const wanted = refusing.slice(0, 12).map(agent => agent.id).join("\n");
  const list = byId("refusing");
  if (list.dataset.wanted === wanted) return;
  list.dataset.wanted = wanted;
  const button = agent => make("button", { type: "button", click: () => pick(agent) }, agent.id);
  list.replaceChildren(...refusing.slice(0, 12).map(button));
}

// Buttons that show only the agents of a state.
export class Chips {
  constructor(changed) {
    Object.assign(this, { state: null, changed, buttons: new Map() });
    dark.addEventListener("change", () => {
      for (const [state, button] of this.buttons) button.firstChild.replaceWith(signOf(state));
    });
  }

  update(counts) {
    for (const state of WORSE) {
      let button = this.buttons.get(state);
      if (!button) {
        const click = () => this.toggle(state);
        const title = stateOf(state).says;
        button = make("button", { type: "button", "aria-pressed": "false", title, click }, signOf(state), make("span"));
        this.buttons.set(state, button);
        byId("states").append(button);
      }
      write(button.lastChild, `${state.replace("_", " ")} ${format.whole(counts[state])}`);
      button.hidden = counts[state] === 0 && this.state !== state && state !== "ok";
    }
  }

  toggle(state) {
    this.state = this.state === state ? null : state;
    for (const [name, button] of this.buttons) button.setAttribute("aria-pressed", String(name === this.state));
    this.changed();
  }
}
