/**
 * Watches the tasks of instances over Socket.IO without missing an event when the connection is lost.
 *
 *     import { io } from "socket.io-client";
 *     import { TaskWebSocketClient } from "./task_websocket_client.js";
 *
 *     const client = new TaskWebSocketClient("http://localhost:8000", { io });
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

/** @typedef {import("./log_position.js").Since} Since */
/** @typedef {"offline" | "catching_up" | "live"} ClientState */

/** Milliseconds. */
const DEFAULTS = Object.freeze({ answerWithin: 10_000, retryAfter: 100, retryAtMost: 5_000 });
/** Messages about an instance. */
const ABOUT_INSTANCES = ["task_update", "execution_step", "subscribed", "head", "skip", "reset"];

export class TaskWebSocketClient {
  #keeper;
  #book;
  /** @type {Set<{instanceId: string, seq: number, resolve: Function, reject: Function}>} */
  #waiting = new Set();

  /** @type {ClientState} */
  state = "offline";

  /**
   * @param {string} [url] the server; the page's own when left out
   * @param {object} [options]
   * @param {Function} [options.io] `io` of socket.io-client; the page's global one when left out
   * @param {string | (() => string | Promise<string>)} [options.token] what to show; a function is called for it at every
   *   connection, and for another one before the one shown expires
   * @param {object} [options.auth] credentials for the handshake, where they are more than a token
   * @param {object} [options.socket] further options of socket.io-client; `transports` is websocket alone by default
   * @param {object} [options.times] milliseconds: `answerWithin`, `retryAfter`, `retryAtMost`
   */
  constructor(url = undefined, { io = globalThis.io, token, auth, socket = {}, times = {} } = {}) {
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
   * @returns {Promise<void>} resolved at the first connection; rejected when the server refuses this client
   */
  connect() {
    const aboutInstances = ABOUT_INSTANCES.map((name) => [name, (payload) => this.#book.receive(name, payload)]);
    return this.#keeper.open({
      connected: (payload) => this.#notify("handleConnected", payload),
      unsubscribed: (payload) => this.#notify("handleUnsubscribed", payload.instance_id),
      error: (error) => this.#notify("handleError", error),
      step_output: (piece) => this.#book.receiveText(piece),
      token_expiring: ({ expires_at: expiresAt }) => {
        this.#notify("handleTokenExpiring", expiresAt);
        this.#keeper.renewToken();
      },
      ...Object.fromEntries(aboutInstances),
    });
  }

  /**
   * Watch an instance: from now on; or after `since`; or, with `snapshot`, from its present state, which
   * `handleSnapshot` receives first.
   * @param {string} instanceId
   * @param {{since?: Since | null, snapshot?: boolean}} [from]
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

  /** The server accepted a subscription. @param {string} instanceId @param {object} answer the server's answer */
  handleSubscribed(instanceId, answer) {}

  /** @param {string} instanceId */
  handleUnsubscribed(instanceId) {}

  /** A task changed its status or made progress. @param {object} event `{instance_id, task_id, type, data, …}` */
  handleTaskUpdate(event) {}

  /** A step started or ended. @param {object} event `{instance_id, task_id, type, data, …}` */
  handleExecutionStep(event) {}

  /** A step streamed text. @param {object} piece @param {{text: string, start: number}} stream the text so far */
  handleStepOutput(piece, stream) {}

  /**
   * Replace everything known about the instance by its present state. It holds no inputs, results and outputs: read them
   * from `/api/v1/tasks/<id>` and `/api/v1/tasks/<id>/steps/<step_id>`.
   * @param {string} instanceId @param {object} snapshot
   */
  handleSnapshot(instanceId, snapshot) {}

  /** The server sends no more events of this instance to this client. @param {string} instanceId @param {string} reason */
  handleRevoked(instanceId, reason) {}

  /** The token expires soon. The client calls its token function for another one. @param {string} expiresAt */
  handleTokenExpiring(expiresAt) {}

  /** The server refused a request. @param {{code?: string, message: string}} error */
  handleError(error) {}

  /** Connection and subscriptions together are offline, catching up or live. @param {ClientState} state */
  handleState(state) {}

  // --- Private --------------------------------------------------------------------------------------------------------

  #opened() {
    this.#book.subscribeAll();
    this.#settle();
  }

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

  /** Call a handler. An exception in it is reported as uncaught, and does not stop later events. */
  #notify(handler, ...details) {
    try {
      this[handler](...details);
    } catch (fault) {
      setTimeout(() => {
        throw fault;
      });
    }
  }
}
