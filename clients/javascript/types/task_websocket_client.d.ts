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
export type SocketLibrary = import("./connection_keeper.js").SocketLibrary;
export type Since = import("./log_position.js").Since;
export type Answer = import("./wire.js").Answer;
export type ExecutionStep = import("./wire.js").ExecutionStep;
export type LiveUpdate = import("./wire.js").LiveUpdate;
export type Refusal = import("./wire.js").Refusal;
export type Snapshot = import("./wire.js").Snapshot;
export type StepOutput = import("./wire.js").StepOutput;
export type StepText = import("./wire.js").StepText;
export type TaskUpdate = import("./wire.js").TaskUpdate;
export type ClientState = "offline" | "catching_up" | "live";
export type TokenSource = string | (() => string | Promise<string>);
export type Times = {
    answerWithin: number;
    retryAfter: number;
    retryAtMost: number;
};
export type SocketOptions = {
    /**
     * `io` of socket.io-client; the page's global one when left out
     */
    io?: SocketLibrary;
    /**
     * what to show; a function is called for it at every connection, and for another
     * one before the one shown expires
     */
    token?: TokenSource | undefined;
    /**
     * credentials for the handshake, where they
     * are more than a token
     */
    auth?: object | ((show: (auth: object) => void) => void) | undefined;
    /**
     * further options of socket.io-client; `transports` is websocket alone by default
     */
    socket?: object;
    times?: Partial<Times>;
};
export declare class TaskWebSocketClient {
    #private;
    /** @type {ClientState} */
    state: ClientState;
    /**
     * @param {string} [url] the server; the page's own when left out
     * @param {SocketOptions} [options]
     */
    constructor(url?: string, { io, token, auth, socket, times }?: SocketOptions);
    /**
     * Connect, and keep connecting after every loss until `disconnect`.
     * @returns {Promise<void>} resolved at the first connection; rejected when the server refuses this client for good, and by
     *   `disconnect`
     */
    connect(): Promise<void>;
    /**
     * Watch an instance: from now on; or after `since`; or, with `snapshot`, from its present state, which
     * `handleSnapshot` receives first.
     * @param {string} instanceId
     * @param {{since?: Since | null | undefined, snapshot?: boolean}} [from]
     */
    subscribe(instanceId: string, { since, snapshot }?: {
        since?: Since | null | undefined;
        snapshot?: boolean;
    }): void;
    /** Stop watching an instance. @param {string} instanceId */
    unsubscribe(instanceId: string): void;
    /** Watch the text that a task's running steps stream. @param {string} taskId */
    subscribeTask(taskId: string): void;
    /** Stop watching a task's text. @param {string} taskId */
    unsubscribeTask(taskId: string): void;
    /** Close the connection permanently. Subscriptions are kept for another `connect`. */
    disconnect(): void;
    /** @param {string} instanceId @returns {Since | null} the last event applied, to continue from in another process */
    position(instanceId: string): Since | null;
    /**
     * Wait until an event has been applied, such as the one an HTTP write answered with.
     * @param {string} instanceId
     * @param {number} seq
     * @returns {Promise<void>} rejected when the subscription ends first
     */
    waitFor(instanceId: string, seq: number): Promise<void>;
    /** The server confirmed the connection. @param {object} payload */
    handleConnected(payload: object): void;
    /** The connection is lost; the client reconnects automatically unless `disconnect` was called. @param {string} reason */
    handleDisconnected(reason: string): void;
    /** The server accepted a subscription. @param {string} instanceId @param {Answer} answer */
    handleSubscribed(instanceId: string, answer: Answer): void;
    /** @param {string} instanceId */
    handleUnsubscribed(instanceId: string): void;
    /** A task changed its status or made progress. @param {TaskUpdate | LiveUpdate} event */
    handleTaskUpdate(event: TaskUpdate | LiveUpdate): void;
    /** A step started or ended. @param {ExecutionStep} event */
    handleExecutionStep(event: ExecutionStep): void;
    /** A step streamed text. @param {StepOutput} piece @param {StepText} stream the text so far */
    handleStepOutput(piece: StepOutput, stream: StepText): void;
    /**
     * Replace everything known about the instance by its present state. It holds no inputs, results and outputs: read them
     * from `/api/v1/tasks/<id>` and `/api/v1/tasks/<id>/steps/<step_id>`.
     * @param {string} instanceId @param {Snapshot} snapshot
     */
    handleSnapshot(instanceId: string, snapshot: Snapshot): void;
    /** The server sends no more events of this instance to this client. @param {string} instanceId @param {string} reason */
    handleRevoked(instanceId: string, reason: string): void;
    /** The token expires soon. The client calls its token function for another one. @param {string} expiresAt */
    handleTokenExpiring(expiresAt: string): void;
    /** The server refused a request. @param {Refusal} error */
    handleError(error: Refusal): void;
    /** Connection and subscriptions together are offline, catching up or live. @param {ClientState} state */
    handleState(state: ClientState): void;
}
