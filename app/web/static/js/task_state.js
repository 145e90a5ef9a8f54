/** What a page knows of a task: the server's view of it, and every event since applied to that. Pure functions. */

/** @typedef {Record<string, any>} Task a task's view, with `steps` where the page shows them */

const FINAL = new Set(["COMPLETED", "FAILED", "CANCELLED", "EXPIRED"]);

/** @param {Task} task @returns {boolean} whether it has ended */
export function isFinal(task) {
  return FINAL.has(task.status);
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
 * @returns {Task} the task after it; the same object when the event brought nothing new
 */
export function applyEvent(task, event) {
  if (event.seq !== undefined && event.seq <= task.last_seq) return task;
  const next = { ...task, attempt: event.attempt ?? task.attempt, last_seq: event.seq ?? task.last_seq };
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

function applyStep(task, { task_id, attempt, data }) {
  const { progress, ...step } = data;
  const others = (task.steps ?? []).filter((other) => other.step_id !== step.step_id);
  const steps = [...others, { error: null, ...step, task_id, attempt }].sort((a, b) => a.position - b.position);
  return { ...task, progress, steps };
}
