/** Decides which messages a client applies next: its position in an instance's log and the streamed text of steps. */

/**
 * @typedef {import("./wire.js").Position} Since A position in an instance's log.
 * @typedef {import("./wire.js").TaskEvent} TaskEvent
 * @typedef {import("./wire.js").LiveUpdate} LiveUpdate
 * @typedef {{apply: readonly (TaskEvent | LiveUpdate)[], ask: boolean}} Decision What to apply now, in order, and whether to subscribe again.
 */

/** A `since` that no log has: the server answers it with a snapshot. */
export const NO_POSITION = Object.freeze({ epoch: "", seq: 0 });

/** How many events that arrive before the answer to a subscription are kept. */
const MOST_EARLY = 10_000;
/** How many tasks' live progress is remembered. */
const MOST_TASKS = 10_000;
const FINAL = new Set(["COMPLETED", "FAILED", "CANCELLED", "EXPIRED"]);
/** @type {Decision} */
const NOTHING = Object.freeze({ apply: Object.freeze([]), ask: false });

/**
 * The position of one client in one instance's log: the client rule of docs/protocol.md, without a socket.
 *
 * Drop `seq` <= last; apply last + 1; at anything else, ask again with `since`.
 */
export class LogPosition {
  /**
   * @param {Since | null} [since] continue after this position; null: from the moment of the subscription
   * @param {boolean} [snapshot] ask for the present state first
   */
  constructor(since = null, snapshot = false) {
    /** @type {Since | null} the last event applied */
    this.last = since;
    this.snapshot = snapshot;
    /** Whether the server has answered on this connection. */
    this.answered = false;
    /** The head that the server named in its answer; everything up to it is catching up. */
    this.target = 0;
    /** @type {TaskEvent[]} */
    this.early = [];
    /** @type {Map<string, {attempt: number, rev: number}>} */
    this.live = new Map();
  }

  /** @returns {Since | null} what to subscribe with */
  get since() {
    return this.last ?? (this.snapshot ? NO_POSITION : null);
  }

  /** Whether all events that the server had at the time of the subscription are applied. */
  get settled() {
    return this.answered && (this.last?.seq ?? 0) >= this.target;
  }

  /** Await an answer: events that arrive out of turn before it are kept, since they may follow it. */
  ask() {
    this.answered = false;
    this.early = [];
  }

  /**
   * @param {TaskEvent | LiveUpdate} event
   * @returns {Decision}
   */
  receive(event) {
    if (event.rev !== undefined) return this.#receiveLive(event);
    if (event.seq === undefined) return { apply: [event], ask: false };
    if (this.last === null && (this.answered || !this.snapshot)) {
      this.last = { epoch: event.epoch, seq: event.seq - 1 };
    }
    if (event.epoch === this.last?.epoch && event.seq <= this.last.seq) return NOTHING;
    if (this.#isNext(event)) return { apply: [this.#applied(event), ...this.#release()], ask: false };
    if (this.answered) return { apply: [], ask: true };
    if (this.early.length < MOST_EARLY) this.early.push(event);
    return NOTHING;
  }

  /**
   * @param {{mode: string, epoch: string, head: number}} answer the acknowledgement of a subscription, `ok`
   * @returns {Decision}
   */
  receiveAnswer({ mode, epoch, head }) {
    this.answered = true;
    if (mode === "snapshot" || this.last === null) {
      this.last = { epoch, seq: head };
      this.live.clear();
    }
    this.target = head;
    const apply = this.#release();
    // In a replay, the server sends the events that are left over again in their turn.
    const { seq: last } = this.last;
    const ask = mode !== "replay" && this.early.some((event) => event.epoch !== epoch || event.seq > last);
    this.early = [];
    return { apply, ask };
  }

  /**
   * @param {Since} head the number of the instance's last event, which the server sends to an idle room
   * @returns {boolean} whether events are missing
   */
  receiveHead(head) {
    if (!this.answered) return false;
    if (this.last === null) this.last = { epoch: head.epoch, seq: head.seq };
    return head.epoch !== this.last.epoch || head.seq > this.last.seq;
  }

  /**
   * @param {{epoch: string, after: number, seq: number}} skip numbers of events that are hidden from this client
   * @returns {Decision}
   */
  receiveSkip({ epoch, after, seq }) {
    if (this.last === null && (this.answered || !this.snapshot)) this.last = { epoch, seq: after };
    if (this.last !== null && epoch === this.last.epoch && after <= this.last.seq) {
      if (seq > this.last.seq) this.last = { epoch, seq };
      return { apply: this.#release(), ask: false };
    }
    return { apply: [], ask: this.answered };
  }

  /** @param {TaskEvent} event */
  #isNext(event) {
    return event.epoch === this.last?.epoch && event.seq === this.last.seq + 1;
  }

  /** @param {TaskEvent} event */
  #applied(event) {
    this.last = { epoch: event.epoch, seq: event.seq };
    const known = this.live.get(event.task_id);
    const attempt = Math.max(event.attempt, known?.attempt ?? 0);
    const isFinal = event.data.status !== undefined && FINAL.has(event.data.status);
    const rev = isFinal ? Infinity : known?.attempt === attempt ? known.rev : -1;
    this.#remember(event.task_id, { attempt, rev });
    return event;
  }

