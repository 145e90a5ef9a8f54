/** A fake socket of socket.io-client, with which a test acts as the server, and the messages of a server. */

import { TaskWebSocketClient } from "../../clients/javascript/task_websocket_client.js";

/** A stand-in for a socket of socket.io-client: the test plays the server. */
export class FakeSocket {
  connected = false;
  active = true;
  sent = [];
  listeners = new Map();

  constructor(url, options) {
    Object.assign(this, { url, options });
  }

  on(name, listener) {
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), listener]);
  }

  once(name, listener) {
    this.on(name, listener);
  }

  emit(name, payload, answer) {
    this.sent.push({ name, payload, answer });
  }

  connect() {
    this.connected = true;
    this.say("connect");
  }

  disconnect() {
    this.lose("io client disconnect");
  }

  say(name, payload) {
    for (const listener of this.listeners.get(name) ?? []) listener(payload);
  }

  lose(reason = "transport close") {
    this.connected = false;
    this.say("disconnect", reason);
  }
}

/** A client that records the calls of its handlers, and the sockets it made. */
export async function makeClient(context, times = {}, options = {}) {
  const sockets = [];
  const io = (...address) => sockets[sockets.push(new FakeSocket(...address)) - 1];
  const allTimes = { retryAfter: 1, retryAtMost: 2, ...times };
  const client = new TaskWebSocketClient("http://server", { io, times: allTimes, ...options });
  const calls = [];
  client.handleTaskUpdate = (event) => calls.push(["update", event.seq ?? event.rev]);
  client.handleExecutionStep = (event) => calls.push(["step", event.seq]);
  client.handleStepOutput = (piece, stream) => calls.push(["text", stream.text]);
  client.handleSnapshot = (instanceId, snapshot) => calls.push(["snapshot", snapshot.head]);
  client.handleRevoked = (instanceId) => calls.push(["revoked", instanceId]);
  client.handleDisconnected = (reason) => calls.push(["disconnected", reason]);
  await client.connect();
  context.after(() => client.disconnect());
  return { client, socket: sockets[0], sockets, calls };
}

export function event(seq, more = {}) {
  return { instance_id: "i", task_id: "t", type: "task_update", attempt: 1, seq, epoch: "a", data: {}, ...more };
}

export const live = (head) => ({ ok: true, mode: "live", epoch: "a", head, min_seq: 0 });
export const replay = (head) => ({ ...live(head), mode: "replay" });
export const since = (seq) => ({ instance_id: "i", since: { epoch: "a", seq } });

export async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}
