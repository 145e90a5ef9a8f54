/** Keeps a client's subscriptions: subscribes, subscribes again over gaps, and applies events in order. */
export type LogPosition = import("./log_position.js").LogPosition;
export type Since = import("./log_position.js").Since;
export type Decision = import("./log_position.js").Decision;
export type Answer = import("./wire.js").Answer;
export type Refusal = import("./wire.js").Refusal;
export type StepOutput = import("./wire.js").StepOutput;
export type Subscription = {
    instanceId: string;
    position: LogPosition;
    /**
     * the number of the request that awaits its answer
     */
    request: number;
    /**
     * milliseconds
     */
    pause: number;
    timer: any;
    /**
     * a server of section 1 confirmed it with `subscribed`
     */
    confirmed: boolean;
};
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
export declare class SubscriptionBook {
    #private;
    /**
     * @param {{answerWithin: number, retryAfter: number, retryAtMost: number}} times milliseconds
     * @param {(name: string, payload: object, ...answer: ((answer: any) => void)[]) => boolean} emit returns whether there is a connection
     * @param {(handler: string, ...details: any[]) => void} notify calls a handler of the client
     * @param {() => void} changed called when a position or the state may have changed
     */
    constructor(times: {
        answerWithin: number;
        retryAfter: number;
        retryAtMost: number;
    }, emit: (name: string, payload: object, ...answer: ((answer: any) => void)[]) => boolean, notify: (handler: string, ...details: any[]) => void, changed: () => void);
    /** Whether every subscription has caught up. */
    get isSettled(): boolean;
    /** @param {string} instanceId @returns {boolean} whether there is a subscription to this instance */
    has(instanceId: string): boolean;
    /** @param {string} instanceId @returns {Since | null} the last event applied */
    position(instanceId: string): Since | null;
    /** Subscribe to an instance. @param {string} instanceId @param {LogPosition} position */
    add(instanceId: string, position: LogPosition): void;
    /** Unsubscribe from an instance. @param {string} instanceId */
    remove(instanceId: string): void;
    /** Subscribe to the text of a task. @param {string} taskId */
    addTask(taskId: string): void;
    /** Unsubscribe from the text of a task. @param {string} taskId */
    removeTask(taskId: string): void;
    /** Subscribe again to everything, on a new connection. */
    subscribeAll(): void;
    /** Await no answer any more: the connection is lost. */
    suspend(): void;
    /** Apply a message about an instance, such as `task_update` or `head`. @param {string} name @param {any} payload */
    receive(name: string, payload: any): void;
    /** Add a piece of streamed text. @param {StepOutput} piece */
    receiveText(piece: StepOutput): void;
}
