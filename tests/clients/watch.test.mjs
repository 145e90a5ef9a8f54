/** `watch` and `wait`, with a fake server. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Forbidden, NotFound, TimedOut, Unauthenticated } from "../../clients/javascript/index.js";
import { makeServer, page, task } from "./fake_server.mjs";
import { event, live, replay, since, until } from "./fake_socket.mjs";

const INSTANCE = { "/instances/i": { id: "i", epoch: "a", seq: 4 } };
const ended = (seq, status = "COMPLETED") => event(seq, { data: { status } });

test("an instance is watched from now on, without what is not stored", async () => {
  const { client, subscribed, sockets } = makeServer(INSTANCE);
  const watched = client.watch("i");
  const first = watched.next();
  const socket = await subscribed();
  assert.deepEqual(socket.sent[0].payload, since(4));
  socket.sent[0].answer(replay(4));
  socket.say("task_update", event(undefined, { rev: 1 }));
  socket.say("task_update", event(5));
  socket.say("task_update", event(5));
  socket.say("execution_step", event(6, { type: "execution_step", data: { status: "completed", step_id: "s" } }));
  const items = [await first, await watched.next()].map(({ value }) => value.seq);
  assert.deepEqual(items, [5, 6]);
  await watched.return();
  assert.equal(sockets[0].connected, false);
});

test("a number as the position gets the instance's epoch, and a whole position is taken as it is", async () => {
  for (const [position, sent, requests] of [
    [1, since(1).since, ["/instances/i"]],
    [{ epoch: "b", seq: 1 }, { epoch: "b", seq: 1 }, []],
  ]) {
    const server = makeServer(INSTANCE);
    const controller = new AbortController();
    const first = server.client.watch("i", { since: position, signal: controller.signal }).next();
    assert.deepEqual((await server.subscribed()).sent[0].payload.since, sent);
    assert.deepEqual(server.requests, requests);
    controller.abort();
    await assert.rejects(first);
  }
});

test("a task is watched from its first event until it is final, through a lost connection", async () => {
  const { client, subscribed } = makeServer({
    "/instances/i/events": page([event(1), event(2)], 3),
    "/tasks/t": task(),
  });
  const items = [];
  const watching = (async () => {
    for await (const item of client.watch("i", { task: "t" })) items.push(item.seq);
  })();
  const socket = await subscribed();
  socket.sent[0].answer(replay(3));
  socket.say("task_update", event(4, { task_id: "other", data: { status: "COMPLETED" } }));
  socket.say("task_update", event(5));
  socket.lose();
  socket.connect();
  assert.deepEqual(socket.sent.at(-1).payload, since(5));
  socket.say("task_update", event(5));
  socket.say("task_update", ended(6));
  await watching;
  assert.deepEqual(items, [1, 2, 5, 6]);
  assert.equal(socket.connected, false);
});

test("a task that is final already needs no connection", async () => {
  const { client, sockets } = makeServer({
    "/instances/i/events": page([event(1), ended(2)], 9),
    "/tasks/t": task({ status: "COMPLETED" }),
  });
  const items = [];
  for await (const item of client.watch("i", { task: "t" })) items.push(item.seq);
  assert.deepEqual([items, sockets.length], [[1, 2], 0]);
});

test("the events of a task whose first ones are deleted begin with the oldest stored one", async () => {
  const events = (query) =>
    query.get("since") === "0" ? { status: 410, code: "too_old", min_seq: 1 } : page([ended(2)], Number(query.get("since")) + 1);
  const { client } = makeServer({ "/instances/i/events": events, "/tasks/t": task({ status: "COMPLETED" }) });
  const { value } = await client.watch("i", { task: "t" }).next();
  assert.equal(value.seq, 2);
});

test("a caller's position that the log cannot continue gets a reset, also where the task is final", async () => {
  const positions = [3, { epoch: "old", seq: 900 }];
  for (const [status, code] of [["IN_PROGRESS", "too_old"], ["COMPLETED", "epoch"], ["FAILED", "too_old"]]) {
    for (const since of positions) {
      const gone = { status: 410, code, min_seq: 40 };
      const { client, answers, subscribed } = makeServer({ "/instances/i/events": gone, "/tasks/t": task({ status }) });
      const watched = client.watch("i", { task: "t", since });
      const first = watched.next();
      const socket = await subscribed();
      assert.deepEqual(socket.sent[0].payload.since, { epoch: "", seq: 0 });
      const snapshot = { instance_id: "i", epoch: "b", head: 40, tasks: [] };
      socket.sent[0].answer({ ...live(40), epoch: "b", mode: "snapshot", snapshot });
      assert.equal((await first).value.type, "reset");
      answers["/tasks/t"] = task({ status: "COMPLETED" });
      assert.equal((await watched.next()).done, true);
    }
  }
});

test("wait goes on over a log that has lost its beginning", async () => {
  const gone = { status: 410, code: "too_old", min_seq: 40 };
  const { client, answers, sockets, subscribed } = makeServer({ "/instances/i/events": gone, "/tasks/t": task() });
  const waiting = client.wait("t");
  const socket = await subscribed();
  const snapshot = { instance_id: "i", epoch: "a", head: 40, tasks: [] };
  socket.sent[0].answer({ ...live(40), mode: "snapshot", snapshot });
  answers["/tasks/t"] = task({ status: "COMPLETED", result: 42 });
  socket.say("task_update", ended(41));
  assert.equal((await waiting).result, 42);
  assert.equal(sockets.length, 1);
});

test("live updates and text come where they are asked for", async () => {
  const { client, subscribed } = makeServer({ "/instances/i/events": page([], 4), "/tasks/t": task() });
  const watched = client.watch("i", { task: "t", live: true });
  const first = watched.next();
  const socket = await subscribed();
  const [text, instance] = socket.sent;
  assert.deepEqual([text.name, text.payload], ["subscribe_task", { task_id: "t" }]);
  instance.answer(replay(4));
  socket.say("task_update", event(undefined, { rev: 1 }));
  for (const [offset, piece] of ["He", "llo"].entries()) {
    socket.say("step_output", { task_id: "t", step_id: "s", attempt: 1, offset: 2 * offset, text: piece });
  }
  const items = [await first, await watched.next(), await watched.next()].map(({ value }) => value.rev ?? value.written);
  assert.deepEqual(items, [1, "He", "Hello"]);
  await watched.return();
});

test("a snapshot in place of missing events is a reset, after which a final task ends", async () => {
  const { client, answers, subscribed } = makeServer({ "/instances/i/events": page([], 4), "/tasks/t": task() });
  const watched = client.watch("i", { task: "t" });
  const first = watched.next();
  const socket = await subscribed();
  answers["/tasks/t"] = task({ status: "FAILED" });
  const snapshot = { instance_id: "i", epoch: "b", head: 40, tasks: [] };
  socket.sent[0].answer({ ...live(40), epoch: "b", mode: "snapshot", snapshot });
  assert.deepEqual((await first).value, { type: "reset", instance_id: "i", snapshot });
  assert.equal((await watched.next()).done, true);
});

test("what the server refuses for good is an error", async () => {
  const unknown = makeServer();
  await assert.rejects(unknown.client.watch("nowhere").next(), NotFound);
  for (const [kind, refuse] of [
    [NotFound, (socket) => socket.say("error", { code: "not_found", message: "there is no such instance" })],
    [Forbidden, (socket) => socket.say("reset", { instance_id: "i", reason: "revoked" })],
    [Unauthenticated, (socket) => socket.say("connect_error", { message: "no", data: { code: "unauthenticated" } })],
  ]) {
    const { client, subscribed, sockets } = makeServer(INSTANCE);
    const first = client.watch("i").next();
    const refused = assert.rejects(first, kind);
    refuse(await subscribed());
    await refused;
    await until(() => !sockets[0].connected);
  }
});

test("a signal ends it with its reason", async () => {
  const { client, subscribed, sockets } = makeServer(INSTANCE);
  const controller = new AbortController();
  const first = client.watch("i", { signal: controller.signal }).next();
  const reason = new Error("enough");
  const refused = assert.rejects(first, reason);
  await subscribed();
  controller.abort(reason);
  await refused;
  assert.equal(sockets[0].connected, false);
});

test("the client's state is shown", async () => {
  const states = [];
  const { client, subscribed } = makeServer(INSTANCE);
  const watched = client.watch("i", { onState: (state) => states.push(state) });
  const first = watched.next();
  const socket = await subscribed();
  socket.sent[0].answer(replay(4));
  socket.lose();
  socket.connect();
  socket.sent.at(-1).answer(replay(4));
  socket.say("task_update", event(5));
  await first;
  await watched.return();
  assert.deepEqual(states, ["catching_up", "live", "offline", "catching_up", "live", "offline"]);
});

test("wait returns the task when it is final", async () => {
  const { client, answers, subscribed } = makeServer({ "/instances/i/events": page([], 4), "/tasks/t": task() });
  const waiting = client.wait("t", { timeout: 60_000 });
  const socket = await subscribed();
  answers["/tasks/t"] = task({ status: "COMPLETED", result: 42 });
  socket.sent[0].answer(replay(4));
  socket.say("task_update", ended(5));
  assert.equal((await waiting).result, 42);
});

test("a time limit without an end is none", async () => {
  for (const timeout of [Infinity, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
    const { client, answers, subscribed } = makeServer({ "/instances/i/events": page([], 4), "/tasks/t": task() }, { timeout });
    const waiting = client.wait("t", { timeout });
    const socket = await subscribed();
    answers["/tasks/t"] = task({ status: "COMPLETED", result: 42 });
    socket.sent[0].answer(replay(4));
    socket.say("task_update", ended(5));
    assert.equal((await waiting).result, 42);
  }
});

test("wait gives up after the time that it was given", async () => {
  const { client, sockets } = makeServer({ "/instances/i/events": page([], 4), "/tasks/t": task() });
  await assert.rejects(client.wait("t", { timeout: 30 }), TimedOut);
  assert.equal(sockets[0]?.connected ?? false, false);
});
