/**
 * Submits tasks and watches them: the REST API and Socket.IO in one client.
 *
 *     import { Client } from "swallowtail-client";
 *
 *     const client = new Client("http://localhost:8000");
 *     const { task } = await client.submit("echo", { message: "hello" }, { instance: "demo" });
 *     for await (const event of client.watch("demo", { task: task.id })) console.log(event);
 *
 * Results are the JSON of the API, with the types of wire.ts. Errors are the classes of errors.js.
 */

import { io as library } from "socket.io-client";

import { Deadline } from "./deadline.js";
import { NotFound, TimedOut } from "./errors.js";
import { watchInstance } from "./event_stream.js";
import { HttpConnection } from "./http_connection.js";
import { isFinal } from "./task_state.js";
import { TaskWebSocketClient } from "./task_websocket_client.js";

/** @typedef {import("./connection_keeper.js").SocketLibrary} SocketLibrary */
/** @typedef {import("./event_stream.js").WatchItem} WatchItem */
/** @typedef {import("./event_stream.js").WatchOptions} WatchOptions */
/** @typedef {import("./http_connection.js").RequestOptions} RequestOptions */
/** @typedef {import("./task_websocket_client.js").TokenSource} TokenSource */
/** @typedef {import("./wire.js").Agent} Agent */
/** @typedef {import("./wire.js").Position} Position */
/** @typedef {import("./wire.js").Step} Step */
/** @typedef {import("./wire.js").StepSummary} StepSummary */
/** @typedef {import("./wire.js").Submission} Submission */
/** @typedef {import("./wire.js").Task} Task */
/** @typedef {import("./wire.js").TaskEvent} TaskEvent */
/** @typedef {import("./wire.js").TaskStatus} TaskStatus */
/** @typedef {import("./wire.js").TaskSummary} TaskSummary */
/**
 * @typedef {object} ClientOptions
 * @property {TokenSource | undefined} [token] where callers must authenticate; a function is called again when the server
 *   refuses the token, and before it expires
 * @property {number} [timeout] milliseconds in which a response must come
 * @property {typeof globalThis.fetch} [fetch] in place of the global one
 * @property {SocketLibrary} [io] `io` of another version of socket.io-client
 * @property {object} [socket] further options of socket.io-client
 */
/** @typedef {{signal?: AbortSignal | undefined}} Endable */
/**
 * @typedef {object} SubmitOptions
 * @property {string} instance
 * @property {string | undefined} [title]
 * @property {string | undefined} [key] the same key again returns the first task; a random one when left out
 * @property {number | undefined} [expiresIn] seconds in which a worker must start it
 */
/**
 * @typedef {object} TaskFilters
 * @property {TaskStatus | undefined} [status]
 * @property {string | undefined} [kind]
 * @property {string | Date | undefined} [since] submitted at or after this time
 * @property {string | Date | undefined} [until] submitted before this time
 * @property {string | undefined} [text] a part of the title or the kind
 * @property {number | undefined} [limit] at most this many tasks
 */


const API = "/api/v1";

export class Client {
  #http;
  #options;

  /**
   * @param {string} [url] the server, with the path that it is served below; the page's own in a browser, else this machine's
   * @param {ClientOptions} [options]
   */
  constructor(url = globalThis.location?.origin ?? "http://localhost:8000", options = {}) {
    const { token, timeout = 30_000, fetch = globalThis.fetch } = options;
    this.#options = options;
    this.#http = new HttpConnection(readAddress(url), { token, timeout, fetch });
  }

  /** The server. */
  get url() {
    return this.#http.url;
  }

  /** Whether a token that the server refuses is replaced by another one. */
  get canRenewToken() {
    return typeof this.#options.token === "function";
  }

  /**
   * Submit a task. A response that was lost is asked for again, with the same key.
   * @param {string} kind
   * @param {unknown} input
   * @param {SubmitOptions & Endable} options
   * @returns {Promise<Submission>}
   */
  async submit(kind, input, { instance, title, key = randomKey(), expiresIn, signal }) {
    const json = { kind, input, title, expires_in: expiresIn };
    const sent = { json, headers: { "Idempotency-Key": key }, signal, repeatable: true };
    const { status, body } = await this.#http.send("POST", `${API}/instances/${quote(instance)}/tasks`, sent);
    return readSubmission(body, status === 201);
  }

  /** @param {string} taskId @param {Endable} [options] @returns {Promise<Task>} */
  get(taskId, options) {
    return this.request("GET", `${API}/tasks/${quote(taskId)}`, options);
  }

  /** @param {string} taskId @param {Endable} [options] @returns {Promise<StepSummary[]>} without outputs */
  async steps(taskId, options) {
    return (await this.request("GET", `${API}/tasks/${quote(taskId)}/steps`, options)).items;
  }

  /** @param {string} taskId @param {string} stepId @param {Endable} [options] @returns {Promise<Step>} */
  step(taskId, stepId, options) {
    return this.request("GET", `${API}/tasks/${quote(taskId)}/steps/${quote(stepId)}`, options);
  }

  /**
   * The tasks of an instance, the latest first, without inputs and results.
   * @param {string} instanceId
   * @param {TaskFilters & Endable} [options]
   * @returns {AsyncGenerator<TaskSummary, void, undefined>}
   */
  async *tasks(instanceId, { limit = Infinity, since, until, signal, ...filters } = {}) {
    let left = limit;
    if (left <= 0) return;
    const times = { since: since && new Date(since).toISOString(), until: until && new Date(until).toISOString() };
    for await (const task of this.pages(`${API}/instances/${quote(instanceId)}/tasks`, { ...filters, ...times }, { signal })) {
      yield task;
      if (--left <= 0) return;
    }
  }

