/** Connects the page to Socket.IO, and shows the state of the connection in the header. */

import { TaskWebSocketClient } from "../../../clients/javascript/task_websocket_client.js";
import { io } from "../../vendor/socket.io.esm.min.js";

import { isSignedIn, csrfHeaders, signInAgain } from "./api.js";
import { BASE, setText } from "../display/dom.js";

const LABELS = { live: "Live", catching_up: "Catching up", offline: "Offline" };

/**
 * @param {Partial<TaskWebSocketClient>} handlers `handle…` methods
 * @returns {TaskWebSocketClient} not connected yet
 */
export function makeClient(handlers) {
  const client = new TaskWebSocketClient(undefined, {
    io,
    auth: isSignedIn() ? authenticate : undefined,
    socket: { path: `${BASE}/socket.io` },
  });
  Object.assign(client, handlers);
  client.handleState = showState;
  return client;
}

/** Fetch a fresh token for each connection. @param {(auth: {token?: string}) => void} respond */
async function authenticate(respond) {
  try {
    const response = await fetch(`${BASE}/session/token`, { method: "POST", headers: csrfHeaders() });
    if (response.status === 401) return signInAgain();
    respond(response.ok ? { token: (await response.json()).token } : {});
  } catch {
    // The server is unreachable: the connection fails as well, and the client retries it.
    respond({});
  }
}

function showState(state) {
  const indicator = document.getElementById("connection");
  indicator.dataset.state = state;
  setText(indicator.querySelector(".label"), LABELS[state]);
}
