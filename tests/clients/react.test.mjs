/** The hooks for React in a page of happy-dom, with a fake server. */

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { Window } from "happy-dom";

const window = new Window();
const { document, navigator } = window;
for (const [name, value] of Object.entries({ window, document, navigator, IS_REACT_ACT_ENVIRONMENT: true })) {
  Object.defineProperty(globalThis, name, { value, configurable: true });
}
after(() => window.happyDOM.close());

const { act, createElement: h, StrictMode } = await import("react");
const { createRoot, hydrateRoot } = await import("react-dom/client");
const { renderToString } = await import("react-dom/server");
const { useInstance, useTask } = await import("../../clients/javascript/react.js");
const { shareFeed } = await import("../../clients/javascript/feeds.js");
const { makeServer, page, step, task } = await import("./fake_server.mjs");
const { event, live, replay, until } = await import("./fake_socket.mjs");

/** Render components in StrictMode; `text()` is what they show, and `shows` waits for it. */
async function render(context, ...elements) {
  const container = document.createElement("div");
  const mounted = createRoot(container);
  const show = (...shown) => act(async () => mounted.render(h(StrictMode, null, ...shown)));
  await show(...elements);
  const text = () => container.textContent;
  const shows = (expected) => act(() => until(() => text() === expected));
  context.after(() => act(async () => mounted.unmount()));
  return { show, shows, text };
}

function TaskView({ client, id }) {
  const { task, steps, events, texts, connection, error } = useTask(client, id);
  if (error) return `${error.name}: ${error.code}`;
  if (!task) return "…";
  const shown = steps.map(({ step_id, status }) => `${step_id} ${status}${texts[step_id] ? ` ${texts[step_id]}` : ""}`);
  return `${task.status} [${shown.join(", ")}] ${events.length} ${connection}`;
}

function InstanceView({ client, id }) {
  const { tasks, events, complete, connection, error } = useInstance(client, id);
  if (error) return `${error.name}: ${error.code}`;
  return `${tasks.map(({ id, status, progress }) => `${id} ${status} ${progress}`).join(", ")} ${events.length} ${complete} ${connection}`;
}

const ANSWERS = {
  "/tasks/t": task(),
  "/tasks/t/steps": { items: [] },
  "/instances/i": { id: "i", epoch: "a", seq: 2 },
  "/instances/i/events": page([event(1), event(2)], 2),
};

test("a task is shown with its steps and their text until it is final, and after a retry", async (context) => {
  const { client, subscribed } = makeServer(ANSWERS);
  const { shows } = await render(context, h(TaskView, { client, id: "t" }));
  const socket = await subscribed();
  await shows("IN_PROGRESS [] 2 catching_up");
  socket.sent.at(-1).answer(replay(2));
  await shows("IN_PROGRESS [] 2 live");
  socket.say("execution_step", step(3));
  socket.say("step_output", { task_id: "t", step_id: "s", attempt: 1, offset: 0, text: "Hel" });
  socket.say("step_output", { task_id: "t", step_id: "s", attempt: 1, offset: 3, text: "lo" });
  await shows("IN_PROGRESS [s in_progress Hello] 3 live");
  socket.say("execution_step", step(4, { status: "completed" }));
  socket.say("task_update", event(5, { data: { status: "FAILED" } }));
  await shows("FAILED [s completed] 5 live");
  socket.lose();
  await shows("FAILED [s completed] 5 offline");
  socket.connect();
  socket.sent.at(-1).answer(replay(6));
  socket.say("task_update", event(6, { data: { status: "RETRYING" } }));
  await shows("RETRYING [s completed] 6 live");
});

test("in StrictMode, components that show the same task share one connection, closed after the last of them", async (context) => {
  const { client, sockets, subscribed, requests } = makeServer(ANSWERS);
  const view = (key) => h(TaskView, { client, id: "t", key });
  const { show, shows } = await render(context, view(1), view(2));
  await subscribed();
  await shows("IN_PROGRESS [] 2 catching_up".repeat(2));
  assert.deepEqual([sockets.length, requests.filter((path) => path === "/tasks/t/steps").length], [1, 1]);
  await show(view(2));
  assert.equal(sockets[0].connected, true);
  await show();
  await until(() => !sockets[0].connected);
  await show(view(3));
  await subscribed(2);
});

test("another task takes the place of the first", async (context) => {
  const other = { "/tasks/u": task({ id: "u", status: "QUEUED" }), "/tasks/u/steps": { items: [] } };
  const { client, sockets, subscribed } = makeServer({ ...ANSWERS, ...other });
  const { show, shows } = await render(context, h(TaskView, { client, id: "t" }));
  await subscribed();
  await show(h(TaskView, { client, id: "u" }));
  await subscribed(2);
  await shows("QUEUED [] 2 catching_up");
  await until(() => !sockets[0].connected);
});

