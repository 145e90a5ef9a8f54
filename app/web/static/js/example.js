/** The event log of docs/websocket_client_example.html. A classic script, so that the page works as a file too. */
(() => {
  "use strict";

  /** Rows that are kept. */
  const MOST_ROWS = 2000;

  /** Opened from a file: its origin is none that a server knows. */
  const fromFile = location.protocol === "file:";
  const SERVED_AT = "http://localhost:8000/docs/websocket_client_example.html";

  /** As the server says it in place of the script (app/web/pages/vendored.py). */
  const MISSING = "The browser's Socket.IO client is not installed: run ./scripts/prepare, then load this page again.";

  const byId = (id) => document.getElementById(id);
  let socket = null;
  let count = 0;

  function connect() {
    disconnect();
    if (typeof io === "undefined") {
      note("connect_error", { message: MISSING });
      return;
    }
    const options = { transports: ["websocket"], upgrade: false, forceNew: true };
    // Never in the address, which is logged. It stays in the field, and in this page's memory while it is open.
    const token = byId("token").value.trim();
    const { origin, pathname } = new URL(byId("url").value);
    options.path = `${pathname.replace(/\/$/, "")}/socket.io`;
    socket = io(origin, token ? { ...options, auth: { token } } : options);
    socket.on("connect", () => note("connect", { id: socket.id }));
    socket.on("disconnect", (reason) => note("disconnect", { reason }));
    socket.on("connect_error", (fault) => note("connect_error", { message: fault.message }));
    // Whatever the server sends: connected, subscribed, task_update, execution_step, error, …
    socket.onAny((name, payload) => note(name, payload));
    showState();
  }

  function disconnect() {
    if (!socket) return;
    socket.disconnect();
    socket = null;
    showState();
  }

  function subscribe() {
    send("subscribe_instance", { instance_id: byId("instance").value.trim() });
  }

  function unsubscribe() {
    send("unsubscribe_instance", { instance_id: byId("instance").value.trim() });
  }

  function send(name, payload) {
    addRow(name, payload, true);
    // The acknowledgement is optional: `subscribed` and `unsubscribed` are sent as well.
    socket.emit(name, payload, (answer) => addRow(`${name} ack`, answer, true));
  }

  function note(name, payload) {
    addRow(name, payload, false);
    if (["connect", "disconnect", "connect_error"].includes(name)) showState();
  }

  function showState() {
    const connected = Boolean(socket && socket.connected);
    // Whom the server refused, or cut off, does not try again by itself: another token is for the one who reads this.
    const trying = Boolean(socket && socket.active);
    byId("connection").dataset.state = connected ? "live" : trying ? "catching_up" : "offline";
    byId("connection").querySelector(".label").textContent = connected ? "Connected" : trying ? "Connecting" : idle();
    byId("connect").disabled = trying;
    byId("disconnect").disabled = !trying;
    byId("subscribe").disabled = byId("unsubscribe").disabled = !connected;
  }

  function idle() {
    if (fromFile) return `Served at ${SERVED_AT}`;
    return typeof io === "undefined" ? MISSING : "Not connected";
  }

  function addRow(name, payload, sent) {
    const row = document.createElement("li");
    row.dataset.name = name;
    row.className = sent ? "sent" : "received";
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    const json = document.createElement("pre");
    summary.append(
      cell("time", new Date().toLocaleTimeString(undefined, { hour12: false })),
      cell("name", name),
      cell("text", JSON.stringify(payload)),
    );
    json.textContent = JSON.stringify(payload, null, 2);
    details.append(summary, json);
    row.append(details);
    byId("log").append(row);
    while (byId("log").children.length > MOST_ROWS) byId("log").firstChild.remove();
    count += 1;
    byId("count").textContent = count;
    if (byId("follow").checked) byId("log").scrollTop = byId("log").scrollHeight;
  }

  function cell(name, text) {
    const element = document.createElement("span");
    element.className = name;
    element.textContent = text === undefined ? "" : text;
    return element;
  }

  function clear() {
    byId("log").replaceChildren();
    count = 0;
    byId("count").textContent = "0";
  }

  // Under a path, when this page is: what comes before its own place.
  byId("url").value = fromFile ? new URL(SERVED_AT).origin : location.origin + location.pathname.split("/docs/")[0];
  byId("from-file").hidden = !fromFile;
  byId("instance").value = new URLSearchParams(location.search).get("instance") || "demo";
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const [id, act] of Object.entries({ connect, disconnect, subscribe, unsubscribe, clear })) {
    byId(id).addEventListener("click", act);
  }
  showState();
})();
