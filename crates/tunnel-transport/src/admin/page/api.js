// The interface that the page shows. A cookie says who asks; without one there is the form.

export class Refused extends Error {}

async function call(method, path, body) {
  const init = { method, headers: { accept: "application/json" }, cache: "no-store", credentials: "same-origin" };
  if (method !== "GET") {
    init.headers["content-type"] = "application/json";
    init.body = JSON.stringify(body ?? {});
  }
  const answer = await fetch(path, init);
  const text = await answer.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    // Something before the interface has answered.
  }
  if (answer.status === 401) throw new Refused(value?.error ?? "sign in");
  if (!answer.ok) throw new Error(value?.error ?? value?.detail ?? `the answer is ${answer.status}`);
  return value;
}

const name = encodeURIComponent;

export const api = {
  overview: () => call("GET", "api/overview"),
  login: token => call("POST", "api/login", { token }),
  logout: () => call("POST", "api/logout"),
  agents: (offset, limit) => call("GET", `api/agents?brief=true&offset=${offset}&limit=${limit}`),
  agent: id => call("GET", `api/agents/${name(id)}`),
  groups: () => call("GET", "api/groups"),
  rules: () => call("GET", "api/rules"),
  exchanges: limit => call("GET", `api/exchanges?limit=${limit}`),
  drain: id => call("POST", `api/agents/${name(id)}/drain`),
  resume: id => call("POST", `api/agents/${name(id)}/resume`),
  disconnect: id => call("POST", `api/agents/${name(id)}/disconnect`),
  revoke: token => call("POST", `api/tokens/${name(token)}/revoke`),
  endpoint: (upstream, endpoint, action) => call("POST", `api/upstreams/${name(upstream)}/${action}?endpoint=${name(endpoint)}`),
  reload: () => call("POST", "api/reload"),
  log: () => call("GET", "api/log"),
  setLog: filter => call("PUT", "api/log", { filter }),
};

// Calls `on.snapshot` for each event, `on.state` with whether they come. The browser dials again after a loss, but not after an answer
// that is no stream, such as that of a gateway that is starting: then this does. Gives a function that ends it.
export function events(on) {
  let source, timer, ended = false;
  const open = () => {
    source = new EventSource("api/events");
    let last = performance.now();
    clearInterval(timer);
    // A connection may be gone without anybody having said so.
    timer = setInterval(() => performance.now() - last > 10_000 && again(0), 2_000);
    source.addEventListener("snapshot", event => {
      last = performance.now();
      on.state(true);
      on.snapshot(JSON.parse(event.data));
    });
    source.onerror = () => {
      on.state(false);
      if (source.readyState === EventSource.CLOSED) again(1_000 + 2_000 * Math.random());
    };
  };
  const again = after => {
    source.close();
    clearInterval(timer);
    on.state(false);
    timer = setTimeout(async () => {
      try {
        await api.overview();
      } catch (error) {
        if (error instanceof Refused) return on.refused();
      }
      if (!ended) open();
    }, after);
  };
  open();
  return () => {
    ended = true;
    source.close();
    clearInterval(timer);
    clearTimeout(timer);
  };
}