test("a task that is not there is an error", async (context) => {
  const { client } = makeServer();
  const { shows } = await render(context, h(TaskView, { client, id: "t" }));
  await shows("NotFound: not_found");
});

test("an instance is shown from its snapshot on, with tasks that come later", async (context) => {
  const { client, subscribed } = makeServer(ANSWERS);
  const { shows } = await render(context, h(InstanceView, { client, id: "i" }));
  const socket = await subscribed();
  const snapshot = { instance_id: "i", tasks: [{ ...task(), progress: 10, steps: [] }], complete: true };
  socket.sent[0].answer({ ...live(2), mode: "snapshot", snapshot });
  await shows("t IN_PROGRESS 10 0 true live");
  socket.say("task_update", event(undefined, { rev: 1, data: { progress: 15 } }));
  await shows("t IN_PROGRESS 15 0 true live");
  socket.say("task_update", event(3, { task_id: "u", data: { status: "SUBMITTED", kind: "k", progress: 0 } }));
  socket.say("task_update", event(4, { data: { status: "COMPLETED", progress: 100 } }));
  await shows("u SUBMITTED 0, t COMPLETED 100 2 true live");
});

test("text that arrives after the end of its step is not shown", async (context) => {
  const { client, subscribed } = makeServer(ANSWERS);
  const { shows } = await render(context, h(TaskView, { client, id: "t" }));
  const socket = await subscribed();
  socket.sent.at(-1).answer(replay(2));
  const say = (attempt, text) => socket.say("step_output", { task_id: "t", step_id: "s", attempt, offset: 0, text });
  socket.say("execution_step", step(3));
  socket.say("execution_step", step(4, { status: "failed" }));
  say(1, "late");
  await shows("IN_PROGRESS [s failed] 4 live");
  say(2, "again");
  await shows("IN_PROGRESS [s failed again] 4 live");
});

test("an instance's list keeps the latest thousand tasks", async (context) => {
  function Count({ client }) {
    const { tasks, complete } = useInstance(client, "i");
    return `${tasks.length} ${tasks[0]?.id} ${complete}`;
  }
  const { client, subscribed } = makeServer(ANSWERS);
  const { shows } = await render(context, h(Count, { client }));
  const socket = await subscribed();
  socket.sent[0].answer({ ...live(2), mode: "snapshot", snapshot: { instance_id: "i", tasks: [], complete: true } });
  const submit = (seq) => socket.say("task_update", event(seq, { task_id: `t${seq}`, data: { status: "SUBMITTED", kind: "k" } }));
  for (let seq = 3; seq <= 1002; seq++) submit(seq);
  await shows("1000 t1002 true");
  submit(1003);
  await shows("1000 t1003 false");
});

test("a server or a proxy that fails is asked again", async (context) => {
  const failures = [{ status: 502 }, { status: 500, code: "error" }, { status: 504 }];
  for (const failure of failures) {
    const { client, answers, subscribed } = makeServer({ ...ANSWERS, "/tasks/t": failure });
    const { shows } = await render(context, h(TaskView, { client, id: "t" }));
    await shows(failure.code ? "ApiError: error" : "Unavailable: error");
    answers["/tasks/t"] = task();
    await subscribed();
    await shows("IN_PROGRESS [] 2 catching_up");
  }
});

test("what is rendered and never mounted is forgotten", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { client } = makeServer();
  renderToString(h(TaskView, { client, id: "t" }));
  const isKnown = (name) => {
    let known = true;
    shareFeed(client, name, () => ((known = false), { isShown: false }));
    return known;
  };
  assert.equal(isKnown("task t"), true);
  context.mock.timers.tick(60_000);
  assert.equal(isKnown("task t"), false);
});

test("a page from a server is taken over as it is, also where the state is known already", async (context) => {
  const { client, subscribed } = makeServer(ANSWERS);
  const { shows } = await render(context, h(TaskView, { client, id: "t" }));
  await subscribed();
  await shows("IN_PROGRESS [] 2 catching_up");
  const container = document.createElement("div");
  container.innerHTML = renderToString(h(TaskView, { client: makeServer().client, id: "t" }));
  const faults = [];
  let root;
  await act(async () => {
    root = hydrateRoot(container, h(TaskView, { client, id: "t" }), { onRecoverableError: (fault) => faults.push(fault) });
  });
  context.after(() => act(async () => root.unmount()));
  assert.deepEqual([faults, container.textContent], [[], "IN_PROGRESS [] 2 catching_up"]);
});

test("on a server, a page shows the state before anything is read", () => {
  const { client } = makeServer();
  assert.equal(renderToString(h(TaskView, { client, id: "t" })), "…");
});
