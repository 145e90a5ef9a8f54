/** Keeps a client's subscriptions: subscribes, subscribes again over gaps, and applies events in order. */

import { EARLIEST, jitter, PASSING } from "./connection_keeper.js";
import { StepTexts } from "./log_position.js";

/** @typedef {import("./log_position.js").LogPosition} LogPosition */
/** @typedef {import("./log_position.js").Since} Since */
/** @typedef {import("./log_position.js").Decision} Decision */
/** @typedef {import("./wire.js").Answer} Answer */
/** @typedef {import("./wire.js").Refusal} Refusal */
/** @typedef {import("./wire.js").StepOutput} StepOutput */
/**
 * @typedef {object} Subscription
 * @property {string} instanceId
 * @property {LogPosition} position
 * @property {number} request the number of the request that awaits its answer
 * @property {number} pause milliseconds
 * @property {any} timer
 * @property {boolean} confirmed a server of section 1 confirmed it with `subscribed`
 */

/** The subscriptions of one client, to instances and to the text of tasks. */
export class SubscriptionBook {
  #times;
  #emit;
  #notify;
  #changed;
  /** @type {Map<string, Subscription>} */
  #subscriptions = new Map();
  /** @type {Set<string>} */
  #tasks = new Set();
  #texts = new StepTexts();
  #requests = 0;

  /**
   * @param {{answerWithin: number, retryAfter: number, retryAtMost: number}} times milliseconds
   * @param {(name: string, payload: object, ...answer: ((answer: any) => void)[]) => boolean} emit returns whether there is a connection
   * @param {(handler: string, ...details: any[]) => void} notify calls a handler of the client
   * @param {() => void} changed called when a position or the state may have changed
   */
  constructor(times, emit, notify, changed) {
    this.#times = times;
    this.#emit = emit;
    this.#notify = notify;
    this.#changed = changed;
  }

