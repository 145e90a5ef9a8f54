// A JavaScript client in a process of its own, with the Socket.IO client that browsers use.
//
// Reads commands as JSON lines, writes what happens as JSON lines:
//   {"do": "connect", "url": …, "auth": …}   {"do": "emit", "event": …, "payload": …}   {"do": "drop"}   {"do": "disconnect"}
//   → {"event": …, "payload": …} for each event received, and {"state": "connect" | "disconnect" | "connect_error", "reason": …}
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

let socket = null;

const write = (message) => process.stdout.write(JSON.stringify(message) + "\n");

const commands = {
  connect({ url, auth }) {
    socket = io(url, { transports: ["websocket"], upgrade: false, reconnection: false, forceNew: true, auth });
    socket.onAny((event, payload) => write({ event, payload }));
    socket.on("connect", () => write({ state: "connect" }));
    socket.on("disconnect", (reason) => write({ state: "disconnect", reason }));
    socket.on("connect_error", (error) => write({ state: "connect_error", reason: error.message }));
  },
  emit({ event, payload, id }) {
    if (id === undefined) socket.emit(event, payload);
    else socket.emit(event, payload, (answer) => write({ answer, id }));
  },
  // As a lost network does: no goodbye, and the server finds out by itself.
  drop() {
    socket.io.engine.transport.ws.terminate();
  },
  disconnect() {
    socket.disconnect();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  commands[command.do](command);
}
socket?.disconnect();
