/** The JavaScript client against a server that the test plays. Run by `node --test`; test_javascript_client.py does. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { TaskWebSocketClient } from "../../clients/javascript/task_websocket_client.js";
import { FakeSocket, event, live, makeClient, replay, since, until } from "./fake_socket.mjs";

test("it uses a websocket alone", async (context) => {
  const { socket } = await makeClient(context);
  assert.deepEqual(socket.options.transports, ["websocket"]);
  assert.equal(socket.options.upgrade, false);
});

test("it subscribes and passes events on in order", async (context) => {
  const { client, socket, calls } = await makeClient(context);
  client.subscribe("i");
  assert.deepEqual(socket.sent[0].payload, { instance_id: "i" });
  socket.sent[0].answer(live(4));
  for (const seq of [5, 6, 6, 7]) socket.say("task_update", event(seq));
  socket.say("execution_step", event(8, { type: "execution_step", data: { status: "completed", step_id: "s" } }));
  socket.say("task_update", event(9, { instance_id: "other" }));
  assert.deepEqual(calls, [["update", 5], ["update", 6], ["update", 7], ["step", 8]]);
  assert.deepEqual(client.position("i"), { epoch: "a", seq: 8 });
});

test("handlers may be overridden in a subclass", async (context) => {
  const seen = [];
  class LoggingClient extends TaskWebSocketClient {
    handleTaskUpdate({ seq }) {
      seen.push(seq);
    }
  }
  let socket;
  const client = new LoggingClient("http://server", { io: (url, options) => (socket = new FakeSocket(url, options)) });
  await client.connect();
  client.subscribe("i");
  socket.sent[0].answer(live(4));
  socket.say("task_update", event(5));
  client.disconnect();
  assert.deepEqual(seen, [5]);
});

test("a gap is asked for with since, at growing intervals while nothing comes", async (context) => {
  const { client, socket, calls } = await makeClient(context);
  client.subscribe("i");
  socket.sent[0].answer(live(4));
  socket.say("task_update", event(6));
  await until(() => socket.sent.length === 2);
  assert.deepEqual(socket.sent[1].payload, since(4));
  socket.sent[1].answer(replay(6));
  socket.say("task_update", event(5));
  socket.say("task_update", event(6));
  assert.deepEqual(calls, [["update", 5], ["update", 6]]);
});

test("after a lost connection it continues where it was", async (context) => {
  const { client, socket, calls } = await makeClient(context);
  client.subscribe("i");
  client.subscribeTask("t");
  socket.sent[0].answer(live(4));
  socket.say("task_update", event(5));
  socket.lose();
  assert.equal(client.state, "offline");
  socket.sent = [];
  socket.connect();
  assert.deepEqual(socket.sent.map(({ name, payload }) => [name, payload]), [
    ["subscribe_task", { task_id: "t" }],
    ["subscribe_instance", since(5)],
  ]);
  assert.equal(client.state, "catching_up");
  socket.sent[1].answer(replay(6));
  socket.say("task_update", event(6));
  assert.equal(client.state, "live");
  assert.deepEqual(calls, [["update", 5], ["disconnected", "transport close"], ["update", 6]]);
});

test("an answer of a lost connection is ignored", async (context) => {
  const { client, socket } = await makeClient(context);
  client.subscribe("i");
  const late = socket.sent[0];
  socket.lose();
  socket.connect();
  late.answer(live(4));
  assert.equal(client.position("i"), null);
});

test("a server that closes the connection itself is tried again", async (context) => {
  const { client, socket } = await makeClient(context);
  socket.lose("io server disconnect");
  await until(() => socket.connected);
  assert.equal(client.state, "live");
});

test("it reconnects after the delay that a restarting server named", async (context) => {
  const { client, socket, calls } = await makeClient(context);
  client.subscribe("i");
  socket.sent[0].answer(live(4));
  socket.say("task_update", event(5));
  const began = performance.now();
  socket.say("restarting", { retry_after_ms: 50 });
  assert.equal(socket.connected, false);
  assert.equal(client.state, "offline");
  await until(() => socket.connected);
  assert.ok(performance.now() - began >= 49);
  assert.deepEqual(socket.sent[1].payload, since(5));
  assert.deepEqual(calls, [
    ["update", 5],
    ["disconnected", "io client disconnect"],
  ]);
});

test("it does not reconnect to a restarting server that it has left", async (context) => {
  const { client, socket } = await makeClient(context);
  socket.say("restarting", { retry_after_ms: 1 });
  client.disconnect();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(socket.connected, false);
});

test("a snapshot comes first when it is asked for", async (context) => {
  const { client, socket, calls } = await makeClient(context);
  client.subscribe("i", { snapshot: true });
  assert.deepEqual(socket.sent[0].payload, { instance_id: "i", since: { epoch: "", seq: 0 } });
  socket.say("task_update", event(5));
  socket.sent[0].answer({ ...live(4), mode: "snapshot", snapshot: { head: 4, tasks: [] } });
  assert.deepEqual(calls, [["snapshot", 4], ["update", 5]]);
});

test("a head shows a lost tail", async (context) => {
  const { client, socket } = await makeClient(context);
  client.subscribe("i");
  socket.sent[0].answer(live(4));
  socket.say("head", { instance_id: "i", epoch: "a", seq: 4 });
  socket.say("head", { instance_id: "i", epoch: "a", seq: 5 });
  await until(() => socket.sent.length === 2);
  assert.deepEqual(socket.sent[1].payload, since(4));
});

test("a reset asks again, a revoked subscription ends", async (context) => {
  const { client, socket, calls } = await makeClient(context);
  client.subscribe("i");
  socket.sent[0].answer(live(4));
  socket.say("reset", { instance_id: "i", reason: "lag" });
  await until(() => socket.sent.length === 2);
  socket.sent[1].answer(replay(4));
  socket.say("reset", { instance_id: "i", reason: "revoked" });
  socket.say("task_update", event(5));
  assert.deepEqual(calls, [["revoked", "i"]]);
  assert.equal(client.position("i"), null);
});

test("a refused subscription ends, a passing refusal is tried again", async (context) => {
  const { client, socket } = await makeClient(context);
  client.subscribe("i");
  socket.sent[0].answer({ ok: false, error: { code: "unavailable", message: "", retry_after_ms: 1 } });
  await until(() => socket.sent.length === 2);
  socket.sent[1].answer({ ok: false, error: { code: "not_found", message: "" } });
  assert.equal(client.state, "live");
  await assert.rejects(client.waitFor("i", 1));
});

test("it waits for an event", async (context) => {
  const { client, socket, calls } = await makeClient(context);
  client.subscribe("i");
  const waiting = client.waitFor("i", 6).then(() => calls.push(["waited", 6]));
  socket.sent[0].answer(live(4));
  socket.say("task_update", event(5));
  socket.say("task_update", event(6));
  await waiting;
  assert.deepEqual(calls, [["update", 5], ["update", 6], ["waited", 6]]);
});

test("a server of section 1 works and is not asked twice", async (context) => {
  const { client, socket, calls } = await makeClient(context, { answerWithin: 5 });
  client.subscribe("i");
  socket.say("subscribed", { instance_id: "i" });
  client.subscribe("silent");
  socket.say("task_update", { instance_id: "i", task_id: "t", type: "task_update", data: { progress: 5 } });
  // The one that nothing confirms is asked for again and again; the other is not.
  await until(() => socket.sent.length >= 4);
  client.disconnect();
  assert.deepEqual(socket.sent.slice(0, 4).map(({ payload }) => payload.instance_id), ["i", "silent", "silent", "silent"]);
  assert.deepEqual(calls[0], ["update", undefined]);
});

test("streamed text is joined", async (context) => {
  const { client, socket, calls } = await makeClient(context);
  const piece = { instance_id: "i", task_id: "t", step_id: "s", attempt: 1, rev: 1, offset: 0, text: "Desk " };
  client.subscribeTask("t");
  socket.say("step_output", piece);
  socket.say("step_output", { ...piece, rev: 2, offset: 5, text: "lamp" });
  socket.say("step_output", { ...piece, task_id: "another" });
  assert.deepEqual(calls, [["text", "Desk "], ["text", "Desk lamp"]]);
});

test("a handler's fault loses no event and is reported", async (context) => {
  const { client, socket, calls } = await makeClient(context);
  const thrown = [];
  context.mock.method(globalThis, "setTimeout", (callback) => thrown.push(callback));
  client.subscribe("i");
  client.handleTaskUpdate = ({ seq }) => {
    calls.push(["update", seq]);
    throw new Error("clumsy");
  };
  socket.sent[0].answer(live(4));
  thrown.length = 0;
  socket.say("task_update", event(5));
  socket.say("task_update", event(6));
  assert.deepEqual(calls, [["update", 5], ["update", 6]]);
  assert.throws(thrown[0], /clumsy/);
});
