/** What hooks show: state that a watched task or instance changes, shared by the components that show it. */
export type Client = import("./client.js").Client;
export type WatchItem = import("./event_stream.js").WatchItem;
export type ClientState = import("./task_websocket_client.js").ClientState;
export type LiveUpdate = import("./wire.js").LiveUpdate;
export type StepSummary = import("./wire.js").StepSummary;
export type Task = import("./wire.js").Task;
export type TaskEvent = import("./wire.js").TaskEvent;
export type TaskState = import("./wire.js").TaskState;
export type ListedTask = TaskState & {
    steps: StepSummary[];
};
export type Connection = {
    connection: ClientState;
    /**
     * why nothing is shown, or nothing new; a lost connection is tried again
     */
    error: Error | null;
};
export type TaskParts = {
    /**
     * null until it is read
     */
    task: Task | null;
    /**
     * in the order of their first starts
     */
    steps: StepSummary[];
    /**
     * the latest thousand
     */
    events: TaskEvent[];
    /**
     * by step: the text that a step in progress has written
     */
    texts: Record<string, string>;
};
export type InstanceParts = {
    /**
     * the latest thousand, the latest first
     */
    tasks: ListedTask[];
    /**
     * those since the component was mounted, the latest thousand
     */
    events: TaskEvent[];
    /**
     * whether `tasks` are all tasks of the instance
     */
    complete: boolean;
};
export type TaskView = Readonly<TaskParts & Connection>;
export type InstanceView = Readonly<InstanceParts & Connection>;
/**
 * @template State
 * @param {Client} client
 * @param {string} name
 * @param {() => Feed<State>} make
 * @returns {Feed<State>} the one of this client with this name
 */
export declare function shareFeed<State>(client: Client, name: string, make: () => Feed<State>): Feed<State>;
/**
 * State that calls listeners at each change, and that changes while there are any.
 * @template State
 */
export declare class Feed<State> {
    #private;
    /** @type {() => void} called when the first component is mounted */
    onStart: () => void;
    /** @type {() => void} called when no component is mounted any more */
    onIdle: () => void;
    /** @param {State} state */
    constructor(state: State);
    /** Whether a component is mounted. */
    get isShown(): boolean;
    /** The present state: the same object until it changes. @returns {State & Connection} */
    read: () => State & Connection;
    /** The state before anything is read: what a server renders. @returns {State & Connection} */
    readFirst: () => State & Connection;
    /** @param {() => void} listener @returns {() => void} ends the subscription */
    subscribe: (listener: () => void) => () => void;
    /**
     * Show the state, and change it until the signal ends it.
     * @param {AbortSignal} _signal
     * @returns {Promise<void>}
     */
    run(_signal: AbortSignal): Promise<void>;
    /** @param {Partial<State & Connection>} change */
    change(change: Partial<State & Connection>): void;
}
/** One task. @extends {Feed<TaskParts>} */
export declare class TaskFeed extends Feed<TaskParts> {
    #private;
    /** @param {Client} client @param {string} taskId */
    constructor(client: Client, taskId: string);
    /** @override @param {AbortSignal} signal */
    run(signal: AbortSignal): Promise<void>;
}
/** The tasks of one instance. @extends {Feed<InstanceParts>} */
export declare class InstanceFeed extends Feed<InstanceParts> {
    #private;
    /** @param {Client} client @param {string} instanceId */
    constructor(client: Client, instanceId: string);
    /** @override @param {AbortSignal} signal */
    run(signal: AbortSignal): Promise<void>;
}
