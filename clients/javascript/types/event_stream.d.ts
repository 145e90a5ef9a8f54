/** Watches an instance as an async iterator: stored events by REST first, then Socket.IO from the position reached. */
export type Client = import("./client.js").Client;
export type ClientState = import("./task_websocket_client.js").ClientState;
export type TaskWebSocketClient = import("./task_websocket_client.js").TaskWebSocketClient;
export type Position = import("./wire.js").Position;
export type TaskEvent = import("./wire.js").TaskEvent;
export type WatchItem = TaskEvent | import("./wire.js").LiveUpdate | import("./wire.js").Reset | import("./wire.js").WrittenText;
export type WatchOptions = {
    /**
     * only this task, until it is final
     */
    task?: string | undefined;
    /**
     * the number or the position of the last known event
     */
    since?: number | Position | undefined;
    /**
     * with `task`: go on when it is final, since a retry starts it again
     */
    follow?: boolean;
    /**
     * also progress inside steps and, with `task`, the text that its steps stream
     */
    live?: boolean;
    /**
     * ends it with the signal's reason as the error
     */
    signal?: AbortSignal | undefined;
    /**
     * called when the connection is lost, or has caught up
     */
    onState?: (state: ClientState) => void;
};
/**
 * @param {Client} client
 * @param {string} instanceId
 * @param {WatchOptions} options
 * @returns {AsyncGenerator<WatchItem, void, undefined>}
 */
export declare function watchInstance(client: Client, instanceId: string, options: WatchOptions): AsyncGenerator<WatchItem, void, undefined>;
