/** Applies events to the state of a task. Pure functions. */

/** @typedef {Record<string, any>} Task a task's view, with `steps` where the page shows them */

const FINAL = new Set(["COMPLETED", "FAILED", "CANCELLED", "EXPIRED"]);
const TO_START = new Set(["SUBMITTED", "QUEUED", "RETRYING"]);

/** @param {Task} task @returns {boolean} whether it is final */
export function isFinal(task) {
  return FINAL.has(task.status);
}

/** @param {Task} task @returns {boolean} whether a worker should start it */
export function isToStart(task) {
  return TO_START.has(task.status);
}

/** @param {Task} task @returns {string} why no worker starts it; empty if nothing is wrong */
export function nameWait(task) {
  return isToStart(task) ? (task.waiting?.message ?? "") : "";
}

/** @param {Task} task @returns {boolean} whether it can be cancelled */
export function isCancellable(task) {
  return !FINAL.has(task.status) && !task.cancel_requested;
}

/** @param {Task} task @returns {boolean} whether it can be retried */
export function isRetryable(task) {
  return FINAL.has(task.status) && task.status !== "COMPLETED";
}

/**
 * @param {Task} task
 * @param {Record<string, any>} event a `task_update` or `execution_step` of this task
 * @returns {Task} the task after it; the same object if the event is not new
 */
export function applyEvent(task, event) {
  if (event.seq !== undefined && event.seq <= task.last_seq) return task;
  const next = { ...task, attempt: event.attempt ?? task.attempt, last_seq: event.seq ?? task.last_seq };
  // The stored event is unreadable: only its number counts.
  if (event.data.$unreadable || event.data.$damaged) return next;
  if (event.type === "execution_step") return applyStep(next, event);
  const { progress, message, timestamp, status } = event.data;
  Object.assign(next, { progress, message, updated_at: timestamp });
  if (event.data.cancel_requested) next.cancel_requested = true;
  if (status) {
    Object.assign(next, {
      status,
      error: event.data.error ?? null,
      result: event.data.result ?? null,
      cancel_requested: false,
      finished_at: FINAL.has(status) ? timestamp : null,
    });
    if (status === "IN_PROGRESS") next.started_at ??= timestamp;
  }
  return next;
}

/**
 * @param {Record<string, any>} event a `task_update`
 * @returns {Task | null} the summary of a task that was just submitted; null for any other event
 */
export function taskOf({ task_id: id, instance_id, type, seq, attempt, data }) {
  if (type !== "task_update" || data.status !== "SUBMITTED" || !data.kind) return null;
  const { kind, title, submitted_by, status, progress, message, timestamp } = data;
  return {
    ...{ id, instance_id, kind, title: title ?? "", submitted_by, status, progress, message, attempt, last_seq: seq },
    ...{ created_at: timestamp, updated_at: timestamp, cancel_requested: false, error: null, result: null },
  };
}

/** @param {Record<string, any> | null | undefined} error `{code, message, type?}` @returns {string} its display name */
export function nameError(error) {
  return [error?.code, error?.type].filter(Boolean).join(" · ");
}

/** @param {Record<string, any>} step @returns {string} its status; a step that was open when its task was cancelled is `cancelled` */
export function statusOfStep(step) {
  return step.status === "failed" && step.error?.code === "cancelled" ? "cancelled" : step.status;
}

function applyStep(task, { task_id, attempt, data }) {
  const { progress, ...step } = data;
  const others = (task.steps ?? []).filter((other) => other.step_id !== step.step_id);
  const steps = [...others, { message: null, error: null, ...step, task_id, attempt }].sort((a, b) => a.position - b.position);
  return { ...task, progress, steps };
}
