/** React hooks that show a task or an instance while it changes. */

import { useMemo, useSyncExternalStore } from "react";

import { InstanceFeed, shareFeed, TaskFeed } from "./feeds.js";

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
export function useTask(client, taskId) {
  return useFeed(client, `task ${taskId}`, () => new TaskFeed(client, taskId));
}

/**
 * Show an instance's tasks, the latest first, and its events from now on. Components that show the same instance share one
 * connection, which is closed after the last of them.
 * @param {Client} client keep it between renderings
 * @param {string} instanceId
 * @returns {InstanceView}
 */
export function useInstance(client, instanceId) {
  return useFeed(client, `instance ${instanceId}`, () => new InstanceFeed(client, instanceId));
}

/**
 * @template State
 * @param {Client} client
 * @param {string} name
 * @param {() => import("./feeds.js").Feed<State>} make
 * @returns {State & Connection}
 */
function useFeed(client, name, make) {
  const feed = useMemo(() => shareFeed(client, name, make), [client, name]);
  return useSyncExternalStore(feed.subscribe, feed.read, feed.readFirst);
}
