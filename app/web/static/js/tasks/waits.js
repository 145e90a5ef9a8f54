/** Keeps up to date why tasks wait: no event says so, so it asks the REST API while a task that should start is shown. */

import { callApi, quote } from "../server/api.js";
import { isToStart } from "./task_state.js";

/** Milliseconds until the first request for a new task, which usually has started by then, and between two requests. */
const FIRST = 1500;
const PAUSE = 5000;
/** Kinds that one round asks for. */
const MOST_KINDS = 5;

export class Waits {
  #instanceId;
  #tasks;
  #apply;
  #timer = null;

  /**
   * @param {string} instanceId
   * @param {() => import("./task_state.js").Task[]} tasks the tasks on the page
   * @param {(task: import("./task_state.js").Task, waiting: object | null) => void} apply receives each task whose reason changed
   */
  constructor(instanceId, tasks, apply) {
    this.#instanceId = instanceId;
    this.#tasks = tasks;
    this.#apply = apply;
  }

  /** Ask soon if a task should start; called after each change. */
  check() {
    const tasks = this.#tasks().filter(isToStart);
    if (this.#timer !== null || tasks.length === 0) return;
    const pause = tasks.some((task) => task.waiting === undefined) ? FIRST : PAUSE;
    this.#timer = setTimeout(() => this.#ask(), pause);
  }

  async #ask() {
    const tasks = this.#tasks();
    // One task answers for its kind, and a kind that runs has a worker.
    const samples = new Map(tasks.filter(isToStart).map((task) => [task.kind, task]));
    for (const { kind, status } of tasks) if (status === "IN_PROGRESS") this.#skip(kind, samples);
    if (!document.hidden) await Promise.all([...samples.values()].slice(0, MOST_KINDS).map((task) => this.#askFor(task)));
    this.#timer = null;
    this.check();
  }

  #skip(kind, samples) {
    samples.delete(kind);
    this.#applyTo(kind, null);
  }

  async #askFor({ kind, status }) {
    try {
      const query = new URLSearchParams({ kind, status, limit: "1" });
      const { items } = await callApi("GET", `/instances/${quote(this.#instanceId)}/tasks?${query}`);
      if (items.length) this.#applyTo(kind, items[0].waiting);
    } catch {
      // The header shows that the server is unreachable; the next round asks again.
    }
  }

  #applyTo(kind, waiting) {
    for (const task of this.#tasks()) {
      if (task.kind === kind && isToStart(task) && !isSame(task.waiting, waiting)) this.#apply(task, waiting);
    }
  }
}

function isSame(one, other) {
  return one === other || (one && other ? one.message === other.message : false);
}
