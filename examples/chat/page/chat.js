// The page of the chat. `?name=Ada` joins at once, `&say=hello` says something then. For scripts that look at the page,
// `data-state` of the body is `out`, `joining`, `in`, `waiting` or `closed`, `data-heard` counts the messages of its own
// that came back, and `data-code` is the code of the last close of a socket that was open.
"use strict";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 30_000;
const MAX_LINES = 500;
// After these codes another try would end alike.
const FINAL = [1000, 1003, 1008, 1009];

const query = new URLSearchParams(location.search);
const find = (id) => document.getElementById(id);
let toSay = query.get("say");
let name = "";
let socket = null;
let isOpen = false;
let me = null;
let tries = 0;
let again = 0;
let heard = 0;

function show(state, text) {
  document.body.dataset.state = state;
  find("state").textContent = text;
  const isOut = state === "out" || state === "closed";
  find("join").hidden = !isOut;
  find("say").hidden = isOut;
  find("leave").hidden = isOut;
}

function connect() {
  clearTimeout(again);
  show("joining", "joining…");
  const url = new URL("ws", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  socket = new WebSocket(url);
  socket.onopen = () => {
    isOpen = true;
    socket.send(name);
  };
  socket.onmessage = (message) => hear(JSON.parse(message.data));
  socket.onclose = closed;
}

function hear(event) {
  switch (event.kind) {
    case "welcome":
      me = event.you;
      tries = 0;
      show("in", `in the room as ${name}`);
      find("text").focus();
      if (toSay) socket.send(toSay);
      toSay = null;
      break;
    case "here":
      people(event.names);
      break;
    case "said":
      line(event.name, event.text, event.from === me ? "own" : "");
      if (event.from === me) countOwn();
      break;
    case "missed":
      line("", `This page was too slow and missed ${event.count} events.`, "note");
      break;
  }
}

function countOwn() {
  heard += 1;
  document.body.dataset.heard = heard;
  document.title = `Chat: ${heard} came back`;
}

function closed(event) {
  const why = isOpen ? `closed: ${event.code} ${event.reason}`.trim() : "no connection";
  if (isOpen) {
    document.body.dataset.code = event.code;
    line("", why, "note");
  }
  isOpen = false;
  me = null;
  people([]);
  if (FINAL.includes(event.code)) {
    show("closed", why);
    return;
  }
  // Half of the pause is chance, so that not all pages come back at once.
  const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** tries) * (0.5 + Math.random() / 2);
  tries += 1;
  show("waiting", `${why}; another try in ${(pause / 1000).toFixed(1)} s`);
  again = setTimeout(connect, pause);
}

// Everything that came from outside goes in as text, never as HTML.
function line(who, text, kind) {
  const item = document.createElement("li");
  item.className = kind;
  if (who) {
    const author = document.createElement("b");
    author.textContent = who;
    item.append(author);
  }
  item.append(text);
  const list = find("messages");
  list.append(item);
  if (list.childElementCount > MAX_LINES) list.firstElementChild.remove();
  item.scrollIntoView({ block: "end" });
}

function people(names) {
  const items = names.map((name) => {
    const item = document.createElement("li");
    item.textContent = name;
    return item;
  });
  find("people").replaceChildren(...items);
  find("count").textContent = names.length ? `(${names.length})` : "";
}

find("join").addEventListener("submit", (event) => {
  event.preventDefault();
  name = find("name").value.trim();
  if (name) connect();
});

find("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = find("text").value.trim();
  if (!text || me === null) return;
  socket.send(text);
  find("text").value = "";
});

find("leave").addEventListener("click", () => {
  clearTimeout(again);
  if (socket.readyState === WebSocket.CLOSED) show("out", "not in the room");
  else socket.close(1000);
});

name = (query.get("name") ?? "").trim();
find("name").value = name;
if (name) connect();
