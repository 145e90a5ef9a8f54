/** What hooks show: state that a watched task or instance changes, shared by the components that show it. */

import { sleep } from "./deadline.js";
import { ApiError, ConnectionFailed, TimedOut, TooFast } from "./errors.js";
import { NO_POSITION } from "./log_position.js";
import { applyEvent, taskOf } from "./task_state.js";

/** @typedef {import("./client.js").Client} Client */
/** @typedef {import("./event_stream.js").WatchItem} WatchItem */
/** @typedef {import("./task_websocket_client.js").ClientState} ClientState */
/** @typedef {import("./wire.js").LiveUpdate} LiveUpdate */
/** @typedef {import("./wire.js").StepSummary} StepSummary */
/** @typedef {import("./wire.js").Task} Task */
/** @typedef {import("./wire.js").TaskEvent} TaskEvent */
/** @typedef {import("./wire.js").TaskState} TaskState */
/** @typedef {TaskState & {steps: StepSummary[]}} ListedTask */
/**
 * @typedef {object} Connection
 * @property {ClientState} connection
 * @property {Error | null} error why nothing is shown, or nothing new; a lost connection is tried again
 */
/**
 * @typedef {object} TaskParts
 * @property {Task | null} task null until it is read
 * @property {StepSummary[]} steps in the order of their first starts
 * @property {TaskEvent[]} events the latest thousand
 * @property {Record<string, string>} texts by step: the text that a step in progress has written
 */
/**
 * @typedef {object} InstanceParts
 * @property {ListedTask[]} tasks the latest thousand, the latest first
 * @property {TaskEvent[]} events those since the component was mounted, the latest thousand
 * @property {boolean} complete whether `tasks` are all tasks of the instance
 */
/** @typedef {Readonly<TaskParts & Connection>} TaskView */
/** @typedef {Readonly<InstanceParts & Connection>} InstanceView */

const MOST_EVENTS = 1000;
const MOST_TASKS = 1000;
/** Milliseconds before a server that could not be reached is asked again. */
const PAUSE = 2000;
/** Milliseconds in which a component that is rendered is mounted; on a server, none is. */
const MOUNTED_WITHIN = 60_000;

/** @type {WeakMap<Client, Map<string, Feed<any>>>} the feeds that components show */
const shared = new WeakMap();

/**
 * @template State
 * @param {Client} client
 * @param {string} name
 * @param {() => Feed<State>} make
 * @returns {Feed<State>} the one of this client with this name
 */
export function shareFeed(client, name, make) {
  const feeds = shared.get(client) ?? new Map();
  shared.set(client, feeds);
  const known = feeds.get(name);
  if (known) return known;
  const feed = make();
  feeds.set(name, feed);
  feed.onStart = () => feeds.has(name) || feeds.set(name, feed);
  feed.onIdle = () => feeds.get(name) === feed && feeds.delete(name);
  /** @type {any} */
  const timer = setTimeout(() => feed.isShown || feed.onIdle(), MOUNTED_WITHIN);
  timer.unref?.();
  return feed;
}

/**
 * State that calls listeners at each change, and that changes while there are any.
 * @template State
 */
export class Feed {
  /** @type {State & Connection} */
  #state;
  #first;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {AbortController | null} */
  #running = null;
  /** @type {any} */
  #timer;
  /** @type {() => void} called when the first component is mounted */
  onStart = () => {};
  /** @type {() => void} called when no component is mounted any more */
  onIdle = () => {};

  /** @param {State} state */
  constructor(state) {
    this.#state = { ...state, connection: "offline", error: null };
    this.#first = this.#state;
  }

  /** Whether a component is mounted. */
  get isShown() {
    return this.#listeners.size > 0;
  }

  /** The present state: the same object until it changes. @returns {State & Connection} */
  read = () => this.#state;

  /** The state before anything is read: what a server renders. @returns {State & Connection} */
  readFirst = () => this.#first;

  /** @param {() => void} listener @returns {() => void} ends the subscription */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    this.#running ??= this.#start();
    return () => {
      this.#listeners.delete(listener);
      // A component that is mounted again at once, as in StrictMode, keeps the connection.
      setTimeout(() => this.isShown || this.#stop());
    };
  };

  /**
   * Show the state, and change it until the signal ends it.
   * @param {AbortSignal} _signal
   * @returns {Promise<void>}
   */
  async run(_signal) {}

  /** @param {Partial<State & Connection>} change */
  change(change) {
    this.#state = { ...this.#state, ...change };
    // Many events that arrive together cause one rendering.
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      for (const listener of this.#listeners) listener();
    });
  }

  #start() {
    this.onStart();
    const running = new AbortController();
    void this.#repeat(running.signal);
    return running;
  }

  #stop() {
    this.#running?.abort();
    this.#running = null;
    this.onIdle();
  }

  /** @param {AbortSignal} signal */
  async #repeat(signal) {
    while (!signal.aborted) {
      try {
        return await this.run(signal);
      } catch (/** @type {any} */ error) {
        if (signal.aborted) return;
        this.change(/** @type {any} */ ({ connection: "offline", error }));
        if (!isPassing(error)) return;
        const pause = Math.max(PAUSE, (error.retryAfter ?? 0) * 1000);
        await sleep(pause, signal).catch(() => {});
      }
    }
  }
}