  #release() {
    /** @type {TaskEvent[]} */
    const apply = [];
    for (const event of [...this.early].sort((a, b) => a.seq - b.seq)) {
      if (this.#isNext(event)) apply.push(this.#applied(event));
    }
    return apply;
  }

  /**
   * Live progress has no number: the latest revision of the latest attempt counts.
   * @param {LiveUpdate} event
   * @returns {Decision}
   */
  #receiveLive(event) {
    const known = this.live.get(event.task_id) ?? { attempt: 0, rev: -1 };
    if (event.attempt < known.attempt || (event.attempt === known.attempt && event.rev <= known.rev)) return NOTHING;
    this.#remember(event.task_id, { attempt: event.attempt, rev: event.rev });
    return { apply: [event], ask: false };
  }

  /** @param {string} taskId @param {{attempt: number, rev: number}} mark */
  #remember(taskId, mark) {
    this.live.delete(taskId);
    this.live.set(taskId, mark);
    const [oldest] = this.live.size > MOST_TASKS ? this.live.keys() : [];
    if (oldest !== undefined) this.live.delete(oldest);
  }
}

/**
 * The streamed texts of steps, joined from `step_output` messages.
 *
 * `offset` counts characters as Unicode does (code points), not as JavaScript strings do.
 */
export class StepTexts {
  /** @type {Map<string, {attempt: number, text: string, start: number, end: number}>} */
  #streams = new Map();

  /**
   * @param {{step_id: string, attempt: number, offset: number, text: string}} piece
   * @returns {{text: string, start: number} | null} the text known so far, from character `start` on; null: nothing new
   */
  add({ step_id: stepId, attempt, offset, text }) {
    const piece = Array.from(text);
    let stream = this.#streams.get(stepId);
    if (stream && attempt < stream.attempt) return null;
    if (!stream || attempt > stream.attempt || offset > stream.end || offset < stream.start) {
      stream = { attempt, text: "", start: offset, end: offset };
    }
    const fresh = piece.slice(stream.end - offset);
    if (fresh.length === 0) return null;
    stream = { ...stream, text: stream.text + fresh.join(""), end: stream.end + fresh.length };
    this.#streams.set(stepId, stream);
    return { text: stream.text, start: stream.start };
  }

  /**
   * Forget a step's text up to this attempt: its event holds the finished output.
   * @param {string} stepId
   * @param {number} [attempt]
   */
  forget(stepId, attempt = Infinity) {
    if ((this.#streams.get(stepId)?.attempt ?? Infinity) <= attempt) this.#streams.delete(stepId);
  }
}
