/**
 * Watches the tasks of instances over Socket.IO and misses nothing, whatever happens to the connection.
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
 * after a lost connection the client subscribes again from the last number it applied. A server that numbers nothing
 * (section 1 of docs/protocol.md) works too, without that promise.
 */

import { LogPosition, StepTexts } from "./log_position.js";

/** @typedef {import("./log_position.js").Since} Since */
/** @typedef {"offline" | "catching_up" | "live"} ClientState */

/** Milliseconds. */
const DEFAULTS = Object.freeze({ answerWithin: 10_000, retryAfter: 100, retryAtMost: 5_000 });
/** A pause is this much shorter or longer than it should be. */
const EARLIEST = 0.75;
const LATEST = 1.25;
/** Refusals that may pass by themselves. */
const PASSING = new Set(["unavailable", "busy", "error"]);

export class TaskWebSocketClient {
  #url;
  #io;
  #options;
  #token;
  #wasLetIn = false;
  #times;
  #socket = null;
  /** @type {Map<string, {position: LogPosition, request: number, pause: number, timer: any, confirmed: boolean}>} */
  #subscriptions = new Map();
  #tasks = new Set();
  #texts = new StepTexts();
  #waiting = new Set();
  #requests = 0;
  #comeback;

  /** @type {ClientState} */
  state = "offline";

  /**
   * @param {string} [url] the server; the page's own when left out
   * @param {object} [options]
   * @param {Function} [options.io] `io` of socket.io-client; the page's global one when left out
   * @param {string | (() => string | Promise<string>)} [options.token] what to show; a function is asked for it at every
   *   connection, and for another one before the one shown expires
   * @param {object} [options.auth] credentials for the handshake, where they are more than a token
   * @param {object} [options.socket] further options of socket.io-client; `transports` is websocket alone by default
   * @param {object} [options.times] milliseconds: `answerWithin`, `retryAfter`, `retryAtMost`
   */
  constructor(url = undefined, { io = globalThis.io, token, auth, socket = {}, times = {} } = {}) {
    if (typeof io !== "function") throw new TypeError("pass { io } from socket.io-client, or load its script first");
    this.#url = url;
    this.#io = io;
    this.#token = token;
    const shown = token === undefined ? auth : (tell) => this.#present().then(tell);
    const own = { transports: ["websocket"], upgrade: false, forceNew: true };
    this.#options = { ...own, ...(shown && { auth: shown }), ...socket };
    this.#times = { ...DEFAULTS, ...times };
  }

  // --- What a caller does -------------------------------------------------------------------------------------------

