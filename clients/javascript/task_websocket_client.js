/**
 * Watches the tasks of instances over Socket.IO without missing an event when the connection is lost.
 *
 *     import { TaskWebSocketClient } from "swallowtail-client";
 *
 *     const client = new TaskWebSocketClient("http://localhost:8000");
 *     client.handleTaskUpdate = (event) => console.log(event.task_id, event.data.status, event.data.progress);
 *     client.handleExecutionStep = (event) => console.log(event.data.agent, event.data.action, event.data.status);
 *     await client.connect();
 *     client.subscribe("demo");
 *
 * Override the `handle…` methods, in a subclass or on the object. Each numbered event reaches them once and in order;
 * after a lost connection the client subscribes again from the last number that it applied. A server without numbers
 * (section 1 of docs/protocol.md) works too, without that guarantee.
 */

import { ConnectionKeeper } from "./connection_keeper.js";
import { LogPosition } from "./log_position.js";
import { SubscriptionBook } from "./subscription_book.js";

/** @typedef {import("./connection_keeper.js").SocketLibrary} SocketLibrary */
/** @typedef {import("./log_position.js").Since} Since */
/** @typedef {import("./wire.js").Answer} Answer */
/** @typedef {import("./wire.js").ExecutionStep} ExecutionStep */
/** @typedef {import("./wire.js").LiveUpdate} LiveUpdate */
/** @typedef {import("./wire.js").Refusal} Refusal */
/** @typedef {import("./wire.js").Snapshot} Snapshot */
/** @typedef {import("./wire.js").StepOutput} StepOutput */
/** @typedef {import("./wire.js").StepText} StepText */
/** @typedef {import("./wire.js").TaskUpdate} TaskUpdate */
/** @typedef {"offline" | "catching_up" | "live"} ClientState */
/** @typedef {string | (() => string | Promise<string>)} TokenSource a token, or a function that returns one */
/** @typedef {{answerWithin: number, retryAfter: number, retryAtMost: number}} Times milliseconds */
/**
 * @typedef {object} SocketOptions
 * @property {SocketLibrary} [io] `io` of socket.io-client; the page's global one when left out
 * @property {TokenSource | undefined} [token] what to show; a function is called for it at every connection, and for another
 *   one before the one shown expires
 * @property {object | ((show: (auth: object) => void) => void) | undefined} [auth] credentials for the handshake, where they
 *   are more than a token
 * @property {object} [socket] further options of socket.io-client; `transports` is websocket alone by default
 * @property {Partial<Times>} [times]
 */

/** Milliseconds. */
const DEFAULTS = Object.freeze({ answerWithin: 10_000, retryAfter: 100, retryAtMost: 5_000 });
/** Messages about an instance. */
const ABOUT_INSTANCES = ["task_update", "execution_step", "subscribed", "head", "skip", "reset"];

export class TaskWebSocketClient {
  #keeper;
  #book;
  /** @type {Set<{instanceId: string, seq: number, resolve: () => void, reject: (fault: Error) => void}>} */
  #waiting = new Set();

  /** @type {ClientState} */
  state = "offline";