  /**
   * Wait until a task is final.
   * @param {string} taskId
   * @param {{timeout?: number | undefined} & Endable} [options] `timeout` in milliseconds; TimedOut is thrown after it
   * @returns {Promise<Task>} with its result
   */
  async wait(taskId, { timeout, signal } = {}) {
    const deadline = new Deadline(timeout, signal);
    const { signal: ended } = deadline;
    try {
      for (;;) {
        const task = await this.get(taskId, { signal: ended });
        if (isFinal(task)) return task;
        const watched = this.watch(task.instance_id, { task: taskId, since: task.last_seq, signal: ended });
        // It ends when the task is final, also where events are missing.
        for await (const _ of watched);
      }
    } catch (fault) {
      if (deadline.isLate) throw new TimedOut(`task ${taskId} is not finished after ${timeout} ms`);
      throw fault;
    } finally {
      deadline.clear();
    }
  }

  /** @param {string} taskId @param {Endable} [options] @returns {Promise<Submission>} */
  async cancel(taskId, options) {
    const { body } = await this.#http.send("POST", `${API}/tasks/${quote(taskId)}/cancel`, { ...options, repeatable: true });
    return readSubmission(body, false);
  }

  /**
   * Start another attempt of a task that failed, was cancelled or expired.
   * @param {string} taskId
   * @param {{fromStep?: string | undefined} & Endable} [options] `fromStep`: the key of the first step to repeat
   * @returns {Promise<Submission>}
   */
  async retry(taskId, { fromStep, signal } = {}) {
    const json = fromStep === undefined ? {} : { from_step: fromStep };
    return readSubmission(await this.request("POST", `${API}/tasks/${quote(taskId)}/retry`, { json, signal }), false);
  }

  /**
   * The stored events after `since`, in order, up to the latest.
   * @param {string} instanceId
   * @param {number | Position} [since]
   * @param {{task?: string | undefined} & Endable} [options] `task`: the events of this task only
   * @returns {AsyncGenerator<TaskEvent, Position, undefined>} returns the position after the last event
   */
  async *events(instanceId, since = 0, { task, signal } = {}) {
    let { epoch, seq } = typeof since === "number" ? { epoch: undefined, seq: since } : since;
    for (;;) {
      const params = { since: seq, epoch, task_id: task };
      const page = await this.request("GET", `${API}/instances/${quote(instanceId)}/events`, { params, signal });
      yield* page.items;
      ({ epoch, next_since: seq } = page);
      if (seq >= page.head) return { epoch: page.epoch, seq };
    }
  }

  /**
   * Watch an instance: each event once and in order, also through lost connections.
   *
   * Yields the events after `since`, else those from now on. With `task`, it yields this task's events, from its first
   * one unless `since` names another, and ends when the task is final.
   * @param {string} instanceId
   * @param {WatchOptions} [options]
   * @returns {AsyncGenerator<WatchItem, void, undefined>}
   */
  watch(instanceId, options = {}) {
    return watchInstance(this, instanceId, options);
  }

  /** @param {Endable} [options] @returns {Promise<Agent[]>} */
  async agents(options) {
    return (await this.request("GET", `${API}/agents`, options)).items;
  }

  /** @param {string} kind @param {Endable} [options] @returns {Promise<Agent>} */
  async agent(kind, options) {
    const agent = (await this.agents(options)).find((each) => each.kind === kind);
    if (agent) return agent;
    throw new NotFound({ status: 404, code: "not_found", detail: `there is no agent of the kind ${kind}`, field: "kind" });
  }

  /**
   * Send any other request.
   * @param {string} method
   * @param {string} path such as `/api/v1/instances`
   * @param {RequestOptions} [options]
   * @returns {Promise<any>} the JSON of the response
   */
  async request(method, path, options) {
    return (await this.#http.send(method, path, options)).body;
  }

  /**
   * The items of a list that comes in pages.
   * @param {string} path such as `/api/v1/instances`
   * @param {RequestOptions["params"]} [params]
   * @param {Endable} [options]
   * @returns {AsyncGenerator<any, void, undefined>}
   */
  async *pages(path, params = {}, options = {}) {
    /** @type {string | null} */
    let cursor = null;
    do {
      /** @type {{items: any[], next_cursor: string | null}} */
      const page = await this.request("GET", path, { ...options, params: { ...params, cursor } });
      yield* page.items;
      cursor = page.next_cursor;
    } while (cursor !== null);
  }

  /** @returns {TaskWebSocketClient} with this client's server and token, not connected yet */
  webSocketClient() {
    const { token, io = library, socket = {} } = this.#options;
    const { origin, pathname } = new URL(this.url);
    const path = `${pathname.replace(/\/$/, "")}/socket.io`;
    return new TaskWebSocketClient(origin, { io, token, socket: { path, ...socket } });
  }
}

const quote = encodeURIComponent;

/** @param {string} url relative to the page in a browser @returns {string} */
function readAddress(url) {
  const address = new URL(url, globalThis.location?.href);
  if (!/^https?:$/.test(address.protocol)) throw new TypeError(`${url} is not the URL of a server, such as http://localhost:8000`);
  address.search = address.hash = "";
  return address.href;
}

/** @param {any} body @param {boolean} created @returns {Submission} */
function readSubmission({ task, seq, epoch, warnings = [] }, created) {
  return { task, seq, epoch, created, warnings };
}

/** `crypto.randomUUID` is missing on pages without TLS. @returns {string} */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
