/** Handlers that end the connection or a subscription in the middle of a message. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { event, live, makeClient, until } from "./fake_socket.mjs";

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Each makes a connected client lose its connection and plan another one; `handler` is the one that it calls. */
const LOSSES = {
  "a restart": ["handleDisconnected", (socket) => socket.say("restarting", { retry_after_ms: 1 })],
  "a close by the server": ["handleDisconnected", (socket) => socket.lose("io server disconnect")],
  "an expired token": ["handleError", refuse],
};

function refuse(socket) {
  socket.connected = false;
  socket.say("connect_error", Object.assign(new Error("expired"), { data: { code: "unauthenticated" } }));
}

// The timer of the next connection once called a method of null, which ends a Node process.
for (const [name, [handler, lose]] of Object.entries(LOSSES)) {
  test(`after ${name} a handler may disconnect for good`, async (context) => {
    const { client, socket } = await makeClient(context, {}, { token: () => "t" });
    client[handler] = () => client.disconnect();
    lose(socket);
    await pause(20);
    assert.equal(socket.connected, false);
    assert.equal(client.state, "offline");
  });

  test(`after ${name} a handler may connect anew, and the old connection stays closed`, async (context) => {
    const { client, socket, sockets } = await makeClient(context, {}, { token: () => "t" });
    client[handler] = () => {
      client[handler] = () => {};
      client.disconnect();
      client.connect();
    };
    lose(socket);
    await pause(20);
    assert.deepEqual(sockets.map(({ connected }) => connected), [false, true]);
  });
}

// The subscription that had been removed once planned its next request, and subscribed again for ever.
test("a snapshot's handler may unsubscribe, and nothing is asked for again", async (context) => {
  const { client, socket } = await makeClient(context, { answerWithin: 1 });
  client.handleSnapshot = (instanceId) => client.unsubscribe(instanceId);
  client.subscribe("i", { snapshot: true });
  socket.say("task_update", event(7));
  socket.sent[0].answer({ ...live(4), mode: "snapshot", snapshot: { head: 4, tasks: [] } });
  await pause(20);
  assert.deepEqual(socket.sent.map(({ name }) => name), ["subscribe_instance", "unsubscribe_instance"]);
});

test("a snapshot's handler may subscribe anew, and only the new subscription goes on", async (context) => {
  const { client, socket } = await makeClient(context);
  client.handleSnapshot = (instanceId) => client.subscribe(instanceId, { since: { epoch: "a", seq: 9 } });
  client.subscribe("i", { snapshot: true });
  socket.say("task_update", event(7));
  socket.sent[0].answer({ ...live(4), mode: "snapshot", snapshot: { head: 4, tasks: [] } });
  await until(() => socket.sent.length === 2);
  await pause(20);
  assert.deepEqual(socket.sent.slice(1).map(({ payload }) => payload.since.seq), [9]);
});
