/** React hooks that show a task or an instance while it changes. */
export type Client = import("./client.js").Client;
export type InstanceView = import("./feeds.js").InstanceView;
export type TaskView = import("./feeds.js").TaskView;
export type Connection = import("./feeds.js").Connection;
/** @typedef {import("./client.js").Client} Client */
/** @typedef {import("./feeds.js").InstanceView} InstanceView */
/** @typedef {import("./feeds.js").TaskView} TaskView */
/** @typedef {import("./feeds.js").Connection} Connection */
/**
 * Show a task with its steps, its events and the text that its steps write. Components that show the same task share one
 * connection, which is closed after the last of them.
 * @param {Client} client keep it between renderings
 * @param {string} taskId
 * @returns {TaskView}
 */
export declare function useTask(client: Client, taskId: string): TaskView;
/**
 * Show an instance's tasks, the latest first, and its events from now on. Components that show the same instance share one
 * connection, which is closed after the last of them.
 * @param {Client} client keep it between renderings
 * @param {string} instanceId
 * @returns {InstanceView}
 */
export declare function useInstance(client: Client, instanceId: string): InstanceView;
