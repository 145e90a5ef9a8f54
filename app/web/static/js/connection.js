/** The page's one connection: the client class, and the indicator in the page's header. */

import { TaskWebSocketClient } from "/clients/javascript/task_websocket_client.js";
import { io } from "/static/vendor/socket.io.esm.min.js";

import { setText } from "./dom.js";

const LABELS = { live: "Live", catching_up: "Catching up", offline: "Offline" };

/**
 * @param {Partial<TaskWebSocketClient>} handlers `handle…` methods
 * @returns {TaskWebSocketClient} not connected yet
 */
export function makeClient(handlers) {
  const client = new TaskWebSocketClient(undefined, { io });
  Object.assign(client, handlers);
  client.handleState = showState;
  return client;
}

function showState(state) {
  const indicator = document.getElementById("connection");
  indicator.dataset.state = state;
  setText(indicator.querySelector(".label"), LABELS[state]);
}