/** One task. @extends {Feed<TaskParts>} */
export class TaskFeed extends Feed {
  #client;
  #taskId;

  /** @param {Client} client @param {string} taskId */
  constructor(client, taskId) {
    super({ task: null, steps: [], events: [], texts: {} });
    this.#client = client;
    this.#taskId = taskId;
  }

  /** @override @param {AbortSignal} signal */
  async run(signal) {
    const instanceId = await this.#load(signal);
    this.change({ events: [], texts: {} });
    const onState = /** @param {ClientState} connection */ (connection) => this.change({ connection });
    const options = { task: this.#taskId, live: true, follow: true, signal, onState };
    for await (const item of this.#client.watch(instanceId, options)) {
      if (item.type === "reset") await this.#load(signal);
      else if (item.type === "step_output") this.#receiveText(item);
      else this.#apply(item);
    }
  }

  /** @param {AbortSignal} signal @returns {Promise<string>} the task's instance */
  async #load(signal) {
    const task = await this.#client.get(this.#taskId, { signal });
    const steps = await this.#client.steps(this.#taskId, { signal });
    this.change({ task, steps, error: null });
    return task.instance_id;
  }

  /** @param {TaskEvent | LiveUpdate} event */
  #apply(event) {
    const { task: before, steps: stepsBefore, events } = this.read();
    if (event.seq !== undefined) this.change({ events: withLatest(events, event) });
    if (event.type === "execution_step" && event.data.status !== "in_progress") this.#write(event.data.step_id, null);
    if (before === null) return;
    const { steps, ...task } = applyEvent({ ...before, steps: stepsBefore }, event);
    this.change({ task, steps });
  }

  /** @param {import("./wire.js").WrittenText} piece */
  #receiveText({ step_id: stepId, attempt, written }) {
    const step = this.read().steps.find((each) => each.step_id === stepId);
    // Its last piece may arrive after the event with its output.
    if (step && step.status !== "in_progress" && step.attempt >= attempt) return;
    this.#write(stepId, written);
  }

  /** @param {string} stepId @param {string | null} text null: the step has ended, and its event has its output */
  #write(stepId, text) {
    const { [stepId]: _, ...texts } = this.read().texts;
    this.change({ texts: text === null ? texts : { ...texts, [stepId]: text } });
  }
}

/** The tasks of one instance. @extends {Feed<InstanceParts>} */
export class InstanceFeed extends Feed {
  #client;
  #instanceId;

  /** @param {Client} client @param {string} instanceId */
  constructor(client, instanceId) {
    super({ tasks: [], events: [], complete: false });
    this.#client = client;
    this.#instanceId = instanceId;
  }

  /** @override @param {AbortSignal} signal */
  async run(signal) {
    await this.#client.request("GET", `/api/v1/instances/${encodeURIComponent(this.#instanceId)}`, { signal });
    this.change({ error: null });
    const onState = /** @param {ClientState} connection */ (connection) => this.change({ connection });
    for await (const item of this.#client.watch(this.#instanceId, { since: NO_POSITION, live: true, signal, onState })) {
      if (item.type === "reset") this.change({ tasks: item.snapshot.tasks, complete: item.snapshot.complete });
      else if (item.type !== "step_output") this.#apply(item);
    }
  }

  /** @param {TaskEvent | LiveUpdate} event */
  #apply(event) {
    const { tasks, events, complete } = this.read();
    if (event.seq !== undefined) this.change({ events: withLatest(events, event) });
    const place = tasks.findIndex(({ id }) => id === event.task_id);
    const before = tasks[place];
    if (before) return this.change({ tasks: tasks.with(place, applyEvent(before, event)) });
    const added = taskOf(event);
    if (!added) return;
    const all = [{ ...added, steps: [] }, ...tasks];
    this.change({ tasks: all.slice(0, MOST_TASKS), complete: complete && all.length <= MOST_TASKS });
  }
}

/** @param {TaskEvent[]} events @param {TaskEvent} event @returns {TaskEvent[]} with the event, without the oldest of too many */
function withLatest(events, event) {
  return [...events.slice(1 - MOST_EVENTS), event];
}

/** @param {unknown} error @returns {boolean} whether the same request may succeed later */
function isPassing(error) {
  if (error instanceof ApiError) return error.status >= 500 || error instanceof TooFast;
  return error instanceof ConnectionFailed || error instanceof TimedOut;
}
