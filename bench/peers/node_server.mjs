// Node's own socket.io with a Redis adapter, as its documentation sets it up. BENCH_ADAPTER=streams adds recovery.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { createClient } from "redis";
import { createAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";

const client = createClient({ url: process.env.BENCH_REDIS });
await client.connect();
const options = { perMessageDeflate: false, transports: ["websocket"] };
if (process.env.BENCH_ADAPTER === "streams") {
  options.adapter = createStreamsAdapter(client, { maxLen: 100_000 });
  options.connectionStateRecovery = { maxDisconnectionDuration: 120_000 };
} else {
  const subscriber = client.duplicate();
  await subscriber.connect();
  options.adapter = createAdapter(client, subscriber);
}
const server = createServer();
const io = new Server(server, options);
io.on("connection", (socket) => {
  socket.on("subscribe_instance", (wanted, ack) => {
    socket.join(wanted.instance_id);
    socket.emit("subscribed", { instance_id: wanted.instance_id });
    ack?.({ ok: true });
  });
});
if (process.env.BENCH_ADAPTER === "streams") {
  // The streams adapter has no emitter of its own process, so the server emits what it receives on a plain channel.
  const orders = client.duplicate();
  await orders.connect();
  await orders.subscribe("bench-emit", (line) => {
    const { room, event, payload } = JSON.parse(line);
    io.to(room).emit(event, payload);
  });
}
server.listen({ port: Number(process.env.BENCH_PORT), host: "127.0.0.1", backlog: 4096 }, () => console.log("listening"));
