// One agent with everything that is known of it, and what can be done with it.

import { api } from "./api.js";
import { ask, byId, classes, make, write } from "./dom.js";
import { stateOf } from "./states.js";
import * as format from "./format.js";

const PERIOD = 1_000;

// Writes names and values into a list, and keeps its elements where the names are the same.
export function facts(list, entries) {
  const names = entries.map(([name]) => name).join("\n");
  if (list.dataset.names !== names) {
    list.dataset.names = names;
    list.replaceChildren(...entries.flatMap(([name]) => [make("dt", {}, name), make("dd")]));
  }
  entries.forEach(([, value, style], i) => {
    const cell = list.children[2 * i + 1];
    write(cell, value);
    classes(cell, style ?? "");
  });
}

export class Detail {
  // `closed()` is called when nothing is shown any more.
  constructor(closed) {
    Object.assign(this, { id: null, closed });
    this.acts = make("div", { class: "acts" });
    this.list = make("dl", { class: "facts" });
    this.sessions = make("div");
    this.error = make("p", { class: "empty", hidden: true });
    this.element = make("div", { hidden: true }, this.acts, this.error, this.list, this.sessions);
    byId("detail-body").append(this.element);
    byId("detail-close").addEventListener("click", () => this.close());
    this.buttons = {
      drain: this.button("Drain", false, "It gets nothing new. What is open goes on."),
      resume: this.button("Resume", false, "It gets new exchanges again."),
      disconnect: this.button("Disconnect", true, "Its sessions end now, and what is open there breaks off. It may connect again."),
    };
    this.acts.append(...Object.values(this.buttons));
  }

  button(name, danger, text) {
    const action = name.toLowerCase();
    const click = () => {
      const { id } = this;
      ask({ title: `${name} ${id}?`, text, yes: name, danger, act: () => this.act(action, id) });
    };
    return make("button", { type: "button", class: danger ? "danger" : null, "data-action": action, click }, name);
  }

  async act(action, id) {
    const done = await api[action](id);
    this.refresh();
    return done.done;
  }

  open(id) {
    this.id = id;
    this.sessions.replaceChildren();
    this.element.hidden = false;
    byId("detail-close").hidden = false;
    write(byId("detail-title"), id);
    clearInterval(this.timer);
    this.timer = setInterval(() => this.refresh(), PERIOD);
    this.refresh();
  }

  close() {
    clearInterval(this.timer);
    this.id = null;
    this.element.hidden = true;
    byId("detail-close").hidden = true;
    this.closed();
  }

  async refresh() {
    const { id } = this;
    if (id == null || document.hidden) return;
    try {
      const agent = await api.agent(id);
      if (id === this.id) this.show(agent);
    } catch (error) {
      if (id !== this.id) return;
      write(this.error, error.message);
      this.error.hidden = false;
      for (const button of Object.values(this.buttons)) button.disabled = true;
    }
  }

  show(agent) {
    this.error.hidden = true;
    this.buttons.drain.disabled = agent.drained;
    this.buttons.resume.disabled = !agent.drained;
    this.buttons.disconnect.disabled = agent.sessions.length === 0;
    facts(this.list, [
      ["State", `${agent.state.replace("_", " ")} \u2013 ${stateOf(agent.state).says}`],
      ["Groups", agent.groups.join(", ")],
      ["Open", format.whole(agent.in_flight)],
    ]);
    while (this.sessions.children.length > agent.sessions.length) this.sessions.lastChild.remove();
    agent.sessions.forEach((session, i) => {
      if (this.sessions.children.length <= i) this.sessions.append(this.session());
      const [title, list, button] = this.sessions.children[i].children;
      write(title, `Session ${session.id}`);
      facts(list, sessionFacts(session));
      this.revoke(button, session.credentials);
    });
  }

  session() {
    const button = make("button", { type: "button", class: "danger", "data-action": "revoke" }, "Revoke its token");
    return make("div", { class: "session" }, make("h3", { class: "sub" }), make("dl", { class: "facts" }), button);
  }

  // A button for the credentials of a session.
  revoke(button, token) {
    button.hidden = !token;
    button.onclick = () =>
      ask({
        title: `Revoke the token \u201c${token}\u201d?`,
        text: "It is refused from now on, until the file says otherwise or the gateway starts anew. All sessions that it opened end.",
        yes: "Revoke",
        danger: true,
        act: async () => (await api.revoke(token)).done,
      });
  }
}

export function sessionFacts(session) {
  const config = session.config;
  const lanes = session.lanes.map(lane => {
    const waits = lane.queued_bytes ? `, ${format.bytes(lane.queued_bytes)} wait` : "";
    return `${lane.index}${lane.suspect ? " (silent)" : ""}${waits}`;
  });
  const entries = [
    ["Address", session.address ?? "\u2013"],
    ["Version", session.version || "\u2013"],
    ["Connected", `for ${format.age(session.age_ms)}`],
    ["State", [session.state.replace("_", " "), session.ejected ? "ejected" : ""].filter(Boolean).join(", ")],
    ["Round trip", `${format.micros(session.round_trip_us)} (least ${format.micros(session.round_trip_min_us)})`],
    ["Exchanges", `${format.whole(session.in_flight)} of ${format.whole(session.max_in_flight)}`],
    ["Lanes", lanes.join("; ") || "none"],
    ["Weight", `${session.weight}${session.zone ? `, zone ${session.zone}` : ""}`],
    ["Config", config.running ? `runs ${config.running}` : "none from here"],
  ];
  if (config.sent > config.running) entries.push(["Sent", String(config.sent)]);
  if (config.refused != null) entries.push(["Refused", `${config.refused}: ${config.why ?? "without a reason"}`, "bad"]);
  if (session.credentials) entries.push(["Credentials", session.credentials]);
  if (session.services.length) entries.push(["Services", session.services.join(", ")]);
  if (session.hosts.length) entries.push(["Hosts", session.hosts.join(", ")]);
  return entries;
}
