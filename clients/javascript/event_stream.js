/** Watches an instance as an async iterator: stored events by REST first, then Socket.IO from the position reached. */

import { ApiError, makeRefusalError } from "./errors.js";
import { NO_POSITION } from "./log_position.js";
import { isFinal } from "./task_state.js";

/** @typedef {import("./client.js").Client} Client */
/** @typedef {import("./task_websocket_client.js").ClientState} ClientState */
/** @typedef {import("./task_websocket_client.js").TaskWebSocketClient} TaskWebSocketClient */
/** @typedef {import("./wire.js").Position} Position */
/** @typedef {import("./wire.js").TaskEvent} TaskEvent */
/** @typedef {TaskEvent | import("./wire.js").LiveUpdate | import("./wire.js").Reset | import("./wire.js").WrittenText} WatchItem */
/**
 * @typedef {object} WatchOptions
 * @property {string | undefined} [task] only this task, until it is final
 * @property {number | Position | undefined} [since] the number or the position of the last known event
 * @property {boolean} [follow] with `task`: go on when it is final, since a retry starts it again
 * @property {boolean} [live] also progress inside steps and, with `task`, the text that its steps stream
 * @property {AbortSignal | undefined} [signal] ends it with the signal's reason as the error
 * @property {(state: ClientState) => void} [onState] called when the connection is lost, or has caught up
 */

/** Refusals that stay so. */
const PERMANENT = new Set(["not_found", "forbidden", "invalid_input"]);

/**
 * @param {Client} client
 * @param {string} instanceId
 * @param {WatchOptions} options
 * @returns {AsyncGenerator<WatchItem, void, undefined>}
 */
export async function* watchInstance(client, instanceId, options) {
  const { task, since, follow = false, signal } = options;
  let position;
  if (task === undefined) {
    position = await findPosition(client, instanceId, since, signal);
  } else {
    position = yield* readStoredEvents(client, instanceId, task, since, signal);
    const { status, last_seq: last } = await client.get(task, { signal });
    if (!follow && isFinal({ status }) && position !== null && last <= position.seq) return;
  }
  yield* readSocket(client, instanceId, position ?? NO_POSITION, options);
}

/**
 * @param {Client} client @param {string} instanceId @param {WatchOptions["since"]} since @param {AbortSignal | undefined} signal
 * @returns {Promise<Position>}
 */
async function findPosition(client, instanceId, since, signal) {
  if (typeof since === "object") return since;
  const { epoch, seq } = await client.request("GET", `/api/v1/instances/${encodeURIComponent(instanceId)}`, { signal });
  return { epoch, seq: since ?? seq };
}

/**
 * @param {Client} client @param {string} instanceId @param {string} task
 * @param {WatchOptions["since"]} since @param {AbortSignal | undefined} signal
 * @returns {AsyncGenerator<TaskEvent, Position | null, undefined>} null: events after `since` are missing
 */
async function* readStoredEvents(client, instanceId, task, since, signal) {
  try {
    return yield* client.events(instanceId, since ?? 0, { task, signal });
  } catch (fault) {
    if (!(fault instanceof ApiError) || fault.status !== 410) throw fault;
    if (since !== undefined) return null;
    // The first events are not stored any more, and the caller did not name them.
    return yield* client.events(instanceId, fault.problem.min_seq, { task, signal });
  }
}

/**
 * @param {Client} client @param {string} instanceId @param {Position} position @param {WatchOptions} options
 * @returns {AsyncGenerator<WatchItem, void, undefined>}
 */
async function* readSocket(client, instanceId, position, options) {
  const { task, follow = false, live = false, signal } = options;
  /** @type {Queue<WatchItem>} */
  const queue = new Queue();
  const socket = client.webSocketClient();
  fillQueue(socket, queue, options, client.canRenewToken);
  const abort = () => queue.fail(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted) abort();
  try {
    socket.subscribe(instanceId, { since: position });
    if (live && task !== undefined) socket.subscribeTask(task);
    socket.connect().catch((refusal) => queue.fail(makeRefusalError(refusal)));
    for await (const item of queue.items()) {
      yield item;
      if (task !== undefined && !follow && (await isEnd(client, task, item, signal))) return;
    }
  } finally {
    signal?.removeEventListener("abort", abort);
    socket.disconnect();
  }
}

/**
 * @param {Client} client @param {string} taskId @param {WatchItem} item @param {AbortSignal | undefined} signal
 * @returns {Promise<boolean>} whether the task is final after the item
 */
async function isEnd(client, taskId, item, signal) {
  if (item.type === "reset") return isFinal(await client.get(taskId, { signal }));
  return item.type === "task_update" && item.seq !== undefined && isFinal(item.data);
}

/** @param {TaskWebSocketClient} socket @param {Queue<WatchItem>} queue @param {WatchOptions} options @param {boolean} canRenew */
function fillQueue(socket, queue, { task, live = false, onState }, canRenew) {
  /** @param {string} taskId */
  const isWatched = (taskId) => task === undefined || task === taskId;
  socket.handleTaskUpdate = (event) => {
    if (isWatched(event.task_id) && (live || event.seq !== undefined)) queue.push(event);
  };
  socket.handleExecutionStep = (event) => {
    if (isWatched(event.task_id)) queue.push(event);
  };
  socket.handleStepOutput = (piece, { text }) => queue.push({ ...piece, type: "step_output", written: text });
  socket.handleSnapshot = (id, snapshot) => queue.push({ type: "reset", instance_id: id, snapshot });
  socket.handleRevoked = (id) => queue.fail(makeRefusalError({ code: "revoked", message: `no access to ${id} any more` }));
  socket.handleError = (refusal) => {
    const code = refusal.data?.code ?? refusal.code ?? "";
    const isTokenRefused = refusal.code === "connect_error" && code === "unauthenticated" && !canRenew;
    const isPermanent = PERMANENT.has(code) && refusal.retry_after_ms === undefined;
    if (isPermanent || isTokenRefused) queue.fail(makeRefusalError(refusal));
  };
  if (onState) socket.handleState = onState;
}

/**
 * Items that handlers add and an iterator takes.
 * @template Item
 */
class Queue {
  /** @type {Item[]} */
  #waiting = [];
  /** @type {{fault: unknown} | null} */
  #end = null;
  #wake = () => {};

  /** @param {Item} item */
  push(item) {
    this.#waiting.push(item);
    this.#wake();
  }

  /** End the iterator with an error, after the items before it. @param {unknown} fault */
  fail(fault) {
    this.#end ??= { fault };
    this.#wake();
  }

  /** @returns {AsyncGenerator<Item, void, undefined>} */
  async *items() {
    for (;;) {
      const taken = this.#waiting;
      this.#waiting = [];
      yield* taken;
      if (this.#waiting.length > 0) continue;
      if (this.#end) throw this.#end.fault;
      await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
    }
  }
}