  /**
   * Connect, and keep connecting after every loss until `disconnect`.
   * @returns {Promise<void>} resolved at the first connection; rejected when the server refuses this client
   */
  connect() {
    if (this.#socket) throw new Error("this client is connected already");
    const socket = this.#io(this.#url, { ...this.#options, autoConnect: false });
    this.#socket = socket;
    const listen = (name, handler) => socket.on(name, (payload) => this.#socket === socket && handler(payload ?? {}));
    listen("connect", () => this.#welcome());
    listen("disconnect", (reason) => this.#lost(reason));
    listen("connect_error", (fault) => this.#notConnected(fault));
    listen("connected", (payload) => this.handleConnected(payload));
    listen("subscribed", (payload) => this.#confirmed(payload));
    listen("unsubscribed", (payload) => this.handleUnsubscribed(payload.instance_id));
    listen("task_update", (event) => this.#take(event));
    listen("execution_step", (event) => this.#take(event));
    listen("step_output", (piece) => this.#takeText(piece));
    listen("head", (head) => this.#takeHead(head));
    listen("reset", (reset) => this.#takeReset(reset));
    listen("skip", (skip) => this.#takeSkip(skip));
    listen("token_expiring", (news) => this.#refresh(news));
    listen("restarting", (news) => this.#stepAside(news));
    listen("error", (error) => this.handleError(error));
    return new Promise((resolve, reject) => {
      socket.once("connect", () => resolve());
      // A refusal by the server, unlike an unreachable one, is not tried again by socket.io-client.
      socket.on("connect_error", (fault) => socket.active || reject(fault));
      socket.connect();
    });
  }

  /**
   * Watch an instance: from now on; or after `since`; or, with `snapshot`, from its present state, which
   * `handleSnapshot` receives first.
   * @param {string} instanceId
   * @param {{since?: Since | null, snapshot?: boolean}} [from]
   */
  subscribe(instanceId, { since = null, snapshot = false } = {}) {
    this.#drop(instanceId);
    const position = new LogPosition(since, snapshot);
    this.#subscriptions.set(instanceId, { position, request: 0, pause: 0, timer: null, confirmed: false });
    this.#ask(instanceId);
  }

  /** Stop watching an instance. @param {string} instanceId */
  unsubscribe(instanceId) {
    if (!this.#drop(instanceId)) return;
    if (this.#socket?.connected) this.#socket.emit("unsubscribe_instance", { instance_id: instanceId });
    this.#settle();
  }

  /** Watch the text that a task's running steps stream. @param {string} taskId */
  subscribeTask(taskId) {
    this.#tasks.add(taskId);
    if (this.#socket?.connected) this.#socket.emit("subscribe_task", { task_id: taskId });
  }

  /** Stop watching a task's text. @param {string} taskId */
  unsubscribeTask(taskId) {
    if (this.#tasks.delete(taskId) && this.#socket?.connected) {
      this.#socket.emit("unsubscribe_task", { task_id: taskId });
    }
  }

  /** Close the connection for good. Subscriptions are kept for another `connect`. */
  disconnect() {
    const socket = this.#socket;
    clearTimeout(this.#comeback);
    this.#socket = null;
    socket?.disconnect();
    this.#silence();
    this.#settle();
  }

  /** @param {string} instanceId @returns {Since | null} the last event applied, to continue from in another process */
  position(instanceId) {
    return this.#subscriptions.get(instanceId)?.position.last ?? null;
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

  // --- What a subclass overrides --------------------------------------------------------------------------------------

  /** The server greeted us. @param {object} payload */
  handleConnected(payload) {}

  /** The connection is gone; it comes back by itself unless `disconnect` was called. @param {string} reason */
  handleDisconnected(reason) {}

  /** A subscription stands. @param {string} instanceId @param {object} answer the server's answer */
  handleSubscribed(instanceId, answer) {}

  /** @param {string} instanceId */
  handleUnsubscribed(instanceId) {}

  /** A task changed its status or made progress. @param {object} event `{instance_id, task_id, type, data, …}` */
  handleTaskUpdate(event) {}

  /** A step started or ended. @param {object} event `{instance_id, task_id, type, data, …}` */
  handleExecutionStep(event) {}

  /** A step streamed text. @param {object} piece @param {{text: string, start: number}} stream all that is known of it */
  handleStepOutput(piece, stream) {}

  /**
   * Forget what was known of the instance: this is its present state, in outline. Inputs, results and outputs are not in
   * it: ask for `/api/v1/tasks/<id>` or `/api/v1/tasks/<id>/steps/<step_id>`.
   * @param {string} instanceId @param {object} snapshot
   */
  handleSnapshot(instanceId, snapshot) {}

  /** The server will not send this instance to us any more. @param {string} instanceId @param {string} reason */
  handleRevoked(instanceId, reason) {}

  /** The token expires soon. A function given as `token` is asked for another one. @param {string} expiresAt */
  handleTokenExpiring(expiresAt) {}

  /** Something was refused. @param {{code?: string, message: string}} error */
  handleError(error) {}

  /** Connection and subscriptions together are offline, catching up or live. @param {ClientState} state */
  handleState(state) {}

  // --- The connection -------------------------------------------------------------------------------------------------

  #welcome() {
    this.#wasLetIn = true;
    for (const taskId of this.#tasks) this.#socket.emit("subscribe_task", { task_id: taskId });
    for (const instanceId of this.#subscriptions.keys()) this.#ask(instanceId);
    this.#settle();
  }

  #lost(reason) {
    this.#silence();
    this.#settle();
    this.#tell("handleDisconnected", reason);
    // A server that closes the connection itself (it restarts) is not tried again by socket.io-client.
    if (reason === "io server disconnect") this.#comeBack();
  }

  /** The server is about to end, and gives each client a moment of its own to come back at. */
  #stepAside({ retry_after_ms: pause }) {
    const socket = this.#socket;
    // Closing it ourselves keeps socket.io-client from coming back at a moment of its own.
    socket.disconnect();
    clearTimeout(this.#comeback);
    this.#comeback = setTimeout(() => this.#socket === socket && socket.connect(), pause);
  }

  #notConnected(fault) {
    this.handleError({ code: "connect_error", message: String(fault.message), ...(fault.data && { data: fault.data }) });
    // The token has ended while the connection was lost; whoever can be asked for another one is asked.
    if (this.#wasLetIn && typeof this.#token === "function" && fault.data?.code === "unauthenticated") this.#comeBack();
  }

  #comeBack() {
    const socket = this.#socket;
    clearTimeout(this.#comeback);
    this.#comeback = setTimeout(() => {
      if (this.#socket === socket) socket.connect();
    }, this.#jitter(this.#times.retryAtMost / 5));
  }

  /** @returns {Promise<object>} what the handshake shows */
  async #present() {
    try {
      return { token: typeof this.#token === "function" ? await this.#token() : this.#token };
    } catch (fault) {
      this.#tell("handleError", { code: "no_token", message: String(fault.message ?? fault) });
      return {};
    }
  }

  /** The token expires soon: go on with another one, on this connection. */
  async #refresh(news) {
    this.#tell("handleTokenExpiring", news.expires_at);
    if (typeof this.#token !== "function") return;
    const socket = this.#socket;
    const { token } = await this.#present();
    if (token !== undefined && this.#socket === socket && socket.connected) socket.emit("refresh_token", { token });
  }

  #silence() {
    for (const subscription of this.#subscriptions.values()) {
      clearTimeout(subscription.timer);
      subscription.position.ask();
    }
  }

  // --- Subscriptions --------------------------------------------------------------------------------------------------

  #ask(instanceId) {
    const subscription = this.#subscriptions.get(instanceId);
    clearTimeout(subscription.timer);
    subscription.position.ask();
    subscription.confirmed = false;
    if (!this.#socket?.connected) return;
    const request = ++this.#requests;
    subscription.request = request;
    const since = subscription.position.since;
    this.#socket.emit("subscribe_instance", { instance_id: instanceId, ...(since && { since }) }, (answer) => {
      if (subscription.request === request && this.#subscriptions.get(instanceId) === subscription) {
        this.#answered(instanceId, subscription, answer ?? {});
      }
    });
    subscription.timer = setTimeout(() => this.#unanswered(instanceId, subscription), this.#times.answerWithin);
    this.#settle();
  }

  #answered(instanceId, subscription, answer) {
    clearTimeout(subscription.timer);
    const error = answer.error ?? (answer.ok === false ? answer : null);
    if (error) return this.#refused(instanceId, subscription, error);
    if (answer.mode === undefined) return this.#settle();
    if (answer.mode === "snapshot") this.#tell("handleSnapshot", instanceId, answer.snapshot);
    this.#follow(instanceId, subscription, subscription.position.answer(answer));
    this.#tell("handleSubscribed", instanceId, answer);
    this.#settle();
  }

  #refused(instanceId, subscription, error) {
    if (error.retry_after_ms !== undefined || PASSING.has(error.code)) {
      // Not before the time told, and not all at it.
      this.#askLater(instanceId, subscription, (error.retry_after_ms ?? this.#times.retryAtMost) / EARLIEST);
    } else {
      this.#drop(instanceId);
      this.#settle();
    }
    // Such refusals come as an `error` event too; `handleError` hears of them there.
  }

  #unanswered(instanceId, subscription) {
    // A server of section 1 confirms with `subscribed` and never acknowledges.
    if (!subscription.confirmed) this.#ask(instanceId);
  }

  #confirmed({ instance_id: instanceId }) {
    const subscription = this.#subscriptions.get(instanceId);
    if (!subscription) return;
    subscription.confirmed = true;
    this.#settle();
  }

  /** Ask again, at growing intervals as long as nothing new is applied in between. */
  #askLater(instanceId, subscription, pause = subscription.pause) {
    const { retryAfter, retryAtMost } = this.#times;
    clearTimeout(subscription.timer);
    subscription.position.ask();
    subscription.pause = Math.min(Math.max(2 * subscription.pause, retryAfter), retryAtMost);
    subscription.timer = setTimeout(() => this.#ask(instanceId), pause && this.#jitter(pause));
    this.#settle();
  }

  #drop(instanceId) {
    const subscription = this.#subscriptions.get(instanceId);
    if (!subscription) return false;
    clearTimeout(subscription.timer);
    return this.#subscriptions.delete(instanceId);
  }

  // --- Messages -------------------------------------------------------------------------------------------------------

  #take(event) {
    const subscription = this.#subscriptions.get(event.instance_id);
    if (subscription) this.#follow(event.instance_id, subscription, subscription.position.take(event));
  }

  #follow(instanceId, subscription, { apply, ask }) {
    for (const event of apply) {
      if (event.seq !== undefined) subscription.pause = 0;
      if (event.type === "execution_step") {
        if (event.data.status !== "in_progress") this.#texts.forget(event.data.step_id, event.attempt);
        this.#tell("handleExecutionStep", event);
      } else {
        this.#tell("handleTaskUpdate", event);
      }
    }
    if (ask) this.#askLater(instanceId, subscription);
    else if (apply.length > 0) this.#settle();
  }

  #takeText(piece) {
    const stream = this.#tasks.has(piece.task_id) ? this.#texts.take(piece) : null;
    if (stream) this.#tell("handleStepOutput", piece, stream);
  }

  #takeHead({ instance_id: instanceId, epoch, seq }) {
    const subscription = this.#subscriptions.get(instanceId);
    if (subscription?.position.takeHead({ epoch, seq })) this.#askLater(instanceId, subscription);
  }

  #takeSkip(skip) {
    const subscription = this.#subscriptions.get(skip.instance_id);
    if (!subscription) return;
    this.#follow(skip.instance_id, subscription, subscription.position.takeSkip(skip));
    this.#settle();
  }

  #takeReset({ instance_id: instanceId, reason }) {
    const subscription = this.#subscriptions.get(instanceId);
    if (!subscription) return;
    if (reason !== "revoked") return this.#askLater(instanceId, subscription);
    this.#drop(instanceId);
    this.#settle();
    this.#tell("handleRevoked", instanceId, reason);
  }

  // --- State ----------------------------------------------------------------------------------------------------------

  #settle() {
    for (const waiter of this.#waiting) {
      const subscription = this.#subscriptions.get(waiter.instanceId);
      if (subscription && (subscription.position.last?.seq ?? -1) < waiter.seq) continue;
      this.#waiting.delete(waiter);
      if (subscription) waiter.resolve();
      else waiter.reject(new Error(`there is no subscription to ${waiter.instanceId}`));
    }
    const state = this.#presentState();
    if (state === this.state) return;
    this.state = state;
    this.#tell("handleState", state);
  }

  #presentState() {
    if (!this.#socket?.connected) return "offline";
    const standing = ({ position, confirmed }) => position.settled || (confirmed && position.last === null);
    return [...this.#subscriptions.values()].every(standing) ? "live" : "catching_up";
  }

  /** A handler's own fault may not cost it the next event, nor go unseen. */
  #tell(handler, ...news) {
    try {
      this[handler](...news);
    } catch (fault) {
      setTimeout(() => {
        throw fault;
      });
    }
  }

  #jitter(milliseconds) {
    return milliseconds * (EARLIEST + Math.random() * (LATEST - EARLIEST));
  }
}
