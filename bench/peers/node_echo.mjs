// Node's own socket.io with the events of tests/conformance/echo.py: what it passes, ours has to pass too.
import { createServer } from "node:http";
import { Server } from "socket.io";

const server = createServer();
const io = new Server(server, { connectTimeout: Number(process.env.ECHO_CONNECT_TIMEOUT) });
io.on("connection", (socket) => {
  socket.emit("connected", { message: "Connected" });
  socket.on("subscribe_instance", (wanted, ack) => {
    socket.join(wanted.instance_id);
    socket.emit("subscribed", { instance_id: wanted.instance_id });
    ack?.({ ok: true });
  });
  socket.on("message", (...given) => socket.emit("message-back", ...given));
  socket.on("message-with-ack", (...given) => given.pop()(...given));
  socket.on("burst", (count) => {
    for (let number = 0; number < count; number++) socket.emit("note", number);
  });
});
io.of("/custom").on("connection", (socket) => socket.emit("auth", socket.handshake.auth));
server.listen(Number(process.env.ECHO_PORT), "127.0.0.1", () => console.log("listening"));
