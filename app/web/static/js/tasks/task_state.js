/** The state of a task, as pages name it. */

export { applyEvent, isCancellable, isFinal, isRetryable, taskOf } from "../../../clients/javascript/task_state.js";

const TO_START = new Set(["SUBMITTED", "QUEUED", "RETRYING"]);

/** @param {Record<string, any>} task @returns {boolean} whether a worker should start it */
export function isToStart(task) {
  return TO_START.has(task.status);
}

/** @param {Record<string, any>} task @returns {string} why no worker starts it; empty if nothing is wrong */
export function nameWait(task) {
  return isToStart(task) ? (task.waiting?.message ?? "") : "";
}

/** @param {Record<string, any> | null | undefined} error `{code, message, type?}` @returns {string} its display name */
export function nameError(error) {
  return [error?.code, error?.type].filter(Boolean).join(" · ");
}

/** @param {Record<string, any>} step @returns {string} its status; a step that was open when its task was cancelled is `cancelled` */
export function statusOfStep(step) {
  return step.status === "failed" && step.error?.code === "cancelled" ? "cancelled" : step.status;
}