  /** Whether every subscription has caught up. */
  get isSettled() {
    const all = [...this.#subscriptions.values()];
    return all.every(({ position, confirmed }) => position.settled || (confirmed && position.last === null));
  }

  /** @param {string} instanceId @returns {boolean} whether there is a subscription to this instance */
  has(instanceId) {
    return this.#subscriptions.has(instanceId);
  }

  /** @param {string} instanceId @returns {Since | null} the last event applied */
  position(instanceId) {
    return this.#subscriptions.get(instanceId)?.position.last ?? null;
  }

  /** Subscribe to an instance. @param {string} instanceId @param {LogPosition} position */
  add(instanceId, position) {
    this.#drop(instanceId);
    const subscription = { instanceId, position, request: 0, pause: 0, timer: null, confirmed: false };
    this.#subscriptions.set(instanceId, subscription);
    this.#subscribe(subscription);
  }

  /** Unsubscribe from an instance. @param {string} instanceId */
  remove(instanceId) {
    if (!this.#drop(instanceId)) return;
    this.#emit("unsubscribe_instance", { instance_id: instanceId });
    this.#changed();
  }

  /** Subscribe to the text of a task. @param {string} taskId */
  addTask(taskId) {
    this.#tasks.add(taskId);
    this.#emit("subscribe_task", { task_id: taskId });
  }

  /** Unsubscribe from the text of a task. @param {string} taskId */
  removeTask(taskId) {
    if (this.#tasks.delete(taskId)) this.#emit("unsubscribe_task", { task_id: taskId });
  }

  /** Subscribe again to everything, on a new connection. */
  subscribeAll() {
    for (const taskId of this.#tasks) this.#emit("subscribe_task", { task_id: taskId });
    for (const subscription of this.#subscriptions.values()) this.#subscribe(subscription);
  }

  /** Await no answer any more: the connection is lost. */
  suspend() {
    for (const subscription of this.#subscriptions.values()) {
      clearTimeout(subscription.timer);
      subscription.position.ask();
    }
  }

  /** Apply a message about an instance, such as `task_update` or `head`. @param {string} name @param {any} payload */
  receive(name, payload) {
    const subscription = this.#subscriptions.get(payload.instance_id);
    if (!subscription) return;
    const { position } = subscription;
    if (name === "subscribed") {
      subscription.confirmed = true;
      this.#changed();
    } else if (name === "head") {
      if (position.receiveHead(payload)) this.#subscribeLater(subscription);
    } else if (name === "skip") {
      this.#apply(subscription, position.receiveSkip(payload));
      this.#changed();
    } else if (name === "reset") {
      this.#reset(subscription, payload.reason);
    } else {
      this.#apply(subscription, position.receive(payload));
    }
  }

  /** Add a piece of streamed text. @param {StepOutput} piece */
  receiveText(piece) {
    const stream = this.#tasks.has(piece.task_id) ? this.#texts.add(piece) : null;
    if (stream) this.#notify("handleStepOutput", piece, stream);
  }

  /** A handler may have ended or replaced a subscription in the middle of a message. @param {Subscription} subscription */
  #isCurrent(subscription) {
    return this.#subscriptions.get(subscription.instanceId) === subscription;
  }

  /** @param {Subscription} subscription */
  #subscribe(subscription) {
    if (!this.#isCurrent(subscription)) return;
    const { instanceId, position } = subscription;
    clearTimeout(subscription.timer);
    position.ask();
    subscription.confirmed = false;
    const request = ++this.#requests;
    subscription.request = request;
    const { since } = position;
    const payload = { instance_id: instanceId, ...(since && { since }) };
    const isSent = this.#emit("subscribe_instance", payload, (answer) => {
      const isAwaited = subscription.request === request && this.#isCurrent(subscription);
      if (isAwaited) this.#answered(subscription, answer ?? {});
    });
    if (!isSent) return;
    // A server of section 1 confirms with `subscribed` and never acknowledges.
    const unanswered = () => subscription.confirmed || this.#subscribe(subscription);
    subscription.timer = setTimeout(unanswered, this.#times.answerWithin);
    this.#changed();
  }

  /** @param {Subscription} subscription @param {Answer & {error?: Refusal} & Partial<Refusal>} answer */
  #answered(subscription, answer) {
    const { instanceId, position } = subscription;
    clearTimeout(subscription.timer);
    const error = answer.error ?? (answer.ok === false ? answer : null);
    if (error) return this.#refused(subscription, error);
    if (answer.mode !== undefined) {
      if (answer.mode === "snapshot") this.#notify("handleSnapshot", instanceId, answer.snapshot);
      this.#apply(subscription, position.receiveAnswer(answer));
      this.#notify("handleSubscribed", instanceId, answer);
    }
    this.#changed();
  }

  /** @param {Subscription} subscription @param {Partial<Refusal>} error */
  #refused(subscription, error) {
    // An `error` event comes with every refusal; `handleError` receives that one.
    if (error.retry_after_ms !== undefined || PASSING.has(error.code ?? "")) {
      // Not before the time that the server names, and not all clients at that moment.
      this.#subscribeLater(subscription, (error.retry_after_ms ?? this.#times.retryAtMost) / EARLIEST);
    } else {
      this.#drop(subscription.instanceId);
      this.#changed();
    }
  }

  /** @param {Subscription} subscription @param {string} reason */
  #reset(subscription, reason) {
    if (reason !== "revoked") return this.#subscribeLater(subscription);
    this.#drop(subscription.instanceId);
    this.#changed();
    this.#notify("handleRevoked", subscription.instanceId, reason);
  }

  /** Subscribe again, at growing intervals until something new is applied. @param {Subscription} subscription @param {number} [pause] */
  #subscribeLater(subscription, pause = subscription.pause) {
    if (!this.#isCurrent(subscription)) return;
    const { retryAfter, retryAtMost } = this.#times;
    clearTimeout(subscription.timer);
    subscription.position.ask();
    subscription.pause = Math.min(Math.max(2 * subscription.pause, retryAfter), retryAtMost);
    subscription.timer = setTimeout(() => this.#subscribe(subscription), pause && jitter(pause));
    this.#changed();
  }

  /** @param {Subscription} subscription @param {Decision} decision */
  #apply(subscription, { apply, ask }) {
    for (const event of apply) {
      if (event.seq !== undefined) subscription.pause = 0;
      if (event.type === "execution_step") {
        if (event.data.status !== "in_progress") this.#texts.forget(event.data.step_id, event.attempt);
        this.#notify("handleExecutionStep", event);
      } else {
        this.#notify("handleTaskUpdate", event);
      }
    }
    if (ask) this.#subscribeLater(subscription);
    else if (apply.length > 0) this.#changed();
  }

  /** @param {string} instanceId */
  #drop(instanceId) {
    clearTimeout(this.#subscriptions.get(instanceId)?.timer);
    return this.#subscriptions.delete(instanceId);
  }
}
