/** How the JavaScript client opens and closes a connection: refusals, renewed tokens, and the end of an attempt. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { TaskWebSocketClient } from "../../clients/javascript/task_websocket_client.js";
import { FakeSocket, makeClient, until } from "./fake_socket.mjs";

const error = (message, data) => Object.assign(new Error(message), { data });

/** A client whose connections get these answers in turn: an error refuses, `null` accepts, `undefined` lets it wait. */
function makeRefused(context, answers, options = {}) {
  const sockets = [];
  const io = () => {
    const socket = new FakeSocket();
    const accept = socket.connect.bind(socket);
    socket.connect = () => {
      const answer = answers.shift();
      socket.active = !answer;
      if (answer) socket.say("connect_error", answer);
      else if (answer === null) accept();
    };
    return sockets[sockets.push(socket) - 1];
  };
  const client = new TaskWebSocketClient("http://server", { io, times: { retryAfter: 1, retryAtMost: 2 }, ...options });
  const errors = [];
  client.handleError = (refusal) => errors.push(refusal.data?.code ?? refusal.message);
  context.after(() => client.disconnect());
  return { client, errors, sockets };
}

test("a refusal that stays is reported and not tried again", async (context) => {
  for (const refusal of [error("no"), error("no", { code: "unauthenticated" }), error("no", { code: "invalid_input" })]) {
    const { client, errors, sockets } = makeRefused(context, [refusal, null]);
    await assert.rejects(client.connect(), refusal);
    assert.deepEqual([errors.length, sockets[0].connected], [1, false]);
    await client.connect();
    assert.equal(client.state, "live");
  }
});

test("a refusal that passes is tried again, at the first connection and at later ones", async (context) => {
  const passing = [{ code: "unavailable" }, { code: "too_many", retry_after_ms: 3 }, { code: "busy" }, { code: "error" }];
  for (const data of passing) {
    const { client, errors, sockets } = makeRefused(context, [error("no", data), null, error("no", data), error("no", data), null]);
    await client.connect();
    sockets[0].lose();
    sockets[0].connect();
    await until(() => sockets[0].connected);
    assert.deepEqual(errors, [data.code, data.code, data.code]);
  }
});

test("a token that expired while the connection was lost is renewed, wherever it comes from", async (context) => {
  const expired = () => error("your token has expired", { code: "unauthenticated" });
  for (const options of [{ token: () => "t" }, { auth: (show) => show({ token: "t" }) }]) {
    const { client, sockets } = makeRefused(context, [null, expired(), null], options);
    await client.connect();
    sockets[0].lose();
    sockets[0].connect();
    await until(() => sockets[0].connected);
  }
});

test("a disconnect ends an attempt to connect, which need not be awaited", async (context) => {
  const unhandled = [];
  const listen = (reason) => unhandled.push(reason);
  process.on("unhandledRejection", listen);
  context.after(() => process.off("unhandledRejection", listen));
  const { client } = makeRefused(context, [undefined, undefined, error("no")]);
  const first = client.connect();
  client.disconnect();
  await assert.rejects(first, /disconnected/);
  client.connect();
  client.disconnect();
  client.connect();
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(unhandled, []);
});

test("a token is sent without the space around it", async (context) => {
  for (const token of ["t\n", () => " t ", async () => "t\r\n"]) {
    const { socket } = await makeClient(context, {}, { token });
    assert.deepEqual(await new Promise((resolve) => socket.options.auth(resolve)), { token: "t" });
  }
});
