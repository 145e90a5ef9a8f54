// Node's own socket.io with the events of tests/conformance/echo.py: what it passes, ours has to pass too.
import { createServer } from "node:http";
import { Server } from "socket.io";

const server = createServer();
const io = new Server(server, {
  connectTimeout: Number(process.env.ECHO_CONNECT_TIMEOUT),
  cors: { origin: process.env.ECHO_PAGE, allowedHeaders: ["content-type"] },
});
io.on("connection", (socket) => {
  socket.emit("connected", { message: "Connected" });
  socket.on("subscribe_instance", (wanted, ack) => {
    socket.join(wanted.instance_id);
    socket.emit("subscribed", { instance_id: wanted.instance_id });
    ack?.({ ok: true });
  });
  socket.on("message", (...fields) => socket.emit("message-back", ...fields));
  socket.on("message-with-ack", (...fields) => fields.pop()(...fields));
  socket.on("burst", (count) => {
    for (let number = 0; number < count; number++) socket.emit("note", number);
  });
  socket.on("ask", (...fields) => {
    socket.emit("question", ...fields, (...answer) => socket.emit("answered", ...answer));
  });
  socket.on("enter", (name, ack) => {
    socket.join(name);
    ack();
  });
  socket.on("send", (rooms, ...fields) => io.in(rooms).emit("sent", ...fields));
  socket.on("leave-me", () => {
    socket.emit("last");
    socket.disconnect();
  });
});
io.of("/closed").use((socket, next) => {
  next(Object.assign(new Error("Authentication error"), { data: { a: "b", c: 3 } }));
});
io.of("/custom").on("connection", (socket) => {
  socket.emit("auth", socket.handshake.auth);
  socket.on("message", (...fields) => socket.emit("message-back", ...fields));
  socket.on("message-with-ack", (...fields) => fields.pop()(...fields));
});
server.listen(Number(process.env.ECHO_PORT), "127.0.0.1", () => console.log("listening"));
