/**
 * The JavaScript client, driven by JSON lines: `{subscribe, snapshot}`. Writes the calls of its handlers as
 * `[name, payload]`. Usage: node javascript_subject.mjs URL [FILE WITH A TOKEN]
 */

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

import { io } from "socket.io-client";

import { TaskWebSocketClient } from "../../clients/javascript/task_websocket_client.js";

const write = (name, payload) => process.stdout.write(JSON.stringify([name, payload]) + "\n");

class Subject extends TaskWebSocketClient {
  handleTaskUpdate(event) {
    write("task_update", event);
  }

  handleExecutionStep(event) {
    write("execution_step", event);
  }

  handleSnapshot(instanceId, snapshot) {
    write("snapshot", snapshot);
  }

  handleDisconnected(reason) {
    write("disconnected", { reason });
  }

  handleError(error) {
    write("error", error);
  }

  handleState(state) {
    write("state", { state });
  }
}

const [, , url, tokenFile] = process.argv;
const token = tokenFile ? () => readFile(tokenFile, "utf-8") : undefined;
const times = { retryAtMost: 1000 };
const client = new Subject(url, { io, token, times, socket: { reconnectionDelay: 50, reconnectionDelayMax: 200 } });
await client.connect();
for await (const line of createInterface({ input: process.stdin })) {
  const { subscribe, snapshot } = JSON.parse(line);
  client.subscribe(subscribe, { snapshot });
  // Write the state even when it stays the same, so that the test can wait for it.
  if (client.state === "live") write("state", { state: "live" });
}
client.disconnect();
