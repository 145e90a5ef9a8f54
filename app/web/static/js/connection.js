/** The page's one connection: the client class, and the indicator in the page's header. */

import { TaskWebSocketClient } from "../../clients/javascript/task_websocket_client.js";
import { io } from "../vendor/socket.io.esm.min.js";

import { isSignedIn, proof, signInAgain } from "./api.js";
import { BASE, setText } from "./dom.js";

const LABELS = { live: "Live", catching_up: "Catching up", offline: "Offline" };

/**
 * @param {Partial<TaskWebSocketClient>} handlers `handle…` methods
 * @returns {TaskWebSocketClient} not connected yet
 */
export function makeClient(handlers) {
  const client = new TaskWebSocketClient(undefined, {
    io,
    auth: isSignedIn() ? tellWho : undefined,
    socket: { path: `${BASE}/socket.io` },
  });
  Object.assign(client, handlers);
  client.handleState = showState;
  return client;
}

/** Asked at every connection, so that each has a fresh token. @param {(auth: {token?: string}) => void} tell */
async function tellWho(tell) {
  try {
    const answer = await fetch(`${BASE}/session/token`, { method: "POST", headers: proof() });
    if (answer.status === 401) return signInAgain();
    tell(answer.ok ? { token: (await answer.json()).token } : {});
  } catch {
    // The server is away: the connection fails as well, and is tried again.
    tell({});
  }
}

function showState(state) {
  const indicator = document.getElementById("connection");
  indicator.dataset.state = state;
  setText(indicator.querySelector(".label"), LABELS[state]);
}
