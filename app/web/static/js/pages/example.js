/** The event log of docs/websocket_client_example.html. A classic script, so that the page works as a file too. */
"use strict";

/** Maximum number of rows. */
const MAX_ROWS = 2000;

/** Whether the page was opened from a file, which has no origin. */
const fromFile = location.protocol === "file:";
const SERVED_AT = "http://localhost:8000/docs/websocket_client_example.html";

/** The text of app/web/pages/missing_client.py. */
const MISSING = "The browser's Socket.IO client is not installed: run ./scripts/prepare, then load this page again.";

const byId = (id) => document.getElementById(id);
let socket = null;
let count = 0;

function connect() {
  disconnect();
  if (typeof io === "undefined") {
    addReceived("connect_error", { message: MISSING });
    return;
  }
  const options = { transports: ["websocket"], upgrade: false, forceNew: true };
  // Never in the URL, which is logged. The token stays in the field and in the page's memory.
  const token = byId("token").value.trim();
  const { origin, pathname } = new URL(byId("url").value);
  options.path = `${pathname.replace(/\/$/, "")}/socket.io`;
  socket = io(origin, token ? { ...options, auth: { token } } : options);
  socket.on("connect", () => addReceived("connect", { id: socket.id }));
  socket.on("disconnect", (reason) => addReceived("disconnect", { reason }));
  socket.on("connect_error", (fault) => addReceived("connect_error", { message: fault.message }));
  // All events of the server: connected, subscribed, task_update, execution_step, error, …
  socket.onAny((name, payload) => addReceived(name, payload));
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
  // The acknowledgement is optional: the server also sends `subscribed` and `unsubscribed`.
  socket.emit(name, payload, (reply) => addRow(`${name} ack`, reply, true));
}

function addReceived(name, payload) {
  addRow(name, payload, false);
  if (["connect", "disconnect", "connect_error"].includes(name)) showState();
}

function showState() {
  const connected = Boolean(socket && socket.connected);
  // A client that the server refused or disconnected does not retry by itself: it may need another token.
  const connecting = Boolean(socket && socket.active);
  byId("connection").dataset.state = connected ? "live" : connecting ? "catching_up" : "offline";
  byId("connection").querySelector(".label").textContent = connected ? "Connected" : connecting ? "Connecting" : idle();
  byId("connect").disabled = connecting;
  byId("disconnect").disabled = !connecting;
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
  while (byId("log").children.length > MAX_ROWS) byId("log").firstChild.remove();
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

// Includes the path prefix of the server.
byId("url").value = fromFile ? new URL(SERVED_AT).origin : location.origin + location.pathname.split("/docs/")[0];
byId("from-file").hidden = !fromFile;
byId("instance").value = new URLSearchParams(location.search).get("instance") || "demo";
byId("controls").addEventListener("submit", (event) => event.preventDefault());
for (const [id, act] of Object.entries({ connect, disconnect, subscribe, unsubscribe, clear })) {
  byId(id).addEventListener("click", act);
}
showState();
