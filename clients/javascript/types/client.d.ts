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
import { TaskWebSocketClient } from "./task_websocket_client.js";
export type SocketLibrary = import("./connection_keeper.js").SocketLibrary;
export type WatchItem = import("./event_stream.js").WatchItem;
export type WatchOptions = import("./event_stream.js").WatchOptions;
export type RequestOptions = import("./http_connection.js").RequestOptions;
export type TokenSource = import("./task_websocket_client.js").TokenSource;
export type Agent = import("./wire.js").Agent;
export type Position = import("./wire.js").Position;
export type Step = import("./wire.js").Step;
export type StepSummary = import("./wire.js").StepSummary;
export type Submission = import("./wire.js").Submission;
export type Task = import("./wire.js").Task;
export type TaskEvent = import("./wire.js").TaskEvent;
export type TaskStatus = import("./wire.js").TaskStatus;
export type TaskSummary = import("./wire.js").TaskSummary;
export type ClientOptions = {
    /**
     * where callers must authenticate; a function is called again when the server
     * refuses the token, and before it expires
     */
    token?: TokenSource | undefined;
    /**
     * milliseconds in which a response must come
     */
    timeout?: number;
    /**
     * in place of the global one
     */
    fetch?: typeof globalThis.fetch;
    /**
     * `io` of another version of socket.io-client
     */
    io?: SocketLibrary;
    /**
     * further options of socket.io-client
     */
    socket?: object;
};
export type Endable = {
    signal?: AbortSignal | undefined;
};
export type SubmitOptions = {
    instance: string;
    title?: string | undefined;
    /**
     * the same key again returns the first task; a random one when left out
     */
    key?: string | undefined;
    /**
     * seconds in which a worker must start it
     */
    expiresIn?: number | undefined;
};
export type TaskFilters = {
    status?: TaskStatus | undefined;
    kind?: string | undefined;
    /**
     * submitted at or after this time
     */
    since?: string | Date | undefined;
    /**
     * submitted before this time
     */
    until?: string | Date | undefined;
    /**
     * a part of the title or the kind
     */
    text?: string | undefined;
    /**
     * at most this many tasks
     */
    limit?: number | undefined;
};
export declare class Client {
    #private;
    /**
     * @param {string} [url] the server, with the path that it is served below; the page's own in a browser, else this machine's
     * @param {ClientOptions} [options]
     */
    constructor(url?: string, options?: ClientOptions);
    /** The server. */
    get url(): string;
    /** Whether a token that the server refuses is replaced by another one. */
    get canRenewToken(): boolean;
    /**
     * Submit a task. A response that was lost is asked for again, with the same key.
     * @param {string} kind
     * @param {unknown} input
     * @param {SubmitOptions & Endable} options
     * @returns {Promise<Submission>}
     */
    submit(kind: string, input: unknown, { instance, title, key, expiresIn, signal }: SubmitOptions & Endable): Promise<Submission>;
    /** @param {string} taskId @param {Endable} [options] @returns {Promise<Task>} */
    get(taskId: string, options?: Endable): Promise<Task>;
    /** @param {string} taskId @param {Endable} [options] @returns {Promise<StepSummary[]>} without outputs */
    steps(taskId: string, options?: Endable): Promise<StepSummary[]>;
    /** @param {string} taskId @param {string} stepId @param {Endable} [options] @returns {Promise<Step>} */
    step(taskId: string, stepId: string, options?: Endable): Promise<Step>;
    /**
     * The tasks of an instance, the latest first, without inputs and results.
     * @param {string} instanceId
     * @param {TaskFilters & Endable} [options]
     * @returns {AsyncGenerator<TaskSummary, void, undefined>}
     */
    tasks(instanceId: string, { limit, since, until, signal, ...filters }?: TaskFilters & Endable): AsyncGenerator<TaskSummary, void, undefined>;
    /**
     * Wait until a task is final.
     * @param {string} taskId
     * @param {{timeout?: number | undefined} & Endable} [options] `timeout` in milliseconds; TimedOut is thrown after it
     * @returns {Promise<Task>} with its result
     */
    wait(taskId: string, { timeout, signal }?: {
        timeout?: number | undefined;
    } & Endable): Promise<Task>;
    /** @param {string} taskId @param {Endable} [options] @returns {Promise<Submission>} */
    cancel(taskId: string, options?: Endable): Promise<Submission>;
    /**
     * Start another attempt of a task that failed, was cancelled or expired.
     * @param {string} taskId
     * @param {{fromStep?: string | undefined} & Endable} [options] `fromStep`: the key of the first step to repeat
     * @returns {Promise<Submission>}
     */
    retry(taskId: string, { fromStep, signal }?: {
        fromStep?: string | undefined;
    } & Endable): Promise<Submission>;
    /**
     * The stored events after `since`, in order, up to the latest.
     * @param {string} instanceId
     * @param {number | Position} [since]
     * @param {{task?: string | undefined} & Endable} [options] `task`: the events of this task only
     * @returns {AsyncGenerator<TaskEvent, Position, undefined>} returns the position after the last event
     */
    events(instanceId: string, since?: number | Position, { task, signal }?: {
        task?: string | undefined;
    } & Endable): AsyncGenerator<TaskEvent, Position, undefined>;
    /**
     * Watch an instance: each event once and in order, also through lost connections.
     *
     * Yields the events after `since`, else those from now on. With `task`, it yields this task's events, from its first
     * one unless `since` names another, and ends when the task is final.
     * @param {string} instanceId
     * @param {WatchOptions} [options]
     * @returns {AsyncGenerator<WatchItem, void, undefined>}
     */
    watch(instanceId: string, options?: WatchOptions): AsyncGenerator<WatchItem, void, undefined>;
    /** @param {Endable} [options] @returns {Promise<Agent[]>} */
    agents(options?: Endable): Promise<Agent[]>;
    /** @param {string} kind @param {Endable} [options] @returns {Promise<Agent>} */
    agent(kind: string, options?: Endable): Promise<Agent>;
    /**
     * Send any other request.
     * @param {string} method
     * @param {string} path such as `/api/v1/instances`
     * @param {RequestOptions} [options]
     * @returns {Promise<any>} the JSON of the response
     */
    request(method: string, path: string, options?: RequestOptions): Promise<any>;
    /**
     * The items of a list that comes in pages.
     * @param {string} path such as `/api/v1/instances`
     * @param {RequestOptions["params"]} [params]
     * @param {Endable} [options]
     * @returns {AsyncGenerator<any, void, undefined>}
     */
    pages(path: string, params?: RequestOptions["params"], options?: Endable): AsyncGenerator<any, void, undefined>;
    /** @returns {TaskWebSocketClient} with this client's server and token, not connected yet */
    webSocketClient(): TaskWebSocketClient;
}