  /**
   * @param {string} [url] the server; the page's own when left out
   * @param {SocketOptions} [options]
   */
  constructor(url = undefined, { io = /** @type {any} */ (globalThis).io, token, auth, socket = {}, times = {} } = {}) {
    if (typeof io !== "function") throw new TypeError("pass { io } from socket.io-client, or load its script first");
    const allTimes = { ...DEFAULTS, ...times };
    this.#keeper = new ConnectionKeeper(url, { io, token, auth, socket }, allTimes, {
      opened: () => this.#opened(),
      lost: (reason) => this.#lost(reason),
      refused: (error) => this.#notify("handleError", error),
    });
    this.#book = new SubscriptionBook(
      allTimes,
      (...message) => this.#keeper.emit(...message),
      (...call) => this.#notify(...call),
      () => this.#settle(),
    );
  }

  // --- Methods to call ------------------------------------------------------------------------------------------------

  /**
   * Connect, and keep connecting after every loss until `disconnect`.
   * @returns {Promise<void>} resolved at the first connection; rejected when the server refuses this client for good, and by
   *   `disconnect`
   */
  connect() {
    /** @param {string} name @returns {[string, (payload: any) => void]} */
    const pass = (name) => [name, (payload) => this.#book.receive(name, payload)];
    return this.#keeper.open({
      connected: (payload) => this.#notify("handleConnected", payload),
      unsubscribed: (payload) => this.#notify("handleUnsubscribed", payload.instance_id),
      error: (error) => this.#notify("handleError", error),
      step_output: (piece) => this.#book.receiveText(piece),
      token_expiring: ({ expires_at: expiresAt }) => {
        this.#notify("handleTokenExpiring", expiresAt);
        this.#keeper.renewToken();
      },
      ...Object.fromEntries(ABOUT_INSTANCES.map(pass)),
    });
  }

  /**
   * Watch an instance: from now on; or after `since`; or, with `snapshot`, from its present state, which
   * `handleSnapshot` receives first.
   * @param {string} instanceId
   * @param {{since?: Since | null | undefined, snapshot?: boolean}} [from]
   */
  subscribe(instanceId, { since = null, snapshot = false } = {}) {
    this.#book.add(instanceId, new LogPosition(since, snapshot));
  }

  /** Stop watching an instance. @param {string} instanceId */
  unsubscribe(instanceId) {
    this.#book.remove(instanceId);
  }

  /** Watch the text that a task's running steps stream. @param {string} taskId */
  subscribeTask(taskId) {
    this.#book.addTask(taskId);
  }

  /** Stop watching a task's text. @param {string} taskId */
  unsubscribeTask(taskId) {
    this.#book.removeTask(taskId);
  }

  /** Close the connection permanently. Subscriptions are kept for another `connect`. */
  disconnect() {
    this.#keeper.close();
    this.#book.suspend();
    this.#settle();
  }

  /** @param {string} instanceId @returns {Since | null} the last event applied, to continue from in another process */
  position(instanceId) {
    return this.#book.position(instanceId);
  }

  /**
   * Wait until an event has been applied, such as the one an HTTP write answered with.
   * @param {string} instanceId
   * @param {number} seq
   * @returns {Promise<void>} rejected when the subscription ends first
   */
  waitFor(instanceId, seq) {
    return new Promise((resolve, reject) => {
      this.#waiting.add({ instanceId, seq, resolve, reject });
      this.#settle();
    });
  }

  // --- Methods to override --------------------------------------------------------------------------------------

  /** The server confirmed the connection. @param {object} payload */
  handleConnected(payload) {}

  /** The connection is lost; the client reconnects automatically unless `disconnect` was called. @param {string} reason */
  handleDisconnected(reason) {}

  /** The server accepted a subscription. @param {string} instanceId @param {Answer} answer */
  handleSubscribed(instanceId, answer) {}

  /** @param {string} instanceId */
  handleUnsubscribed(instanceId) {}

  /** A task changed its status or made progress. @param {TaskUpdate | LiveUpdate} event */
  handleTaskUpdate(event) {}

  /** A step started or ended. @param {ExecutionStep} event */
  handleExecutionStep(event) {}

  /** A step streamed text. @param {StepOutput} piece @param {StepText} stream the text so far */
  handleStepOutput(piece, stream) {}

  /**
   * Replace everything known about the instance by its present state. It holds no inputs, results and outputs: read them
   * from `/api/v1/tasks/<id>` and `/api/v1/tasks/<id>/steps/<step_id>`.
   * @param {string} instanceId @param {Snapshot} snapshot
   */
  handleSnapshot(instanceId, snapshot) {}

  /** The server sends no more events of this instance to this client. @param {string} instanceId @param {string} reason */
  handleRevoked(instanceId, reason) {}

  /** The token expires soon. The client calls its token function for another one. @param {string} expiresAt */
  handleTokenExpiring(expiresAt) {}

  /** The server refused a request. @param {Refusal} error */
  handleError(error) {}

  /** Connection and subscriptions together are offline, catching up or live. @param {ClientState} state */
  handleState(state) {}

  // --- Private --------------------------------------------------------------------------------------------------------

  #opened() {
    this.#book.subscribeAll();
    this.#settle();
  }

  /** @param {string} reason */
  #lost(reason) {
    this.#book.suspend();
    this.#settle();
    this.#notify("handleDisconnected", reason);
  }

  /** Settle promises of `waitFor`, and pass a new state to its handler. */
  #settle() {
    for (const waiter of this.#waiting) {
      const isSubscribed = this.#book.has(waiter.instanceId);
      if (isSubscribed && (this.#book.position(waiter.instanceId)?.seq ?? -1) < waiter.seq) continue;
      this.#waiting.delete(waiter);
      if (isSubscribed) waiter.resolve();
      else waiter.reject(new Error(`there is no subscription to ${waiter.instanceId}`));
    }
    const caughtUp = this.#book.isSettled ? "live" : "catching_up";
    const state = this.#keeper.isConnected ? caughtUp : "offline";
    if (state === this.state) return;
    this.state = state;
    this.#notify("handleState", state);
  }

  /**
   * Call a handler. An exception in it is reported as uncaught, and does not stop later events.
   * @param {string} handler
   * @param {any[]} details
   */
  #notify(handler, ...details) {
    try {
      /** @type {any} */ (this)[handler](...details);
    } catch (fault) {
      setTimeout(() => {
        throw fault;
      });
    }
  }
}
