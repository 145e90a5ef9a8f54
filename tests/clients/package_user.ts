/** A program that uses every export of the package. Usage: node package_user.js URL INSTANCE; prints one JSON object. */

import { createElement, type ReactNode } from "react";
import {
  ApiError,
  applyEvent,
  Client,
  type ClientOptions,
  type ClientState,
  Conflict,
  ConnectionFailed,
  Forbidden,
  InvalidInput,
  isCancellable,
  isFinal,
  isRetryable,
  makeApiError,
  makeRefusalError,
  NotFound,
  type RequestOptions,
  type SocketOptions,
  type SubmitOptions,
  type TaskEvent,
  type TaskFilters,
  taskOf,
  type TaskStatus,
  type TaskState,
  TaskWebSocketClient,
  TimedOut,
  type TokenSource,
  TooFast,
  Unauthenticated,
  Unavailable,
  type WatchItem,
  type WatchOptions,
} from "swallowtail-client";
import { type InstanceView, type TaskView, useInstance, useTask } from "swallowtail-client/react";

const [url = "", instance = ""] = process.argv.slice(2);
const token: TokenSource | undefined = undefined;
const options: ClientOptions = { token, timeout: 60_000 };
const client = new Client(url, options);

/** Watch a campaign to its end, and follow it in a task of one's own. */
async function watchToTheEnd(): Promise<{ events: TaskEvent[]; followed: TaskStatus | undefined; states: ClientState[] }> {
  const states: ClientState[] = [];
  const events: TaskEvent[] = [];
  let followed: TaskState | null = null;
  const submission: SubmitOptions = { instance, title: "From TypeScript", key: "package-user", expiresIn: 600 };
  const { task, created, warnings, seq, epoch } = await client.submit("echo", { message: "hello" }, submission);
  const watched: WatchOptions = { task: task.id, live: true, onState: (state) => states.push(state) };
  for await (const item of client.watch(instance, watched)) {
    if (item.type === "reset" || item.type === "step_output" || item.seq === undefined) continue;
    events.push(item);
    followed = followed === null ? taskOf(item) : applyEvent(followed, item);
    if (item.type === "execution_step") expect(item.data.tries >= 1 && item.data.step_id !== "");
  }
  expect(created && warnings.length === 0 && seq >= 1 && epoch !== "");
  expect(followed !== null && isFinal(followed) && !isCancellable(followed) && !isRetryable(followed));
  return { events, followed: followed?.status, states };
}

/** Read what the watched task left behind, in every other way. */
async function readBack(taskId: string): Promise<{ result: unknown; steps: number; stored: number; listed: string[] }> {
  const { result } = await client.wait(taskId, { timeout: 60_000 });
  const steps = await client.steps(taskId);
  const outputs = await Promise.all(steps.map(({ step_id }) => client.step(taskId, step_id)));
  expect(outputs.every(({ status }) => status === "completed"));
  let stored = 0;
  for await (const event of client.events(instance, 0, { task: taskId })) stored += event.seq > 0 ? 1 : 0;
  const filters: TaskFilters = { status: "COMPLETED", kind: "echo", limit: 1 };
  const listed: string[] = [];
  for await (const task of client.tasks(instance, filters)) listed.push(task.id);
  const request: RequestOptions = { params: { limit: 1 } };
  const { items } = await client.request("GET", "/api/v1/instances", request);
  let instances = 0;
  for await (const _ of client.pages("/api/v1/instances")) instances++;
  expect(items.length === 1 && instances >= 1);
  const agent = await client.agent("echo");
  expect((await client.agents()).some(({ kind }) => kind === agent.kind));
  return { result, steps: steps.length, stored, listed };
}

/** Every error is of its class. */
async function refusals(taskId: string): Promise<string[]> {
  const unknown = "00000000-0000-0000-0000-000000000000";
  const attempts = [
    client.get(unknown),
    client.cancel(taskId),
    client.retry(taskId, { fromStep: "x" }),
    client.submit("no such kind", null, { instance }),
    client.wait(unknown, { timeout: 60_000 }),
    new Client("http://127.0.0.1:9").retry(taskId),
  ];
  const faults = await Promise.all(attempts.map((attempt) => attempt.then(() => null, (fault: unknown) => fault)));
  const kinds = [ApiError, Conflict, ConnectionFailed, Forbidden, InvalidInput, NotFound, TimedOut, TooFast];
  const names = [...kinds, Unauthenticated, Unavailable].map(({ name }) => name);
  expect(makeApiError({ status: 503 }) instanceof Unavailable);
  expect(makeRefusalError({ code: "forbidden", message: "no" }) instanceof Forbidden);
  return faults.map((fault) => (fault instanceof Error && names.includes(fault.name) ? fault.name : String(fault)));
}

/** The class with handlers works too. */
async function handlers(): Promise<string> {
  const settings: SocketOptions = { times: { retryAtMost: 1000 } };
  const socket = new TaskWebSocketClient(url, settings);
  const seen = new Promise<WatchItem>((resolve) => (socket.handleTaskUpdate = resolve));
  await socket.connect();
  socket.subscribe(instance);
  await new Promise<void>((resolve) => (socket.handleSubscribed = () => resolve()));
  const { seq } = await client.submit("echo", { message: "again" }, { instance });
  await socket.waitFor(instance, seq);
  const { type } = await seen;
  socket.disconnect();
  return type;
}

/** The hooks' types; react.test.mjs runs them. */
function Row({ id }: { id: string }): ReactNode {
  const { task, steps }: TaskView = useTask(client, id);
  const { tasks }: InstanceView = useInstance(client, instance);
  return createElement("p", null, task?.title, steps.length, tasks.length);
}

function expect(condition: boolean): void {
  if (!condition) throw new Error("an expectation does not hold");
}

const { events, followed, states } = await watchToTheEnd();
const taskId = events[0]?.task_id ?? "";
const left = { ...(await readBack(taskId)), refusals: await refusals(taskId), handled: await handlers() };
console.log(JSON.stringify({ events, followed, states, ...left, component: Row.name }));
