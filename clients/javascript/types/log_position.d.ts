/** Decides which messages a client applies next: its position in an instance's log and the streamed text of steps. */
export type Since = import("./wire.js").Position;
export type TaskEvent = import("./wire.js").TaskEvent;
export type LiveUpdate = import("./wire.js").LiveUpdate;
export type Decision = {
    apply: readonly (TaskEvent | LiveUpdate)[];
    ask: boolean;
};
/**
 * @typedef {import("./wire.js").Position} Since A position in an instance's log.
 * @typedef {import("./wire.js").TaskEvent} TaskEvent
 * @typedef {import("./wire.js").LiveUpdate} LiveUpdate
 * @typedef {{apply: readonly (TaskEvent | LiveUpdate)[], ask: boolean}} Decision What to apply now, in order, and whether to subscribe again.
 */
/** A `since` that no log has: the server answers it with a snapshot. */
export declare const NO_POSITION: Readonly<{
    epoch: "";
    seq: 0;
}>;
/**
 * The position of one client in one instance's log: the client rule of docs/protocol.md, without a socket.
 *
 * Drop `seq` <= last; apply last + 1; at anything else, ask again with `since`.
 */
export declare class LogPosition {
    #private;
    /** @type {Since | null} the last event applied */
    last: Since | null;
    snapshot: boolean;
    /** Whether the server has answered on this connection. */
    answered: boolean;
    /** The head that the server named in its answer; everything up to it is catching up. */
    target: number;
    /** @type {TaskEvent[]} */
    early: TaskEvent[];
    /** @type {Map<string, {attempt: number, rev: number}>} */
    live: Map<string, {
        attempt: number;
        rev: number;
    }>;
    /**
     * @param {Since | null} [since] continue after this position; null: from the moment of the subscription
     * @param {boolean} [snapshot] ask for the present state first
     */
    constructor(since?: Since | null, snapshot?: boolean);
    /** @returns {Since | null} what to subscribe with */
    get since(): Since | null;
    /** Whether all events that the server had at the time of the subscription are applied. */
    get settled(): boolean;
    /** Await an answer: events that arrive out of turn before it are kept, since they may follow it. */
    ask(): void;
    /**
     * @param {TaskEvent | LiveUpdate} event
     * @returns {Decision}
     */
    receive(event: TaskEvent | LiveUpdate): Decision;
    /**
     * @param {{mode: string, epoch: string, head: number}} answer the acknowledgement of a subscription, `ok`
     * @returns {Decision}
     */
    receiveAnswer({ mode, epoch, head }: {
        mode: string;
        epoch: string;
        head: number;
    }): Decision;
    /**
     * @param {Since} head the number of the instance's last event, which the server sends to an idle room
     * @returns {boolean} whether events are missing
     */
    receiveHead(head: Since): boolean;
    /**
     * @param {{epoch: string, after: number, seq: number}} skip numbers of events that are hidden from this client
     * @returns {Decision}
     */
    receiveSkip({ epoch, after, seq }: {
        epoch: string;
        after: number;
        seq: number;
    }): Decision;
}
/**
 * The streamed texts of steps, joined from `step_output` messages.
 *
 * `offset` counts characters as Unicode does (code points), not as JavaScript strings do.
 */
export declare class StepTexts {
    #private;
    /**
     * @param {{step_id: string, attempt: number, offset: number, text: string}} piece
     * @returns {{text: string, start: number} | null} the text known so far, from character `start` on; null: nothing new
     */
    add({ step_id: stepId, attempt, offset, text }: {
        step_id: string;
        attempt: number;
        offset: number;
        text: string;
    }): {
        text: string;
        start: number;
    } | null;
    /**
     * Forget a step's text up to this attempt: its event holds the finished output.
     * @param {string} stepId
     * @param {number} [attempt]
     */
    forget(stepId: string, attempt?: number): void;
}
